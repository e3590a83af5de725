package space

import (
	"math/rand/v2"
	"testing"
)

// TestModel takes and releases at random beside a plain set.
func TestModel(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 1))
	sizes := []int64{1, 64, 130}
	m := New(sizes...)
	used := map[Place]bool{}
	var last Place
	for range 20000 {
		if m.Free() != 195-int64(len(used)) {
			t.Fatalf("%d free with %d used", m.Free(), len(used))
		}
		if rng.IntN(2) == 0 || len(used) == 0 {
			p := m.Next(last)
			if p == 0 {
				if len(used) != 195 {
					t.Fatalf("nothing free with %d used", len(used))
				}
				continue
			}
			if used[p] || !m.Valid(p) || !m.Used(p) {
				t.Fatalf("%v was given out twice, or is none", p)
			}
			used[p], last = true, p
			continue
		}
		for p := range used {
			m.Release(p)
			delete(used, p)
			if rng.IntN(3) != 0 {
				break
			}
		}
	}
}

func TestRunsAreContiguous(t *testing.T) {
	m := New(10, 20)
	p := m.Next(0)
	for range 19 {
		q := m.Next(p)
		if q != p+1 {
			t.Fatalf("%v follows %v", q, p)
		}
		p = q
	}
	if q := m.Next(p); q.Member() != 0 {
		t.Errorf("%v follows the last extent of member 1", q)
	}
}

func TestValid(t *testing.T) {
	m := New(10)
	for _, p := range []Place{0, -1, At(0, 10), At(1, 0), At(-1, 3), 1 << 62} {
		if m.Valid(p) {
			t.Errorf("%d is valid", p)
		}
	}
	if p := At(0, 9); !m.Valid(p) || !m.Take(p) || m.Take(p) {
		t.Error("the last extent cannot be taken once")
	}
}
