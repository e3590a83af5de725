package workload

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
)

// A stamped block says what it is, so that whoever reads it can tell lost,
// stale, misplaced and damaged bytes apart. All numbers are little-endian:
//
//	 0  magic, "unioblk1"
//	 8  offset of the block in its region
//	16  generation: how often this run has written the block
//	24  seed of the run
//	32  CRC32C of everything else, then 4 zero bytes
//	40  words that follow from offset, generation and seed
const (
	stampMagic  = 0x316b6c626f696e75
	stampHeader = 40
	minStamped  = 64
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// stamp fills a block.
func stamp(b []byte, offset int64, generation uint32, seed uint64) {
	le := binary.LittleEndian
	le.PutUint64(b, stampMagic)
	le.PutUint64(b[8:], uint64(offset))
	le.PutUint64(b[16:], uint64(generation))
	le.PutUint64(b[24:], seed)
	x := uint64(offset)*0x9e3779b97f4a7c15 ^ uint64(generation)<<40 ^ seed | 1
	for i := stampHeader; i+8 <= len(b); i += 8 {
		x ^= x << 13
		x ^= x >> 7
		x ^= x << 17
		le.PutUint64(b[i:], x)
	}
	le.PutUint64(b[32:], uint64(checksum(b)))
}

// checksum covers the block but for the eight bytes where it is stored.
func checksum(b []byte) uint32 {
	return crc32.Update(crc32.Update(0, castagnoli, b[:32]), castagnoli, b[stampHeader:])
}

// The ways in which a block can be wrong.
const (
	WrongZeroes    = "zeroes"    // no block was written here, or it was lost
	WrongForeign   = "foreign"   // not a stamped block
	WrongChecksum  = "checksum"  // damaged after it was stamped
	WrongMisplaced = "misplaced" // belongs elsewhere
	WrongStale     = "stale"     // an older or a foreign run's version
)

// A Mismatch is a block that is not what was written there.
type Mismatch struct {
	Offset int64  `json:"offset"` // of the block in the region
	Kind   string `json:"kind"`   // one of the Wrong constants
	Detail string `json:"detail"`
}

func (m Mismatch) String() string {
	return fmt.Sprintf("offset %d: %s: %s", m.Offset, m.Kind, m.Detail)
}

// inspect returns nil if b is the block of that offset, in that generation of
// the run with that seed. Generation 0 accepts any generation of any run.
func inspect(b []byte, offset int64, generation uint32, seed uint64) *Mismatch {
	le := binary.LittleEndian
	at, gen, run := int64(le.Uint64(b[8:])), le.Uint64(b[16:]), le.Uint64(b[24:])
	wrong := func(kind, format string, args ...any) *Mismatch {
		return &Mismatch{offset, kind, fmt.Sprintf(format, args...)}
	}
	switch {
	case le.Uint64(b) == stampMagic && le.Uint64(b[32:]) == uint64(checksum(b)):
		switch {
		case at != offset:
			return wrong(WrongMisplaced, "this is the block of offset %d", at)
		case generation == 0:
			return nil
		case run != seed:
			return wrong(WrongStale, "written by another run (seed %d)", run)
		case gen != uint64(generation):
			return wrong(WrongStale, "generation %d, want %d", gen, generation)
		}
		return nil
	case zero(b):
		return wrong(WrongZeroes, "all bytes are zero")
	case at == offset || le.Uint64(b) == stampMagic:
		first, n := damage(b, offset, uint32(gen), run)
		return wrong(WrongChecksum, "%d of %d bytes differ, first at byte %d", n, len(b), offset+int64(first))
	}
	return wrong(WrongForeign, "not written by unio bench --verify")
}

// damage compares b with what its own header says it should be.
func damage(b []byte, offset int64, generation uint32, seed uint64) (first, n int) {
	want := make([]byte, len(b))
	stamp(want, offset, generation, seed)
	first = -1
	for i := range b {
		if b[i] != want[i] {
			if n++; first < 0 {
				first = i
			}
		}
	}
	return max(first, 0), n
}

func zero(b []byte) bool {
	for _, c := range b {
		if c != 0 {
			return false
		}
	}
	return true
}
