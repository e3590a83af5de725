package target

import (
	"encoding/binary"
	"errors"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/unio-stack/unio"
)

func TestSlabPieces(t *testing.T) {
	s, err := newSlab()
	if err != nil {
		t.Fatal(err)
	}
	defer s.buffer.Free()
	for class, size := range []int{4 << 10, 16 << 10, 64 << 10} {
		s.cut(class)
		seen := map[uintptr][]byte{}
		for !s.full() {
			p := s.take(size - 1)
			if a := address(p); len(p) != size-1 || cap(p) != size || a%4096 != 0 || seen[a] != nil || a < s.start || a+uintptr(size) > s.start+slabSize {
				t.Fatalf("class %d: a piece of %d bytes, capacity %d, at %#x of a slab at %#x", class, len(p), cap(p), a, s.start)
			}
			seen[address(p)] = p
		}
		if len(seen) != slabSize/size {
			t.Fatalf("class %d has %d pieces", class, len(seen))
		}
		for _, p := range seen {
			s.put(p)
		}
		if s.used != 0 {
			t.Fatalf("%d used after all were put back", s.used)
		}
	}
}

func TestClassFor(t *testing.T) {
	for _, c := range []struct{ n, class int }{{1, 0}, {4096, 0}, {4097, 1}, {16384, 1}, {16385, 2}, {65536, 2}} {
		if got := classFor(c.n); got != c.class {
			t.Errorf("%d bytes: class %d, want %d", c.n, got, c.class)
		}
	}
}

// arenas returns so many with their shares of a pool of so many slabs.
func arenas(t *testing.T, slabs, n int) (*pool, []*arena) {
	t.Helper()
	p := newPool(int64(slabs) * slabSize)
	all := make([]*arena, n)
	for i := range all {
		var err error
		if all[i], err = newArena(p); err != nil {
			t.Fatal(err)
		}
	}
	p.share(all)
	t.Cleanup(func() {
		for _, a := range all {
			if a.inUse != 0 {
				t.Errorf("%d bytes are still in use", a.inUse)
				return
			}
			a.close()
		}
		if err := p.close(); err != nil {
			t.Error(err)
		}
		if p.made != 0 || p.taken != 0 {
			t.Errorf("%d slabs made and %d taken after all is closed", p.made, p.taken)
		}
	})
	return p, all
}

// gorge takes all that there is for an arena, and returns it.
func gorge(a *arena, n int) (all [][]byte) {
	for p := a.take(n); p != nil; p = a.take(n) {
		all = append(all, p)
	}
	return all
}

func putAll(a *arena, all [][]byte) {
	for _, p := range all {
		a.put(p)
	}
}

func TestShares(t *testing.T) {
	for _, c := range []struct{ slabs, arenas, share, most int }{
		{256, 1, 128, 128}, {256, 2, 64, 96}, {256, 4, 32, 80}, {64, 3, 10, 22}, {8, 8, 1, 1}, {3, 2, 1, 1}, {256, 0, 128, 192},
	} {
		share, most := newPool(int64(c.slabs) * slabSize).shares(c.arenas)
		if share != c.share || most != c.most {
			t.Errorf("%d slabs for %d: share %d, at most %d; want %d and %d", c.slabs, c.arenas, share, most, c.share, c.most)
		}
	}
}

// An arena takes half of what is not guaranteed to others, and no more; all others still get their shares.
func TestNoArenaTakesAll(t *testing.T) {
	p, a := arenas(t, 32, 4)
	share, most := p.shares(4)
	hog := gorge(a[0], 64<<10)
	if a[0].held != most || most != (32-3*share)/2 {
		t.Errorf("it has %d slabs of 32, want %d", a[0].held, most)
	}
	second := gorge(a[1], 4<<10)
	if a[1].held != min(most, 32-most-2*share) {
		t.Errorf("a second one has %d slabs", a[1].held)
	}
	for _, late := range a[2:] {
		got := gorge(late, 16<<10)
		if late.held < share {
			t.Errorf("the last have %d slabs, want %d", late.held, share)
		}
		defer putAll(late, got)
	}
	if p.taken != 32 || p.made != 32 {
		t.Errorf("%d slabs taken, %d made", p.taken, p.made)
	}
	putAll(a[0], hog)
	putAll(a[1], second)
	if a[0].held != share || a[1].held != share {
		t.Errorf("%d and %d slabs stay with those who use none, want their share, %d", a[0].held, a[1].held, share)
	}
}

// A slab of which nothing is used serves another class.
func TestClassesShareSlabs(t *testing.T) {
	_, a := arenas(t, 4, 1)
	for _, n := range []int{4 << 10, 64 << 10, 16 << 10} {
		got := gorge(a[0], n)
		if len(got)*n != a[0].held*slabSize {
			t.Errorf("%d pieces of %d bytes from %d slabs", len(got), n, a[0].held)
		}
		putAll(a[0], got)
	}
	large := gorge(a[0], 64<<10)
	a[0].put(large[0])
	small := gorge(a[0], 1)
	if len(small) != 1 {
		t.Errorf("%d small pieces in the place of a large one, want 1: larger than needed, but free", len(small))
	}
	putAll(a[0], append(large[1:], small...))
}

