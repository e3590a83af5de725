package memory

import "sync/atomic"

// marks is a set of units of a mapping, each 1<<shift bytes, that anyone may
// read and change at any time.
type marks struct {
	shift uint            // immutable after newMarks
	words []atomic.Uint64 // a bit per unit; the slice is immutable
}

// newMarks returns an empty set of the units that size bytes need.
func newMarks(size int64, shift uint) marks {
	units := (uint64(size)-1)>>shift + 1
	return marks{shift: shift, words: make([]atomic.Uint64, (units+63)/64)}
}

// has reports whether the unit is marked. The unit must exist.
func (k *marks) has(unit uint64) bool {
	return k.words[unit/64].Load()>>(unit%64)&1 != 0
}

// covers reports whether all units from first to last are marked.
func (k *marks) covers(first, last uint64) bool {
	for w := first / 64; w <= last/64; w++ {
		mask := wordMask(w, first, last)
		if k.words[w].Load()&mask != mask {
			return false
		}
	}
	return true
}

// set marks the units from first to last.
func (k *marks) set(first, last uint64) {
	for w := first / 64; w <= last/64; w++ {
		k.words[w].Or(wordMask(w, first, last))
	}
}

// clear unmarks the units from first to last.
func (k *marks) clear(first, last uint64) {
	for w := first / 64; w <= last/64; w++ {
		k.words[w].And(^wordMask(w, first, last))
	}
}

// clearAll unmarks every unit. It writes only to words that have marks, so
// that a large empty set stays untouched memory.
func (k *marks) clearAll() {
	for w := range k.words {
		if k.words[w].Load() != 0 {
			k.words[w].Store(0)
		}
	}
}

// missing returns the first and the last unmarked unit from first to last, or
// false when there is none.
func (k *marks) missing(first, last uint64) (lo, hi uint64, some bool) {
	for lo = first; lo <= last && k.has(lo); lo++ {
	}
	if lo > last {
		return 0, 0, false
	}
	for hi = last; k.has(hi); hi-- {
		if hi == lo { // marked meanwhile by another goroutine
			return 0, 0, false
		}
	}
	return lo, hi, true
}

// wordMask returns the bits of word w that stand for units from first to last.
func wordMask(w, first, last uint64) uint64 {
	mask := ^uint64(0)
	if w == first/64 {
		mask <<= first % 64
	}
	if w == last/64 {
		mask &= ^uint64(0) >> (63 - last%64)
	}
	return mask
}
