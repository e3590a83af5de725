package target

import (
	"errors"
	"math/rand/v2"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/unio-stack/unio"
	"github.com/unio-stack/unio/provider/rdma"
)

// tryReserve simulates a client with hints.
func (r *rig) tryReserve(name string, h rdma.Hints) (*client, error) {
	s, err := r.Target.serve(&rdma.Incoming{Region: name, Hints: h, RemoteAddr: &net.TCPAddr{IP: net.IPv4(192, 0, 2, 2), Port: 7}})
	if err != nil {
		return nil, err
	}
	return &client{rig: r, s: s.Store.(*session)}, nil
}

func (r *rig) reserve(name string, inFlight int64) *client {
	r.Helper()
	c, err := r.tryReserve(name, rdma.Hints{InFlight: inFlight})
	if err != nil {
		r.Fatal(err)
	}
	return c
}

// exhaust takes all memory that is to be had without a reservation, and returns how to give it back.
func exhaust(t testing.TB, of *Target) (giveBack func()) {
	t.Helper()
	all := map[*session][][]byte{}
	for got := true; got; {
		s := attachBare(t, of)
		all[s] = nil
		got = false
		for _, n := range []int{largestPiece, pageSize} {
			for p := s.Borrow(n, waiterFunc(func() {})); p != nil; p = s.Borrow(n, waiterFunc(func() {})) {
				all[s] = append(all[s], p)
				got = true
			}
		}
	}
	return func() {
		for s, held := range all {
			for _, p := range held {
				s.Return(p)
			}
			s.service.Closed()
		}
	}
}

type waiterFunc func()

func (f waiterFunc) Resume() { f() }

// What is set aside for so many bytes has room for them in pieces of any one size.
func TestSetAside(t *testing.T) {
	for pages := int64(1); pages <= largestPiece/pageSize; pages++ {
		for n := int64(1); n*pages <= 20*slabPages; n++ {
			h := n * pages * pageSize
			aside := setAside(h)
			whole, rest := aside/slabSize, aside%slabSize/pageSize
			if room := whole*(slabPages/pages) + rest/pages; room < n {
				t.Fatalf("%d pieces of %d pages: room for %d", n, pages, room)
			}
			if most := fitsAside(aside); most < h || setAside(most) > aside || setAside(most+pageSize) <= aside {
				t.Fatalf("%d bytes, set aside for %d, do for %d", aside, h, most)
			}
		}
	}
	if n := fitsAside(0); n != 0 || setAside(1) != pageSize {
		t.Errorf("nothing does for %d, and a byte needs %d", n, setAside(1))
	}
}

// Up to what it has reserved, a connection finds memory although others have all there is, in pieces of any size; and what it
// does not use they do not get.
func TestReservedIsThere(t *testing.T) {
	for _, inFlight := range []int64{64 << 10, 1 << 20, 3<<20 + 100<<10} {
		m := &medium{}
		r := serve(t, Config{Exports: []Export{{Name: "disk", Device: m.open(t)}}, Memory: 34 << 20})
		c := r.reserve("disk", inFlight)
		giveBack := exhaust(t, r.Target)
		for _, size := range []int{1, 4096, 5000, 8192, 12 << 10, 20 << 10, 36 << 10, 40 << 10, 60 << 10, 64 << 10} {
			block := int64(size+pageSize-1) &^ (pageSize - 1)
			var got [][]byte
			for range inFlight / block {
				p := c.s.Borrow(size, c)
				if p == nil {
					t.Fatalf("%d of %d pieces of %d bytes", len(got), inFlight/block, size)
				}
				got = append(got, p)
			}
			if n := r.Stats().Exports[0].MemoryInUse; n < inFlight/block*block {
				t.Errorf("%d bytes are in use, of which %d are reserved", n, inFlight)
			}
			for _, p := range got {
				c.s.Return(p)
			}
		}
		var got [][]byte // a Write of 64 KiB comes in two segments
		for range inFlight / (64 << 10) {
			got = append(got, c.s.Borrow(60<<10, c), c.s.Borrow(4<<10, c))
		}
		for _, p := range got {
			if p == nil {
				t.Fatal("no memory for a segment")
			}
			c.s.Return(p)
		}
		if n := r.Stats().Exports[0].MemoryWaits; n > 64 {
			t.Errorf("%d waits, more than for those who have nothing reserved", n)
		}
		giveBack()
		c.close()
		checkPool(t, r.pool, r.pool.arenas)
	}
}

