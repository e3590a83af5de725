// Package space keeps account of the extents of a pool: which are free, and
// which to take next. It knows nothing of what is in them, and does no I/O. A
// [Map] belongs to one goroutine.
package space

import (
	"fmt"
	"math/bits"
)

// A Place names an extent: a member of the pool and the extent's number there.
// The zero Place is none.
type Place int64

const memberShift = 40

// At returns the Place of an extent.
func At(member int, extent int64) Place { return Place(int64(member+1)<<memberShift | extent) }

// Member returns which member the extent is on.
func (p Place) Member() int { return int(p>>memberShift) - 1 }

// Extent returns the extent's number on its member.
func (p Place) Extent() int64 { return int64(p) & (1<<memberShift - 1) }

// String returns the place for people.
func (p Place) String() string { return fmt.Sprintf("extent %d of member %d", p.Extent(), p.Member()) }

// A Map says which extents are in use.
type Map struct {
	members []member
	free    int64
}

type member struct {
	used   []uint64 // a bit for each extent; those past the end are set
	n      int64
	free   int64
	cursor int64 // where to look for the next
}

// New returns a map of members with so many extents each, all free.
func New(extents ...int64) *Map {
	m := &Map{}
	for _, n := range extents {
		b := member{used: make([]uint64, (n+63)/64), n: n, free: n}
		if rest := n % 64; rest != 0 {
			b.used[len(b.used)-1] = ^uint64(0) << rest
		}
		m.members = append(m.members, b)
		m.free += n
	}
	return m
}

// Free returns how many extents are free.
func (m *Map) Free() int64 { return m.free }

// Valid reports whether there is such a place.
func (m *Map) Valid(p Place) bool {
	i := p.Member()
	return p > 0 && i >= 0 && i < len(m.members) && p.Extent() < m.members[i].n
}

// Used reports whether a valid place is in use.
func (m *Map) Used(p Place) bool {
	e := p.Extent()
	return m.members[p.Member()].used[e/64]>>(e%64)&1 != 0
}

// Take marks a free, valid place as used, and reports false if it was.
func (m *Map) Take(p Place) bool {
	if m.Used(p) {
		return false
	}
	b, e := &m.members[p.Member()], p.Extent()
	b.used[e/64] |= 1 << (e % 64)
	b.free--
	m.free--
	return true
}

// Release makes a place free again. It panics when it is free, since then it
// would be given out twice.
func (m *Map) Release(p Place) {
	b, e := &m.members[p.Member()], p.Extent()
	if !m.Used(p) {
		panic(fmt.Sprintf("space: %v is free already", p))
	}
	b.used[e/64] &^= 1 << (e % 64)
	b.free++
	m.free++
}

// Next takes a free place and returns it: the one after near if there is one
// and it is free, or else one on the member with the most room. It returns
// none when nothing is free.
func (m *Map) Next(near Place) Place {
	if near != 0 && m.Valid(near+1) && m.Take(near+1) {
		return near + 1
	}
	most := 0
	for i := range m.members {
		if m.members[i].free > m.members[most].free {
			most = i
		}
	}
	b := &m.members[most]
	if b.free == 0 {
		return 0
	}
	p := At(most, b.next())
	m.Take(p)
	return p
}

// next returns the first free extent from the cursor on. There is one.
func (b *member) next() int64 {
	words := int64(len(b.used))
	start := b.cursor / 64
	for i := range words + 1 {
		w := (start + i) % words
		free := ^b.used[w]
		if i == 0 {
			free &= ^uint64(0) << (b.cursor % 64)
		}
		if free != 0 {
			e := w*64 + int64(bits.TrailingZeros64(free))
			b.cursor = (e + 1) % b.n
			return e
		}
	}
	panic("space: the count of free extents is wrong")
}
