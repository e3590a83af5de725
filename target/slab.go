package target

import (
	"math/bits"
	"reflect"

	"github.com/unio-stack/unio"
	"github.com/unio-stack/unio/provider/rdma"
)

// A slab is a Buffer cut into pieces of one size. Devices register it as a whole, when they first use a piece of it.
// Guarded by the mutex of the arena that has it, or else the pool's.
type slab struct {
	buffer *unio.Buffer
	memory []byte  // all of buffer; immutable
	start  uintptr // its address; immutable
	class  int
	used   int                             // pieces
	free   [maxPieces / bits.UintSize]uint // a bit for each piece that is not used
}

const (
	slabSize  = 1 << 20
	maxPieces = slabSize >> smallestShift

	// The sizes of pieces, by class.
	classes       = 3
	smallestShift = 12 // 4 KiB
	classShift    = 2  // then 16 KiB, then 64 KiB
	largestPiece  = 1 << (smallestShift + classShift*(classes-1))
)

func newSlab() (*slab, error) {
	b, err := unio.NewBuffer(slabSize)
	if err != nil {
		return nil, err
	}
	return &slab{buffer: b, memory: b.Bytes(), start: address(b.Bytes())}, nil
}

// sizeOf returns how many bytes a piece of the class has.
func sizeOf(class int) int64 { return 1 << (smallestShift + classShift*class) }

// classFor returns the class of the smallest pieces that have n bytes, at most largestPiece.
func classFor(n int) int {
	class := 0
	for int64(n) > sizeOf(class) {
		class++
	}
	return class
}

// All that is ever borrowed at a time fits a piece.
const _ = uint(largestPiece - rdma.MaxBorrow)

// cut makes all of an unused slab pieces of the class.
func (s *slab) cut(class int) {
	s.class = class
	s.free = [len(s.free)]uint{}
	for i := range s.pieces() {
		s.free[i/bits.UintSize] |= 1 << (i % bits.UintSize)
	}
}

// pieces returns how many there are.
func (s *slab) pieces() int { return slabSize >> (smallestShift + classShift*s.class) }

func (s *slab) full() bool { return s.used == s.pieces() }

// take returns the first n bytes of a piece that is free. There must be one.
func (s *slab) take(n int) []byte {
	i := 0
	for s.free[i] == 0 {
		i++
	}
	bit := bits.TrailingZeros(s.free[i])
	s.free[i] &^= 1 << bit
	s.used++
	at := int64(i*bits.UintSize+bit) * sizeOf(s.class)
	return s.memory[at : at+int64(n) : at+sizeOf(s.class)]
}

// put takes a piece back.
func (s *slab) put(p []byte) {
	i := int(int64(address(p)-s.start) / sizeOf(s.class))
	s.free[i/bits.UintSize] |= 1 << (i % bits.UintSize)
	s.used--
}

// address returns where p begins. Buffers do not move.
func address(p []byte) uintptr { return reflect.ValueOf(&p[0]).Pointer() }