// Connections reserve until there is no more, and are told how much is left; who goes leaves room for another.
func TestReservationsAreLimited(t *testing.T) {
	m := &medium{}
	r := serve(t, Config{Exports: []Export{{Name: "disk", Device: m.open(t)}}, Memory: 64 << 20, PerConnection: 8 << 20})
	refused := func(n int64, words string) {
		t.Helper()
		before := r.Stats()
		c, err := r.tryReserve("disk", rdma.Hints{InFlight: n})
		if err == nil {
			t.Fatal("it is admitted")
			c.close()
		}
		if !errors.Is(err, unio.ErrBusy) || !strings.Contains(err.Error(), words) || len(err.Error()) > 224 {
			t.Errorf("%v, want ErrBusy with %q", err, words)
		}
		s := r.Stats()
		if s.Rejected != before.Rejected+1 || s.Connections != before.Connections || s.MemoryReserved != before.MemoryReserved {
			t.Errorf("%+v, then %+v", before, s)
		}
	}
	refused(8<<20+1, "a connection may have 8 MiB:")
	refused(1<<40, "a connection may have 8 MiB:")
	var all []*client
	for i := range 64 { // 32 MiB are guaranteed to the export
		all = append(all, r.reserve("disk", 512<<10))
		if s := r.Stats(); s.MemoryReserved != int64(i+1)*512<<10 || s.Exports[0].MemoryReserved != s.MemoryReserved {
			t.Fatalf("%d have reserved: %+v", i+1, s)
		}
	}
	refused(4096, "the target has 0 B left")
	plain := r.attach("disk") // without hints
	if err := plain.read(0, make([]byte, 7<<20)); err != nil {
		t.Error(err)
	}
	plain.close()
	all[10].close()
	all[30].close()
	refused(1<<20, "the target has 512 KiB left")
	all[10] = r.reserve("disk", 512<<10)
	all[30] = r.reserve("disk", 300<<10)
	refused(512<<10, "the target has 212 KiB left")
	for _, c := range all {
		c.close()
	}
	if s := r.Stats(); s.MemoryReserved != 0 || s.Exports[0].MemoryReserved != 0 || len(r.pool.reserve.parts) != 0 {
		t.Errorf("after all have gone: %+v", s)
	}
	checkPool(t, r.pool, r.pool.arenas)
	for i := range all {
		all[i] = r.reserve("disk", 512<<10)
	}
	for _, c := range all {
		c.close()
	}
}

// What others have at the moment cannot be reserved, and is told as such.
func TestReservationDoesNotTakeAway(t *testing.T) {
	m := &medium{}
	r := serve(t, Config{
		Exports: []Export{{Name: "disk", Device: m.open(t)}, {Name: "b", Device: m.open(t)}, {Name: "c", Device: m.open(t)}, {Name: "d", Device: m.open(t)}},
		Memory:  64 << 20, PerConnection: 1 << 20,
	})
	giveBack := exhaust(t, r.Target) // of one export: 20 of 64 MiB
	c := r.reserve("b", 1<<20)
	for i := range 64 {
		if _, err := r.tryReserve("b", rdma.Hints{InFlight: 1 << 20}); err != nil {
			if free := r.pool.limit - r.pool.taken - r.pool.owed; free != 0 || i < 10 {
				t.Errorf("refused although %d slabs are free, after %d", free, i)
			}
			break
		}
	}
	giveBack()
	c2 := r.reserve("b", 1<<20)
	c.close()
	c2.close()
	sessions, _ := r.roster.everybody()
	for _, s := range sessions {
		s.service.Closed()
	}
}

// Who may not attach an export is not told what is left for those who may.
func TestReservationTellsNoStranger(t *testing.T) {
	m := &medium{}
	r := serve(t, Config{Exports: []Export{{Name: "disk", Device: m.open(t), Clients: []string{"alice"}}}})
	if _, err := r.tryReserve("disk", rdma.Hints{InFlight: 1 << 40}); errors.Is(err, unio.ErrBusy) || err == nil {
		t.Errorf("a stranger is told: %v", err)
	}
}

