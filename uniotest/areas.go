package uniotest

import (
	"bytes"
	"fmt"
	"math/rand/v2"

	"github.com/unio-stack/unio"
)

// areas hands out request memory of every kind an application may have: heap
// slices, Buffers, and pieces of both at any address. It belongs to one
// goroutine.
type areas struct {
	rng    *rand.Rand
	buffer []byte // page-aligned, outside the Go heap
	next   int    // first byte of buffer not handed out
}

const (
	arenaSize = 8 << 20
	guardSize = 32
	guardByte = 0xC3
	// poisonByte overwrites memory that the application has back. Payloads
	// never contain it.
	poisonByte = 0xDB
)

// newAreas returns areas whose Buffer is freed at the end of the check.
func newAreas(r *rig) *areas {
	r.Helper()
	b, err := unio.NewBuffer(arenaSize)
	if err != nil {
		r.Fatal(err)
	}
	r.Cleanup(func() {
		if r.wedged.Load() {
			return // a device may still use it
		}
		if err := b.Free(); err != nil {
			r.Error(err)
		}
	})
	return &areas{rng: r.fork(), buffer: b.Bytes()}
}

// An area is the memory of one request, with guards around every piece.
type area struct {
	pieces [][]byte
	guards [][]byte
	vec    bool
	n      int
}

// reset takes back all memory of the Buffer. No area may be in use.
func (a *areas) reset() { a.next = 0 }

// get returns an area of n bytes, of a random kind.
func (a *areas) get(n int) *area {
	if a.rng.IntN(4) == 0 && n > 1 {
		return a.vector(n)
	}
	ar := &area{n: n}
	a.add(ar, n)
	return ar
}

// vector returns an area of several pieces, most of them of odd length.
func (a *areas) vector(n int) *area {
	ar := &area{n: n, vec: true}
	unit := 1
	if a.rng.IntN(3) == 0 {
		unit = 512 << a.rng.IntN(4)
	}
	for left := n; left > 0; {
		k := min(left, unit*(1+a.rng.IntN(max(1, 2*n/unit/5+1))))
		if len(ar.pieces) == unio.MaxVec-1 {
			k = left
		}
		a.add(ar, k)
		left -= k
	}
	return ar
}

// add gives the area another piece.
func (a *areas) add(ar *area, n int) {
	off := guardSize + a.rng.IntN(64)
	var room []byte
	if a.rng.IntN(2) == 0 {
		room, off = a.fromBuffer(n)
	}
	if room == nil {
		room = make([]byte, off+n+guardSize)
	}
	before, piece, after := room[:off:off], room[off:off+n:off+n], room[off+n:off+n+guardSize]
	fillByte(before, guardByte)
	fillByte(after, guardByte)
	ar.guards = append(ar.guards, before, after)
	ar.pieces = append(ar.pieces, piece)
}

// fromBuffer returns room for a piece of n bytes at off, aligned or not.
func (a *areas) fromBuffer(n int) (room []byte, off int) {
	const page = 4096
	at := a.next + guardSize
	switch a.rng.IntN(3) {
	case 0:
		at += a.rng.IntN(100)
	case 1:
		at = (at + 511) &^ 511
	default:
		at = (at + page - 1) &^ (page - 1)
	}
	end := at + n + guardSize
	if end > len(a.buffer) {
		return nil, guardSize
	}
	from := at - guardSize
	a.next = end
	return a.buffer[from:end], guardSize
}

// attach makes the area the memory of the request.
func (ar *area) attach(q *unio.Request) {
	if ar.vec {
		q.Vec = ar.pieces
		return
	}
	q.Data = ar.pieces[0]
}

// store copies p, of the area's length, into it.
func (ar *area) store(p []byte) {
	for _, piece := range ar.pieces {
		copy(piece, p)
		p = p[len(piece):]
	}
}

// load returns a copy of the area's bytes.
func (ar *area) load() []byte {
	if len(ar.pieces) == 1 {
		return bytes.Clone(ar.pieces[0])
	}
	return bytes.Join(ar.pieces, nil)
}

// poison overwrites the area.
func (ar *area) poison() {
	for _, p := range ar.pieces {
		fillByte(p, poisonByte)
	}
}

// changed says where something has written to a poisoned area, or to the
// guards of any.
func (ar *area) changed(poisoned bool) error {
	for i, g := range ar.guards {
		if at := other(g, guardByte); at >= 0 {
			side := "before"
			if i%2 == 1 {
				side = "after"
			}
			return fmt.Errorf("memory %s piece %d of %d was written to: guard byte %d of %d is %#x", side, i/2, len(ar.pieces), at, len(g), g[at])
		}
	}
	for i, p := range ar.pieces {
		if at := other(p, poisonByte); poisoned && at >= 0 {
			return fmt.Errorf("memory was written to after its request had completed: byte %d of piece %d is %#x", at, i, p[at])
		}
	}
	return nil
}

// fillByte sets every byte of p.
func fillByte(p []byte, b byte) {
	for n := copy(p, []byte{b}); n > 0 && n < len(p); n *= 2 {
		copy(p[n:], p[:n])
	}
}

// other returns the index of the first byte of p that is not b, or -1.
func other(p []byte, b byte) int {
	if bytes.Count(p, []byte{b}) == len(p) {
		return -1
	}
	for i, c := range p {
		if c != b {
			return i
		}
	}
	return -1
}
