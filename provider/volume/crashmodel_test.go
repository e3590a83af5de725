package volume

import (
	"encoding/binary"
	"fmt"
	"slices"

	"github.com/unio-stack/unio"
)

// unitSize bytes are never torn, in the crash tests.
const unitSize = 512

// stampUnit is what a write with that stamp stores in a unit. Stamp 0 is zeroes.
func stampUnit(p []byte, stamp uint32, unit int64) {
	if stamp == 0 {
		clear(p[:unitSize])
		return
	}
	x := uint64(stamp)<<32 | uint64(unit)
	for i := 0; i < unitSize; i += 8 {
		binary.LittleEndian.PutUint64(p[i:], x+uint64(i)*0x9e3779b97f4a7c15)
	}
}

func readStamp(p []byte) uint32 { return uint32(binary.LittleEndian.Uint64(p) >> 32) }

// appended is what an Append with that stamp stores.
func appended(n int, stamp uint32) []byte {
	p := make([]byte, n)
	for i := range p {
		p[i] = byte(stamp) | 1
		if i < 4 {
			p[i] = byte(stamp >> (8 * i))
		}
	}
	return p
}

// A modelUnit is what a unit may hold after a crash.
type modelUnit struct {
	stamps []uint32 // versions, oldest first; those before the durable one are gone
	done   int      // that one has completed
}

// A modelVolume is what a volume may be after a crash.
type modelVolume struct {
	names   []string // one of them
	gone    bool     // it may be that there is none
	absent  bool     // there is none
	sizes   []int64  // one of them; the last is that of now
	units   []modelUnit
	scratch bool
	appends bool  // it is only appended to
	acked   int64 // appended, and known to be
	tail    []tailPiece
	content []byte // of acked

	reg *unio.Region
}

// A tailPiece is an Append in flight.
type tailPiece struct {
	n     int
	stamp uint32
}

func (v *modelVolume) size() int64 { return v.sizes[len(v.sizes)-1] }

// post notes that units may get a new version.
func (v *modelVolume) post(off, n int64, stamp uint32) {
	for u := off / unitSize; u < (off+n)/unitSize; u++ {
		v.units[u].stamps = append(v.units[u].stamps, stamp)
	}
}

// settle notes that the version with the stamp has completed, and whether it is
// durable.
func (v *modelVolume) settle(off, n int64, stamp uint32, durable bool) {
	for u := off / unitSize; u < (off+n)/unitSize; u++ {
		mu := &v.units[u]
		i := slices.Index(mu.stamps, stamp)
		if stamp == 0 {
			i = len(mu.stamps) - 1 // nothing else is in flight to the unit
		}
		mu.done = max(mu.done, i)
		if durable {
			mu.settled(mu.done)
		}
	}
}

func (mu *modelUnit) settled(i int) {
	if i > 0 {
		mu.stamps = append(mu.stamps[:0], mu.stamps[i:]...)
		mu.done -= i
	}
}

// A modelFlush remembers what had completed when a flush was posted, as stamps.
type modelFlush struct{ stamps []uint32 }

func (v *modelVolume) beginFlush() modelFlush {
	var f modelFlush
	for i := range v.units {
		f.stamps = append(f.stamps, v.units[i].stamps[v.units[i].done])
	}
	return f
}

func (v *modelVolume) endFlush(f modelFlush) {
	for i, s := range f.stamps {
		if i < len(v.units) {
			mu := &v.units[i]
			if k := slices.Index(mu.stamps, s); k > 0 && k <= mu.done && s != 0 {
				mu.settled(k)
			}
		}
	}
}

// judge says what is wrong with the content of the volume after a crash.
func (v *modelVolume) judge(p []byte) error {
	if v.scratch {
		for i, b := range p {
			if b != 0 {
				return fmt.Errorf("byte %d of a scratch volume is %#x", i, b)
			}
		}
		return nil
	}
	var want [unitSize]byte
	for u := range int64(len(p) / unitSize) {
		got := p[u*unitSize:][:unitSize]
		stamp := readStamp(got)
		stampUnit(want[:], stamp, u)
		switch {
		case string(got) != string(want[:]):
			return fmt.Errorf("unit %d is torn, or of another volume: %x, allowed %v", u, got[:16], v.units[u].stamps)
		case !slices.Contains(v.units[u].stamps, stamp):
			return fmt.Errorf("unit %d has version %d of %v", u, stamp, v.units[u].stamps)
		}
	}
	return nil
}

// judgeAppends says what is wrong with the content of a volume that is appended
// to, whose next Append would be at position.
func (v *modelVolume) judgeAppends(p []byte, position int64) error {
	if position < v.acked {
		return fmt.Errorf("the position is %d after a crash, %d bytes were appended", position, v.acked)
	}
	if string(p[:v.acked]) != string(v.content) {
		return fmt.Errorf("what was appended is not there")
	}
	rest := p[v.acked:position]
	left := slices.Clone(v.tail)
	for len(rest) > 0 {
		i := slices.IndexFunc(left, func(t tailPiece) bool {
			return t.n <= len(rest) && string(rest[:t.n]) == string(appended(t.n, t.stamp))
		})
		if i < 0 {
			return fmt.Errorf("at %d there is no append: %x, in flight %v", position-int64(len(rest)), rest[:min(16, len(rest))], left)
		}
		rest = rest[left[i].n:]
		left = slices.Delete(left, i, i+1)
	}
	return nil
}

// A modelAtomic is a WriteAtomic that has not completed, or not long ago.
type modelAtomic struct {
	v      *modelVolume
	ranges []unio.Range
	stamp  uint32
}

// judge says whether a crash has left a part of it.
func (a *modelAtomic) judge(content func(*modelVolume) []byte) error {
	p := content(a.v)
	yes, no := 0, 0
	for _, g := range a.ranges {
		for u := g.Offset / unitSize; u < (g.Offset+g.Length)/unitSize; u++ {
			stamps := a.v.units[u].stamps
			if (u+1)*unitSize > int64(len(p)) || stamps[len(stamps)-1] != a.stamp {
				continue // overwritten or cut off since
			}
			if readStamp(p[u*unitSize:]) == a.stamp {
				yes++
			} else {
				no++
			}
		}
	}
	if yes > 0 && no > 0 {
		return fmt.Errorf("of an atomic write %d units are there and %d are not", yes, no)
	}
	return nil
}