// A region that is memory needs none, and the catalogue has no use for hints.
func TestNothingToReserve(t *testing.T) {
	r := serve(t, Config{Exports: []Export{{Name: "disk", Device: memoryDevice(t, 1<<20)}}})
	for _, name := range []string{"disk", CatalogueName} {
		s, err := r.Target.serve(&rdma.Incoming{Region: name, Hints: rdma.Hints{InFlight: 1 << 40, Pattern: rdma.PatternRandom}})
		if err != nil {
			t.Fatal(err)
		}
		if n := r.Stats().MemoryReserved; n != 0 {
			t.Errorf("%s: %d bytes are reserved", name, n)
		}
		s.Closed()
	}
}

// When an export is removed, reservations end as soon as what is in use has come back.
func TestReservationIsRevoked(t *testing.T) {
	m := &medium{}
	r := serve(t, Config{Exports: []Export{{Name: "disk", Device: m.open(t)}}})
	idle, busy := r.reserve("disk", 1<<20), r.reserve("disk", 2<<20)
	p := busy.s.Borrow(4096, busy)
	if err := r.SetExports(nil); err != nil {
		t.Fatal(err)
	}
	if n := r.Stats().MemoryReserved; n != setAside(2<<20) {
		t.Errorf("%d bytes are reserved while one is in use", n)
	}
	if q := busy.s.Borrow(4096, busy); busy.s.own.of(q) != nil {
		t.Error("a revoked reservation gives more")
	} else if q != nil {
		busy.s.Return(q)
	}
	busy.s.Return(p)
	if n := r.Stats().MemoryReserved; n != 0 {
		t.Errorf("%d bytes are reserved for nobody", n)
	}
	idle.close()
	busy.close()
	if r.pool.taken != 0 {
		t.Errorf("%d slabs are taken", r.pool.taken)
	}
}

// Statistics count connections by their pattern.
func TestPatterns(t *testing.T) {
	r := serve(t, Config{Exports: []Export{{Name: "disk", Device: memoryDevice(t, 1<<20)}}})
	var all []*client
	for _, p := range []rdma.Pattern{rdma.PatternRandom, rdma.PatternSequential, rdma.PatternRandom, rdma.PatternUnknown} {
		c, err := r.tryReserve("disk", rdma.Hints{Pattern: p})
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, c)
	}
	if s := r.Stats().Exports[0]; s.Connections != 4 || s.Random != 2 || s.Sequential != 1 {
		t.Errorf("%+v", s)
	}
	for _, c := range all {
		c.close()
	}
	if s := r.Stats().Exports[0]; s.Random != 0 || s.Sequential != 0 {
		t.Errorf("after all have gone: %+v", s)
	}
}

// Random reserving, using and giving back never gives two the same memory, nor more than there is.
func TestReserveModel(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	t.Log("seed", seed)
	rng := rand.New(rand.NewPCG(seed, 0))
	p, a := arenas(t, 24, 2)
	type owner struct {
		r   *reservation
		out [][]byte
	}
	var all []*owner
	used := map[uintptr]bool{} // pages
	mark := func(m []byte, in bool) {
		for at := address(m); at < address(m)+uintptr(cap(m)); at += pageSize {
			if used[at] == in {
				t.Fatal("memory was given out twice")
			}
			used[at] = in
		}
	}
	var others [][]byte
	for range 20000 {
		switch rng.IntN(10) {
		case 0:
			n := 1 + rng.Int64N(3<<20)
			left := func() int64 { p.mu.Lock(); defer p.mu.Unlock(); return p.unreserved() }()
			r, err := p.reserveFor(n)
			if (err == nil) != (setAside(n) <= left) || err != nil && !errors.Is(err, unio.ErrBusy) {
				t.Fatalf("%d of %d bytes: %v", n, left, err)
			}
			if err == nil {
				all = append(all, &owner{r: r})
			}
		case 1:
			if len(all) > 0 {
				i := rng.IntN(len(all))
				o := all[i]
				all[i], all = all[len(all)-1], all[:len(all)-1]
				o.r.end()
				for _, m := range o.out {
					mark(m, false)
					o.r.put(m)
				}
			}
		case 2, 3:
			if m := a[0].take(largestPiece); m != nil {
				mark(m, true)
				others = append(others, m)
			} else {
				for _, m := range others {
					mark(m, false)
				}
				putAll(a[0], others)
				others = nil
			}
		default:
			if len(all) == 0 {
				continue
			}
			o := all[rng.IntN(len(all))]
			if m := o.r.take(1 + rng.IntN(largestPiece)); m != nil {
				mark(m, true)
				o.out = append(o.out, m)
			} else if len(o.out) > 0 {
				mark(o.out[0], false)
				o.r.put(o.out[0])
				o.out = o.out[1:]
			}
		}
		var bytes int64
		for _, o := range all {
			bytes += o.r.bytes
		}
		if held := len(p.reserve.parts) + a[0].held + a[1].held; p.reserve.bytes != bytes || p.taken != held || len(p.reserve.parts) > p.reserve.most || p.taken > p.limit {
			t.Fatalf("%d bytes are reserved, counted as %d; %d slabs are taken, counted as %d; at most %d of %d", bytes, p.reserve.bytes, held, p.taken, p.reserve.most, p.limit)
		}
	}
	putAll(a[0], others)
	for _, o := range all {
		for _, m := range o.out {
			o.r.put(m)
		}
		o.r.end()
	}
}

