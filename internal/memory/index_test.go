package memory

import (
	"math/rand/v2"
	"testing"
	"unsafe"
)

// slowFind is the twin of spanIndex.find: it looks at every span.
func slowFind(spans []span, addr uintptr) *Block {
	for _, s := range spans {
		if s.start <= addr && addr < s.end {
			return s.block
		}
	}
	return nil
}

// checkIndex verifies what the fields of spanIndex promise.
func checkIndex(t *testing.T, x *spanIndex, want int) {
	t.Helper()
	if len(x.lows) != len(x.leaves) {
		t.Fatalf("%d lows for %d leaves", len(x.lows), len(x.leaves))
	}
	count, end := 0, uintptr(0)
	for i, leaf := range x.leaves {
		if len(leaf) == 0 || len(leaf) > leafSpans || x.lows[i] != leaf[0].start {
			t.Fatalf("leaf %d has %d spans and low %#x", i, len(leaf), x.lows[i])
		}
		for _, s := range leaf {
			if s.start < end || s.end <= s.start {
				t.Fatalf("span [%#x, %#x) after one that ends at %#x", s.start, s.end, end)
			}
			end = s.end
			count++
		}
	}
	if count != want {
		t.Fatalf("the index has %d spans, want %d", count, want)
	}
}

// TestIndexAgainstTwin grows and shrinks an index of made-up spans and compares
// each answer, also that of an index published before, with the slow twin.
func TestIndexAgainstTwin(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	rnd := rand.New(rand.NewPCG(seed, 0))
	const slots = 2000
	var used [slots]*Block
	var spans []span
	x := &spanIndex{}
	old, oldSpans := x, spans
	for step := range 12000 {
		// Long phases of mostly growing and mostly shrinking.
		grow := rnd.IntN(10) < 8
		if step/3000%2 == 1 {
			grow = !grow
		}
		if grow {
			x, spans = addRandom(rnd, x, spans, used[:])
		} else if len(spans) > 0 {
			i := rnd.IntN(len(spans))
			x = x.without(spans[i])
			used[(spans[i].start-1000)/100] = nil
			spans[i] = spans[len(spans)-1]
			spans = spans[:len(spans)-1]
		}
		probe := uintptr(rnd.IntN(1000 + slots*100 + 500))
		if got, want := x.find(probe), slowFind(spans, probe); got != want {
			t.Fatalf("step %d: find(%d) = %v, want %v", step, probe, got, want)
		}
		if got, want := old.find(probe), slowFind(oldSpans, probe); got != want {
			t.Fatalf("step %d: an older index changed at %d", step, probe)
		}
		if step%500 == 0 {
			checkIndex(t, x, len(spans))
			old, oldSpans = x, append([]span(nil), spans...)
		}
	}
	for _, s := range spans {
		x = x.without(s)
	}
	checkIndex(t, x, 0)
}

// addRandom adds a span of random length in a random free slot, if it finds one.
func addRandom(rnd *rand.Rand, x *spanIndex, spans []span, used []*Block) (*spanIndex, []span) {
	slot := rnd.IntN(len(used))
	if used[slot] != nil {
		return x, spans
	}
	used[slot] = &Block{}
	start := uintptr(1000 + slot*100)
	s := span{start, start + 1 + uintptr(rnd.IntN(100)), used[slot]}
	return x.with(s), append(spans, s)
}

// TestIndexStaysSmall frees all but a few blocks and expects the leaves to be
// joined, so that later updates do not pay for past ones.
func TestIndexStaysSmall(t *testing.T) {
	x := &spanIndex{}
	var spans []span
	for i := range 20000 {
		s := span{uintptr(i+1) * 10, uintptr(i+1)*10 + 10, &Block{}}
		spans = append(spans, s)
		x = x.with(s)
	}
	for i, s := range spans {
		if i%100 != 0 {
			x = x.without(s)
		}
	}
	checkIndex(t, x, 200)
	if len(x.leaves) > 20 {
		t.Errorf("%d leaves for 200 spans", len(x.leaves))
	}
}

// TestFindAgainstTwin does the same with real blocks.
func TestFindAgainstTwin(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	rnd := rand.New(rand.NewPCG(seed, 1))
	var blocks []*Block
	for range 1500 {
		if rnd.IntN(5) < 3 || len(blocks) == 0 {
			blocks = append(blocks, mustAlloc(t, 1+rnd.IntN(4*int(pageSize))))
		} else {
			i := rnd.IntN(len(blocks))
			if err := blocks[i].Free(); err != nil {
				t.Fatal(err)
			}
			blocks[i] = blocks[len(blocks)-1]
			blocks = blocks[:len(blocks)-1]
		}
		if len(blocks) == 0 {
			continue
		}
		near := blocks[rnd.IntN(len(blocks))].base
		p := unsafe.Add(near, rnd.IntN(20*int(pageSize))-10*int(pageSize))
		var spans []span
		for _, b := range blocks {
			spans = append(spans, spanOf(b))
		}
		if got, want := Find(p), slowFind(spans, uintptr(p)); got != want {
			t.Fatalf("Find(%p) = %v, want %v", p, got, want)
		}
	}
}
