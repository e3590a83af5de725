package memory

import (
	"math/rand/v2"
	"testing"
)

// TestMarksAgainstTwin compares the word-wise set with a slice of bools.
func TestMarksAgainstTwin(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	rnd := rand.New(rand.NewPCG(seed, 0))
	const units = 330
	k := newMarks(units*8-3, 3)
	if len(k.words) != (units+63)/64 {
		t.Fatalf("%d words", len(k.words))
	}
	var twin [units]bool
	for step := range 20000 {
		first := rnd.Uint64N(units)
		last := first + rnd.Uint64N(min(units-first, 1+rnd.Uint64N(units)))
		switch rnd.IntN(8) {
		case 0, 1, 2:
			k.set(first, last)
			setTwin(twin[first:last+1], true)
		case 3:
			k.clear(first, last)
			setTwin(twin[first:last+1], false)
		case 4:
			if rnd.IntN(50) == 0 {
				k.clearAll()
				setTwin(twin[:], false)
			}
		}
		wantLo, wantHi, missing := missingTwin(twin[:], first, last)
		if k.covers(first, last) == missing || k.has(first) != twin[first] {
			t.Fatalf("step %d: covers(%d, %d) = %v", step, first, last, !missing)
		}
		lo, hi, some := k.missing(first, last)
		if lo != wantLo || hi != wantHi || some != missing {
			t.Fatalf("step %d: missing(%d, %d) = %d, %d, %v; want %d, %d, %v", step, first, last, lo, hi, some, wantLo, wantHi, missing)
		}
	}
}

func setTwin(units []bool, to bool) {
	for i := range units {
		units[i] = to
	}
}

func missingTwin(units []bool, first, last uint64) (lo, hi uint64, some bool) {
	for i := first; i <= last; i++ {
		if !units[i] {
			if !some {
				lo = i
			}
			hi, some = i, true
		}
	}
	return lo, hi, some
}