// A new division takes away what is not used, and waits for the rest.
func TestSharesChange(t *testing.T) {
	p, a := arenas(t, 16, 1)
	got := gorge(a[0], 64<<10)
	late, err := newArena(p)
	if err != nil {
		t.Fatal(err)
	}
	p.share([]*arena{a[0], late})
	share, most := p.shares(2)
	if n := p.couldTake(a[0]); n != 0 || a[0].held <= most {
		t.Errorf("one that has %d slabs, more than %d, may take %d", a[0].held, most, n)
	}
	putAll(a[0], got)
	if a[0].held != share {
		t.Errorf("it keeps %d, want %d", a[0].held, share)
	}
	got = gorge(late, 64<<10)
	if late.held != most {
		t.Errorf("the new one gets %d, want %d", late.held, most)
	}
	putAll(late, got)
	p.share(nil)
	for _, a := range []*arena{a[0], late} {
		if a.trim(); a.held != 1 {
			t.Errorf("%d slabs stay with one whose export is no more, want 1", a.held)
		}
	}
	late.close()
	checkPool(t, p, a)
}

// Random taking and putting never gives two the same memory, nor more than there is.
func TestMemoryModel(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	t.Log("seed", seed)
	rng := rand.New(rand.NewPCG(seed, 0))
	p, a := arenas(t, 12, 3)
	type piece struct {
		p   []byte
		of  *arena
		tag uint64
	}
	var out []piece
	sizes := []int{1, 512, 4096, 5000, 16384, 40000, 65536}
	for i := range uint64(30000) {
		if rng.IntN(200) == 0 {
			p.share(a[:1+rng.IntN(3)])
		}
		if rng.IntN(100) < 45+rng.IntN(20) {
			of := a[rng.IntN(3)]
			n := sizes[rng.IntN(len(sizes))]
			could := of.has(int64(n))
			m := of.take(n)
			if (m != nil) != could {
				t.Fatalf("has says %v of %d bytes, take %v", could, n, m != nil)
			}
			if m != nil {
				m = m[:max(n, 8)]
				binary.LittleEndian.PutUint64(m, i)
				out = append(out, piece{m, of, i})
			}
		} else if len(out) > 0 {
			j := rng.IntN(len(out))
			o := out[j]
			if binary.LittleEndian.Uint64(o.p) != o.tag {
				t.Fatal("memory was given out twice")
			}
			o.of.put(o.p)
			out[j] = out[len(out)-1]
			out = out[:len(out)-1]
		}
		checkPool(t, p, a)
	}
	for _, o := range out {
		o.of.put(o.p)
	}
	p.share(a)
}

func checkPool(t *testing.T, p *pool, all []*arena) {
	t.Helper()
	taken, owed := 0, 0
	for _, a := range all {
		taken += a.held
		owed += max(0, int(a.share.Load())-a.held)
		var used int64
		for _, s := range a.slabs {
			used += int64(s.used) * sizeOf(s.class)
		}
		if used != a.inUse || len(a.slabs) != a.held {
			t.Fatalf("%d slabs and %d bytes in use, counted as %d and %d", len(a.slabs), used, a.held, a.inUse)
		}
	}
	if taken != p.taken || owed != p.owed || p.made > p.limit || p.taken > p.limit || p.loose.Load() != int64(p.limit-taken-owed) {
		t.Fatalf("taken %d of %d, owed %d of %d, made %d, limit %d", p.taken, taken, p.owed, owed, p.made, p.limit)
	}
}

func TestTooLittleMemory(t *testing.T) {
	dev := memoryDevice(t, 1<<20)
	var many []Export
	for i := range 40 {
		many = append(many, Export{Name: string(rune('A' + i)), Device: dev})
	}
	for _, c := range []struct {
		memory, per int64
		exports     []Export
		ok          bool
	}{
		{0, 0, many, true},
		{32 << 20, 16 << 20, many, false},
		{34 << 20, 16 << 20, many[:1], true},
		{33 << 20, 16 << 20, many[:1], false},
		{8 << 20, 1 << 20, many[:2], true},
		{6 << 20, 1 << 20, many[:2], false},
	} {
		tt, err := New(Config{Memory: c.memory, PerConnection: c.per, Exports: c.exports})
		if (err == nil) != c.ok || err != nil && !errors.Is(err, unio.ErrInvalid) {
			t.Errorf("%d MiB for %d exports: %v", c.memory>>20, len(c.exports), err)
		}
		if err == nil {
			if err := tt.Close(); err != nil {
				t.Error(err)
			}
		}
	}
}
