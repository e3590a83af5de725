package target

import "math/bits"

const (
	pageSize  = 1 << smallestShift
	slabPages = slabSize / pageSize
)

// A pageSet has a bit for each page of a slab.
type pageSet [slabPages / bits.UintSize]uint

// fill adds or removes n pages from the i-th on.
func (s *pageSet) fill(i, n int, in bool) {
	for ; n > 0; i, n = i+1, n-1 {
		if in {
			s[i/bits.UintSize] |= 1 << (i % bits.UintSize)
		} else {
			s[i/bits.UintSize] &^= 1 << (i % bits.UintSize)
		}
	}
}

// runs returns the pages of the set that n pages in a row begin with, which are in it. n is 1 to slabPages.
func (s pageSet) runs(n int) pageSet {
	for have := 1; have < n; {
		step := min(have, n-have)
		for i, down := range s.down(step) {
			s[i] &= down
		}
		have += step
	}
	return s
}

// down moves each page down by n, 1 to slabPages-1.
func (s *pageSet) down(n int) (d pageSet) {
	words, rest := n/bits.UintSize, n%bits.UintSize
	for i := words; i < len(s); i++ {
		d[i-words] = s[i] >> rest
		if i+1 < len(s) {
			d[i-words] |= s[i+1] << (bits.UintSize - rest)
		}
	}
	return d
}

// first returns the first page, or -1.
func (s *pageSet) first() int {
	for i, w := range s {
		if w != 0 {
			return i*bits.UintSize + bits.TrailingZeros(w)
		}
	}
	return -1
}

// last returns the last page, or -1.
func (s *pageSet) last() int {
	for i := len(s) - 1; i >= 0; i-- {
		if s[i] != 0 {
			return i*bits.UintSize + bits.Len(s[i]) - 1
		}
	}
	return -1
}

// An extent is a slab, or part of one, of which pieces of any number of pages are given out. It has a guard, which is its
// user's.
type extent struct {
	memory []byte  // whole pages, at most a slab; immutable
	start  uintptr // its address; immutable
	free   pageSet
	used   int64 // bytes
}

func newExtent(memory []byte) *extent {
	e := &extent{memory: memory, start: address(memory)}
	e.free.fill(0, len(memory)/pageSize, true)
	return e
}

// take returns n bytes, or nil; the capacity is whole pages. What is small is taken from the end, so that it leaves no holes
// between what is large.
func (e *extent) take(n int) []byte {
	pages := (n + pageSize - 1) / pageSize
	if e.used+int64(pages)*pageSize > int64(len(e.memory)) {
		return nil
	}
	runs := e.free.runs(pages)
	at := runs.first()
	if at >= 0 && isSmall(n) {
		at = runs.last()
	}
	if at < 0 {
		return nil
	}
	e.free.fill(at, pages, false)
	e.used += int64(pages) * pageSize
	return e.memory[at*pageSize:][: n : pages*pageSize]
}

// isSmall reports whether a piece is less than half of the largest.
func isSmall(n int) bool { return n < largestPiece/2 }

// put takes a piece back.
func (e *extent) put(p []byte) {
	e.free.fill(int(address(p)-e.start)/pageSize, cap(p)/pageSize, true)
	e.used -= int64(cap(p))
}

// has reports whether an address is in the extent.
func (e *extent) has(addr uintptr) bool {
	return addr >= e.start && addr-e.start < uintptr(len(e.memory))
}

// hole returns how many bytes could be taken at a time.
func (e *extent) hole() int64 {
	low, high := 0, slabPages // what is possible, and one more than may be
	for high++; low+1 < high; {
		n := (low + high) / 2
		if runs := e.free.runs(n); runs.first() >= 0 {
			low = n
		} else {
			high = n
		}
	}
	return int64(low) * pageSize
}