// A connection that uses what it has reserved does not allocate.
func TestReservedAllocatesNothing(t *testing.T) {
	m := &medium{}
	r := serve(t, Config{Exports: []Export{{Name: "disk", Device: m.open(t)}}})
	c := r.reserve("disk", 4<<20)
	defer c.close()
	if n := testing.AllocsPerRun(100, func() {
		p, q := c.s.Borrow(4096, c), c.s.Borrow(60<<10, c)
		c.s.Return(p)
		c.s.Return(q)
	}); n != 0 && !raceDetector {
		t.Errorf("%v allocations", n)
	}
	if n := r.Stats().Exports[0].MemoryInUse; n != 0 {
		t.Errorf("%d bytes are in use after all came back", n)
	}
}

// Whatever is reserved, each export can have what its connections may need at a time.
func TestReservationsLeaveExportsEnough(t *testing.T) {
	m := &medium{}
	dev := m.open(t)
	r := serve(t, Config{Exports: []Export{{Name: "disk", Device: dev}, {Name: "b", Device: dev}, {Name: "c", Device: dev}}, Memory: 64 << 20, PerConnection: 8 << 20})
	var all []*client
	for {
		c, err := r.tryReserve("disk", rdma.Hints{InFlight: 1 << 20})
		if err != nil {
			break
		}
		all = append(all, c)
	}
	if len(all) != 27 { // 64, less the shares of 10 each, less what 17 are more than a share
		t.Errorf("%d have reserved a slab", len(all))
	}
	for name, e := range r.exports.Load().byName {
		if n := e.memory.capacity(); n < int64(leastFor(8<<20))*slabSize {
			t.Errorf("export %s can have %d bytes", name, n)
		}
	}
	for _, c := range all {
		c.close()
	}
}

// Writes of 64 KiB, which come in segments of two sizes and end in any order, leave no holes that none fits in.
func TestReservedSegments(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	t.Log("seed", seed)
	rng := rand.New(rand.NewPCG(seed, 0))
	p, _ := arenas(t, 8, 1)
	r, err := p.reserveFor(1 << 20)
	if err != nil {
		t.Fatal(err)
	}
	var large, small [][]byte
	end := func(all *[][]byte) {
		i := rng.IntN(len(*all))
		r.put((*all)[i])
		(*all)[i], *all = (*all)[len(*all)-1], (*all)[:len(*all)-1]
	}
	for range 20000 {
		switch {
		case len(large) < 16 && len(small) < 16:
			a, b := r.take(60<<10), r.take(4<<10)
			if a == nil || b == nil {
				t.Fatalf("no memory for a Write beside %d and %d segments", len(large), len(small))
			}
			large, small = append(large, a), append(small, b)
		case len(large) > 0 && rng.IntN(2) == 0:
			end(&large)
		case len(small) > 0:
			end(&small)
		}
	}
	for _, p := range append(large, small...) {
		r.put(p)
	}
	r.end()
}
