package target

import (
	"math/rand/v2"
	"testing"
	"time"
)

// A pageSet finds what a look at each page finds.
func TestPageSetModel(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	t.Log("seed", seed)
	rng := rand.New(rand.NewPCG(seed, 0))
	for range 300 {
		var s pageSet
		var model [slabPages]bool
		for range rng.IntN(40) {
			i := rng.IntN(slabPages)
			n, in := 1+rng.IntN(slabPages-i), rng.IntN(3) > 0
			s.fill(i, n, in)
			for j := i; j < i+n; j++ {
				model[j] = in
			}
		}
		for _, n := range []int{1, 2, 3, 15, 16, 63, 64, 65, 127, 128, 129, 200, 255, 256} {
			first, last := -1, -1
			for i, run := slabPages-1, 0; i >= 0; i-- {
				if run++; !model[i] {
					run = 0
				}
				if run >= n {
					first, last = i, max(last, i)
				}
			}
			runs := s.runs(n)
			if runs.first() != first || runs.last() != last {
				t.Fatalf("runs of %d pages begin from %d to %d, want %d to %d", n, runs.first(), runs.last(), first, last)
			}
		}
	}
}

// What an extent gives out is its own, whole pages, and nobody else's.
func TestExtentModel(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	t.Log("seed", seed)
	rng := rand.New(rand.NewPCG(seed, 0))
	memory := make([]byte, 37*pageSize)
	e := newExtent(memory)
	owner := map[int][]byte{} // by page
	var out [][]byte
	for range 20000 {
		if rng.IntN(2) == 0 && len(out) > 0 {
			i := rng.IntN(len(out))
			p := out[i]
			out[i], out = out[len(out)-1], out[:len(out)-1]
			at := int(address(p)-e.start) / pageSize
			for j := range cap(p) / pageSize {
				delete(owner, at+j)
			}
			e.put(p)
			continue
		}
		n := 1 + rng.IntN(largestPiece)
		hole := e.hole()
		p := e.take(n)
		if (p == nil) != (int64(n) > hole) {
			t.Fatalf("%d bytes where the largest hole has %d: %v", n, hole, p != nil)
		}
		if p == nil {
			continue
		}
		if len(p) != n || cap(p)%pageSize != 0 || cap(p)-n >= pageSize || !e.has(address(p)) || (address(p)-e.start)%pageSize != 0 {
			t.Fatalf("%d bytes, capacity %d, for %d", len(p), cap(p), n)
		}
		at := int(address(p)-e.start) / pageSize
		for j := range cap(p) / pageSize {
			if owner[at+j] != nil || at+j >= 37 {
				t.Fatal("memory was given out twice, or is not the extent's")
			}
			owner[at+j] = p
		}
		out = append(out, p)
		if e.used != int64(len(owner))*pageSize {
			t.Fatalf("%d bytes used, counted as %d", len(owner)*pageSize, e.used)
		}
	}
}
