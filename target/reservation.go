package target

import (
	"cmp"
	"slices"
	"sort"
)

// A reservation is memory of one connection, which no other gets while the connection has it. It is guarded by the mutex of
// the arena that the connection borrows from otherwise.
type reservation struct {
	pool    *pool
	extents []*extent // by address
	bytes   int64     // in extents; immutable
	used    int64     // of those
	ended   bool      // nothing more is taken, and with the last piece it is given back
}

// setAside returns how many bytes are to be reserved so that n bytes fit in pieces of one size, whatever that is. If there is
// more than one slab, each may have an end that is too short for a piece.
func setAside(n int64) int64 {
	n = (n + pageSize - 1) &^ (pageSize - 1)
	if n > slabSize {
		n += (n + slabSize - 1) / slabSize * (largestPiece - pageSize)
	}
	return n
}

// fitsAside returns the most that so many bytes can be set aside for.
func fitsAside(n int64) int64 {
	pages := sort.Search(int(n/pageSize), func(i int) bool { return setAside(int64(i+1)*pageSize) > n })
	return int64(pages) * pageSize
}

// take returns n bytes, or nil. What is small is looked for from the end, as in an extent.
func (r *reservation) take(n int) (p []byte) {
	if r == nil || r.ended || r.used == r.bytes {
		return nil
	}
	for i := range r.extents {
		e := r.extents[i]
		if isSmall(n) {
			e = r.extents[len(r.extents)-1-i]
		}
		if p = e.take(n); p != nil {
			r.used += int64(cap(p))
			return p
		}
	}
	return nil
}

// of returns the extent that a piece is from, or nil.
func (r *reservation) of(p []byte) *extent {
	if r == nil || r.used == 0 {
		return nil
	}
	addr := address(p)
	i, exact := slices.BinarySearchFunc(r.extents, addr, func(e *extent, addr uintptr) int { return cmp.Compare(e.start, addr) })
	if !exact {
		i--
	}
	if i < 0 || !r.extents[i].has(addr) {
		return nil
	}
	return r.extents[i]
}

// put takes a piece back, and reports whether it is from here.
func (r *reservation) put(p []byte) bool {
	e := r.of(p)
	if e == nil {
		return false
	}
	e.put(p)
	r.used -= int64(cap(p))
	r.giveBack()
	return true
}

// end has the pool get everything back, now or with the last piece.
func (r *reservation) end() {
	if r != nil {
		r.ended = true
		r.giveBack()
	}
}

func (r *reservation) giveBack() {
	if !r.ended || r.used > 0 || r.extents == nil {
		return
	}
	r.pool.unreserve(r.extents)
	r.extents = nil
}
