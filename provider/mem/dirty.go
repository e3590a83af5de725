package mem

import (
	"math/bits"
	"sync/atomic"
)

// dirtyPages is the set of 4 KiB pages of a region with writes that are not
// durable. Anyone may add at any time, one goroutine at a time may take.
//
// There are two levels, so that to take what is in a small set costs little
// however large the region is: a bit of words is a page, a bit of summary says
// that there may be bits in one of words. add sets them from the bottom up and
// take clears them from the top down, so whatever is added before take begins
// is found by it, or by a take that comes later if it is added meanwhile.
type dirtyPages struct {
	words   []atomic.Uint64 // length immutable
	summary []atomic.Uint64 // length immutable
}

const (
	dirtyShift = 12
	wordBits   = 64
)

func newDirtyPages(size int64) dirtyPages {
	pages := (size-1)>>dirtyShift + 1
	words := (pages + wordBits - 1) / wordBits
	return dirtyPages{
		words:   make([]atomic.Uint64, words),
		summary: make([]atomic.Uint64, (words+wordBits-1)/wordBits),
	}
}

// add puts the pages of n > 0 bytes at off into the set. Its locked
// instruction also orders the bytes written before it.
func (d *dirtyPages) add(off, n int64) {
	first, last := uint64(off)>>dirtyShift, uint64(off+n-1)>>dirtyShift
	for w := first / wordBits; w <= last/wordBits; w++ {
		mask := ^uint64(0)
		if w == first/wordBits {
			mask <<= first % wordBits
		}
		if w == last/wordBits {
			mask &= ^uint64(0) >> (wordBits - 1 - last%wordBits)
		}
		d.words[w].Or(mask)
		if s, bit := &d.summary[w/wordBits], uint64(1)<<(w%wordBits); s.Load()&bit == 0 {
			s.Or(bit)
		}
	}
}

// take empties the set and calls f with the ranges, in bytes and whole pages,
// that were in it.
func (d *dirtyPages) take(f func(off, n int64)) {
	for i := range d.summary {
		if d.summary[i].Load() == 0 {
			continue
		}
		for s := d.summary[i].Swap(0); s != 0; s &= s - 1 {
			w := i*wordBits + bits.TrailingZeros64(s)
			takeWord(d.words[w].Swap(0), int64(w)*wordBits, f)
		}
	}
}

// takeWord calls f for each run of bits, the lowest of which is page base.
func takeWord(set uint64, base int64, f func(off, n int64)) {
	for set != 0 {
		start := bits.TrailingZeros64(set)
		run := bits.TrailingZeros64(^(set >> start))
		f((base+int64(start))<<dirtyShift, int64(run)<<dirtyShift)
		set &^= (1<<run - 1) << start
	}
}
