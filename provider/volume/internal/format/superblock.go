package format

import (
	"encoding/binary"
	"fmt"
	"math/bits"
)

// Where the two copies of a member's superblock are, and how long each is.
const (
	SuperblockA    = 0
	SuperblockB    = 64 << 10
	SuperblockSize = 4096
)

// Limits of a pool.
const (
	MaxMembers    = 128
	MinExtentSize = 64 << 10
	MaxExtentSize = 16 << 20
)

const (
	superMagic   = "unioPOOL"
	superMembers = 1024 // offset of the members' IDs
	flagSums     = 1 << 0
)

// A Superblock says what a member is. All but Generation stay as they were
// when the pool was made.
type Superblock struct {
	Pool       ID
	Generation uint64 // of the catalogue that was last opened with it, or an earlier one
	Index      int    // of this member
	Members    []ID   // of all, in their order
	ExtentSize int64  // bytes; a power of two
	Sums       bool   // there are checksums
	Size       int64  // bytes of the member that are used
	Extents    int64  // how many it has
	// Where things are, in bytes from the start of the member.
	Dirty, SumsAt, Data int64
	Log, LogSize        int64 // 0 on members without a log
}

// Encode returns the superblock's bytes, one copy.
func (s *Superblock) Encode() []byte {
	p := make([]byte, SuperblockSize)
	le := binary.LittleEndian
	copy(p, superMagic)
	le.PutUint32(p[8:], Version)
	copy(p[16:], s.Pool[:])
	le.PutUint64(p[32:], s.Generation)
	le.PutUint32(p[40:], uint32(s.Index))
	le.PutUint32(p[44:], uint32(len(s.Members)))
	le.PutUint64(p[48:], uint64(s.ExtentSize))
	if s.Sums {
		le.PutUint32(p[56:], flagSums)
	}
	for i, n := range []int64{s.Size, s.Extents, s.Dirty, s.SumsAt, s.Data, s.Log, s.LogSize} {
		le.PutUint64(p[64+8*i:], uint64(n))
	}
	for i, id := range s.Members {
		copy(p[superMembers+16*i:], id[:])
	}
	le.PutUint32(p[12:], seal(p, 12))
	return p
}

// DecodeSuperblock reads one copy. The error wraps ErrBlank, ErrForeign,
// ErrNewer or ErrDamaged.
func DecodeSuperblock(p []byte) (*Superblock, error) {
	le := binary.LittleEndian
	switch {
	case len(p) != SuperblockSize:
		return nil, fmt.Errorf("%w: %d bytes", ErrDamaged, len(p))
	case blank(p):
		return nil, ErrBlank
	case string(p[:8]) != superMagic:
		return nil, ErrForeign
	case le.Uint32(p[8:]) > Version:
		return nil, fmt.Errorf("%w: %d, this program knows %d", ErrNewer, le.Uint32(p[8:]), Version)
	case le.Uint32(p[12:]) != seal(p, 12):
		return nil, fmt.Errorf("%w: the superblock's checksum does not match", ErrDamaged)
	}
	s := &Superblock{Generation: le.Uint64(p[32:]), Index: int(le.Uint32(p[40:])), ExtentSize: int64(le.Uint64(p[48:]))}
	copy(s.Pool[:], p[16:])
	s.Sums = le.Uint32(p[56:])&flagSums != 0
	for i, n := range []*int64{&s.Size, &s.Extents, &s.Dirty, &s.SumsAt, &s.Data, &s.Log, &s.LogSize} {
		*n = int64(le.Uint64(p[64+8*i:]))
	}
	count := le.Uint32(p[44:])
	if count == 0 || count > MaxMembers || s.Index < 0 || s.Index >= int(count) {
		return nil, fmt.Errorf("%w: member %d of %d", ErrDamaged, s.Index, count)
	}
	for i := range int(count) {
		s.Members = append(s.Members, ID(p[superMembers+16*i:]))
	}
	return s, s.check()
}

// check says what is wrong with the layout.
func (s *Superblock) check() error {
	want := *s
	if !ValidExtentSize(s.ExtentSize) || s.Size < 0 || s.LogSize < 0 || s.LogSize > s.Size {
		return fmt.Errorf("%w: extents of %d bytes, %d bytes in all, log of %d", ErrDamaged, s.ExtentSize, s.Size, s.LogSize)
	}
	if err := want.Plan(); err != nil || want.Extents != s.Extents || want.Dirty != s.Dirty ||
		want.SumsAt != s.SumsAt || want.Data != s.Data || want.Log != s.Log {
		return fmt.Errorf("%w: the superblock contradicts itself", ErrDamaged)
	}
	return nil
}

// ValidExtentSize reports whether a pool may have extents of n bytes.
func ValidExtentSize(n int64) bool {
	return n >= MinExtentSize && n <= MaxExtentSize && bits.OnesCount64(uint64(n)) == 1
}

const (
	headAt = 128 << 10 // the heads of the log
	align  = 64 << 10  // of the areas
)

// Plan decides where things are, given ExtentSize, Sums, Size and LogSize. It
// fails when there is no room for a single extent.
func (s *Superblock) Plan() error {
	at := int64(headAt)
	s.Log = 0
	if s.LogSize > 0 {
		s.Log = at + LogHeads*LogHeadSize
		at = roundUp(s.Log+s.LogSize, align)
	}
	each := s.ExtentSize + 1 // an upper bound of what an extent takes
	if s.Sums {
		each += s.SumsSize()
	}
	s.Dirty = at
	for n := (s.Size - at) / each; n > 0; n-- {
		s.Extents = n
		s.SumsAt = roundUp(s.Dirty+s.DirtySectors()*DirtySectorSize, align)
		s.Data = s.SumsAt
		if s.Sums {
			s.Data = roundUp(s.SumsAt+n*s.SumsSize(), align)
		}
		if n <= (s.Size-s.Data)/s.ExtentSize {
			return nil
		}
	}
	return fmt.Errorf("a member of %d bytes has no room for one extent of %d", s.Size, s.ExtentSize)
}

// SumsSize is how many bytes the checksums of an extent take.
func (s *Superblock) SumsSize() int64 { return s.ExtentSize / SumBlock * 4 }

// SumsOf returns where the checksums of an extent are.
func (s *Superblock) SumsOf(extent int64) int64 { return s.SumsAt + extent*s.SumsSize() }

// DataOf returns where an extent is.
func (s *Superblock) DataOf(extent int64) int64 { return s.Data + extent*s.ExtentSize }

// DirtySectors is how many sectors the dirty map has.
func (s *Superblock) DirtySectors() int64 { return (s.Extents + DirtyPerSector - 1) / DirtyPerSector }

func roundUp(n, unit int64) int64 { return (n + unit - 1) &^ (unit - 1) }

// HeadOf returns where a head of the log is.
func (s *Superblock) HeadOf(h LogHead) int64 { return s.Log - (LogHeads-h.Slot())*LogHeadSize }
