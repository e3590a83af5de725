package iwarp

import (
	"bytes"
	"encoding/binary"

	"github.com/unio-stack/unio/internal/crc32c"
)

const (
	minArena = 128 // holds any header, body and trailer
	minVec   = 4
)

// A Batch collects FPDUs for one gathering write. Headers and trailers are in its arena; payload is only named, so it
// must stay as it is until the write is over. A trailer and the header behind it are one piece.
//
// A Batch has one owner at a time. Fill it through [Sender.Fill], write [Batch.Buffers], report what was written with
// [Batch.Advance] until nothing is left; or Reset it once all is written.
type Batch struct {
	arena  []byte   // the caller's memory
	used   int      // octets of arena taken
	open   int      // where in arena the piece begins that is not in vec yet; open <= used
	vec    [][]byte // pieces in order
	size   int      // octets in all pieces
	copies int      // payload of an FPDU up to this size is copied into arena
	spare  []byte   // the caller's memory for payload that is volatile
	copied int      // octets of spare taken
}

// NewBatch makes a batch over the caller's memory: arena takes 27 octets per FPDU (more where payload is copied), and
// vec, whose content is ignored, bounds with its capacity how many pieces one write has: two per FPDU with payload in
// one piece, plus one. It fails with [ErrConfig] if there is not room for one FPDU: 128 octets and 4 pieces.
func NewBatch(arena []byte, vec [][]byte) (*Batch, error) {
	if len(arena) < minArena || cap(vec) < minVec {
		return nil, configError("batch of %d octets and %d pieces; at least %d and %d are needed", len(arena), cap(vec), minArena, minVec)
	}
	return &Batch{arena: arena, vec: vec[:0]}, nil
}

// SetCopyLimit makes the batch copy an FPDU's payload into its arena if it has at most n octets, rather than name it: for
// a few hundred octets that costs less than one more piece of a write. The default is 0; an arena that is smaller than
// such an FPDU names it all the same.
func (b *Batch) SetCopyLimit(n int) { b.copies = n }

// SetSpare gives the batch memory for payload that is [Payload.Volatile]: at least as much as an FPDU has. It belongs to the
// batch until the next Reset, or an Advance over all that is there.
func (b *Batch) SetSpare(memory []byte) { b.spare = memory }

// Reset empties the batch, and drops what it refers to. Payload named before is no longer in use. An Advance over all that
// was there does the same.
func (b *Batch) Reset() {
	clear(b.vec)
	b.vec, b.used, b.open, b.size, b.copied = b.vec[:0], 0, 0, 0, 0
}

// Size returns how many octets are to be written.
func (b *Batch) Size() int { return b.size }

// Detach replaces all that is left to be written by a copy, so that no payload named before is in use. It allocates.
func (b *Batch) Detach() {
	b.seal()
	for i, piece := range b.vec {
		b.vec[i] = bytes.Clone(piece)
	}
}

// Empty reports whether there is nothing to write.
func (b *Batch) Empty() bool { return len(b.vec) == 0 && b.open == b.used }

// Buffers returns what is to be written, in order. It is valid until the next call of a method.
func (b *Batch) Buffers() [][]byte {
	b.seal()
	return b.vec
}

// Advance reports that the first n octets of Buffers have been written.
func (b *Batch) Advance(n int) {
	b.seal()
	b.size -= n
	done := 0
	for done < len(b.vec) && n >= len(b.vec[done]) {
		n -= len(b.vec[done])
		done++
	}
	left := copy(b.vec, b.vec[done:])
	clear(b.vec[left:])
	b.vec = b.vec[:left]
	if left == 0 {
		b.used, b.open, b.copied = 0, 0, 0
		return
	}
	b.vec[0] = b.vec[0][n:]
}

// seal makes a piece of what was written to the arena since the last one.
func (b *Batch) seal() {
	if b.open < b.used {
		b.vec = append(b.vec, b.arena[b.open:b.used:b.used])
		b.open = b.used
	}
}

// admit says how many of the next n octets of c the batch can take in one FPDU with a header of head octets, and whether
// they would be copied. ok is false if the batch must be written first.
func (b *Batch) admit(head, n int, c cursor, volatile bool) (octets int, copied, ok bool) {
	room := len(b.arena) - b.used - head - trailerSize
	free := cap(b.vec) - len(b.vec) - 1 // one piece for the last trailer
	switch {
	case room < 0 || free < 0:
		return 0, false, false
	case n <= b.copies && n <= room:
		return n, true, true
	case n <= b.copies && !b.Empty():
		return 0, false, false
	}
	if volatile && n > len(b.spare)-b.copied {
		return 0, false, false
	}
	octets, _ = c.within(n, free-1) // one piece for what the arena holds before the payload
	if octets < n && !b.Empty() {
		return 0, false, false
	}
	return octets, false, true
}

// take returns the next n octets of the arena, to be written by the caller.
func (b *Batch) take(n int) []byte {
	b.used += n
	b.size += n
	return b.arena[b.used-n : b.used : b.used]
}

// addNamed puts n octets of c behind the header that begins at start, and returns the CRC of both.
func (b *Batch) addNamed(start, n int, c *cursor, crc, volatile bool) uint32 {
	var s uint32
	if crc {
		s = sum(0, b.arena[start:b.used])
	}
	if n > 0 {
		b.seal()
	}
	for n > 0 {
		piece := c.next(n)
		n -= len(piece)
		switch {
		case volatile:
			piece, s = b.hold(piece, s)
		case crc:
			s = sum(s, piece)
		}
		b.size += len(piece)
		b.vec = append(b.vec, piece)
	}
	return s
}

// hold copies a piece to the spare memory, which has room for it, and continues a CRC over the copy.
func (b *Batch) hold(piece []byte, s uint32) ([]byte, uint32) {
	held := b.spare[b.copied : b.copied+len(piece) : b.copied+len(piece)]
	b.copied += len(piece)
	return held, crc32c.Copy(s, held, piece)
}

// addCopy does the same with a copy of the octets.
func (b *Batch) addCopy(start, n int, c *cursor, crc bool) uint32 {
	for n > 0 {
		piece := c.next(n)
		n -= copy(b.take(len(piece)), piece)
	}
	if !crc {
		return 0
	}
	return sum(0, b.arena[start:b.used])
}

// addTrailer closes an FPDU with an ULPDU of n octets.
func (b *Batch) addTrailer(n int, s uint32, crc bool) {
	padding := b.take(pad(n))
	clear(padding)
	if crc {
		s = sum(s, padding)
	}
	binary.LittleEndian.PutUint32(b.take(crcSize), s)
}
