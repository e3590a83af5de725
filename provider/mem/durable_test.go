package mem

import (
	"bytes"
	"context"
	"errors"
	"math/rand/v2"
	"runtime"
	"slices"
	"sync"
	"testing"

	"github.com/unio-stack/unio"
)

// A fakeCache stands for processor caches and what is behind them: stores are
// durable once their lines are written back and fenced.
type fakeCache struct {
	mem     []byte
	mu      sync.Mutex
	started []byte // written back; guarded by mu
	durable []byte // and fenced; guarded by mu
	lines   int    // bytes written back; guarded by mu
	syncs   int
	fault   error // of the next sync
}

// linesRig opens a file as if its mapping were synchronous.
func linesRig(t *testing.T, size int64) (*rig, *fakeCache) {
	t.Helper()
	r := fileRig(t, size)
	c := &fakeCache{mem: r.d.mem, started: make([]byte, size), durable: make([]byte, size)}
	l := newLines(r.d)
	l.writeBack, l.fence, l.sync = c.writeBack, c.sfence, c.sync
	r.d.durable = l
	return r, c
}

func (c *fakeCache) writeBack(b []byte) {
	runtime.Gosched() // for others to find the page clean already
	c.mu.Lock()
	defer c.mu.Unlock()
	off := len(c.mem) - cap(b)
	for i := 0; i < len(b); i += wordSize { // as the processor does, word by word
		n := min(wordSize, len(b)-i)
		load(c.started[off+i:][:n], b[i:][:n])
	}
	c.lines += len(b)
}

func (c *fakeCache) sfence() {
	c.mu.Lock()
	defer c.mu.Unlock()
	copy(c.durable, c.started)
}

func (c *fakeCache) sync() error {
	c.syncs++
	return c.fault
}

// TestLinesAreWrittenBack follows random mutations of all kinds: Durable ones
// are in the fake memory at once, and after a Flush everything is, for no more
// than the pages that were touched.
func TestLinesAreWrittenBack(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	rnd := rand.New(rand.NewPCG(seed, 0))
	size := int64(1<<22 + 77)
	r, c := linesRig(t, size)
	for range 50 {
		touched := 0
		c.lines = 0
		for range rnd.IntN(20) {
			req := mutation(rnd, size)
			off, n := req.Offset, max(int64(len(req.Data)), req.Length)
			r.must(req)
			touched += int(n) + 2<<dirtyShift
			if req.Flags&unio.Durable != 0 && !bytes.Equal(c.durable[off:off+n], c.mem[off:off+n]) {
				t.Fatalf("%v of %d bytes at %d is not durable", req.Op, n, off)
			}
		}
		r.must(unio.Request{Op: unio.OpFlush})
		if !bytes.Equal(c.durable, c.mem) {
			t.Fatal("a flush left something behind")
		}
		if c.lines > touched {
			t.Fatalf("%d bytes written back for %d", c.lines, touched)
		}
	}
	if got := r.ch.Stats().Syscalls; got > int64(c.syncs) {
		t.Logf("%d system calls, all for discards", got)
	}
}

// mutation returns a random request that changes at least a word.
func mutation(rnd *rand.Rand, size int64) unio.Request {
	n := 8 + rnd.Int64N(1<<uint(4+rnd.IntN(14)))
	req := unio.Request{Offset: rnd.Int64N(size - n)}
	if rnd.IntN(3) == 0 {
		req.Flags = unio.Durable
	}
	switch rnd.IntN(5) {
	case 0:
		req.Op, req.Length = unio.OpWriteZeroes, n
	case 1:
		req.Op, req.Length = unio.OpDiscard, n
	case 2:
		req.Op, req.Offset, req.Swap, req.Data = unio.OpFetchAdd, req.Offset&^7, rnd.Uint64(), make([]byte, 8)
	default:
		req.Op, req.Data = unio.OpWrite, pattern(int(n), byte(rnd.Uint32()))
	}
	return req
}

// TestFlushWaitsForFlush has channels write and flush at once, each checking
// that its own write is durable after its own flush, whoever else flushes.
func TestFlushWaitsForFlush(t *testing.T) {
	r, c := linesRig(t, 1<<16)
	var wg sync.WaitGroup
	for g := range int64(4) {
		ch := channel(t, r)
		wg.Go(func() {
			for i := range 300 {
				data := pattern(64, byte(i))
				off := g*64 + int64(i%3)*4096
				reqs := []unio.Request{
					{Op: unio.OpWrite, Region: r.reg, Offset: off, Data: data},
					{Op: unio.OpFlush, Region: r.reg},
				}
				for _, req := range reqs {
					if err := ch.Do(context.Background(), req); err != nil {
						t.Error(err)
					}
					runtime.Gosched() // for another flush to come between
				}
				c.mu.Lock()
				ok := bytes.Equal(c.durable[off:][:64], data)
				c.mu.Unlock()
				if !ok {
					t.Errorf("round %d of channel %d: not durable after a flush", i, g)
					return
				}
			}
		})
	}
	wg.Wait()
}

// TestHolesAreKept expects the file system to be asked once for all discards
// before a flush, and before a durable operation.
func TestHolesAreKept(t *testing.T) {
	r, c := linesRig(t, 1<<20)
	if !r.d.frees {
		t.Skip("nothing is freed here")
	}
	hole := unio.Request{Op: unio.OpDiscard, Length: 64 << 10}
	flush := unio.Request{Op: unio.OpFlush}
	durable := hole
	durable.Flags = unio.Durable
	for i, step := range []struct {
		req   unio.Request
		syncs int
	}{{flush, 0}, {hole, 0}, {hole, 0}, {flush, 1}, {flush, 1}, {durable, 2}, {flush, 2}} {
		r.must(step.req)
		if c.syncs != step.syncs {
			t.Errorf("step %d: %d syncs, want %d", i, c.syncs, step.syncs)
		}
	}
}

// TestLossIsRemembered fails one flush: what it lost stays lost, so that no
// later one may succeed.
func TestLossIsRemembered(t *testing.T) {
	broken := errors.New("broken")
	check := func(t *testing.T, r *rig) {
		for range 2 {
			r.wantOpError(r.do(unio.Request{Op: unio.OpFlush}), unio.ErrMedia, -1)
			r.wantOpError(r.do(unio.Request{Op: unio.OpWrite, Flags: unio.Durable, Data: []byte{1}}), unio.ErrMedia, -1)
		}
		r.write(0, []byte{3}, 0)
	}
	t.Run("lines", func(t *testing.T) {
		r, c := linesRig(t, 1<<20)
		r.must(unio.Request{Op: unio.OpDiscard, Length: 64 << 10})
		c.fault = broken
		if !errors.Is(r.do(unio.Request{Op: unio.OpFlush}), broken) {
			t.Error("the cause is gone")
		}
		c.fault = nil
		check(t, r)
	})
	t.Run("msync", func(t *testing.T) {
		r := fileRig(t, 1<<20)
		p, ok := r.d.durable.(*pages)
		if !ok {
			t.Skip("the mapping is synchronous")
		}
		_ = p.lost.remember(broken)
		check(t, r)
	})
	t.Run("truncated lines", func(t *testing.T) {
		r, c := linesRig(t, 1<<20)
		l := r.d.durable.(*lines)
		l.writeBack = func(b []byte) { c.writeBack(b) }
		r.write(1<<19, pattern(5000, 1), 0)
		r.truncate(1 << 19)
		r.wantOpError(r.do(unio.Request{Op: unio.OpFlush}), unio.ErrMedia, 1<<19)
		r.truncate(1 << 20)
		if err := r.do(unio.Request{Op: unio.OpFlush}); !errors.Is(err, unio.ErrMedia) {
			t.Errorf("a flush after one that lost pages: %v", err)
		}
	})
}

// TestVolatileIsDurable: DRAM takes the operations, which cost nothing.
func TestVolatileIsDurable(t *testing.T) {
	r := dramRig(t, 1<<16)
	r.must(unio.Request{Op: unio.OpFlush})
	r.write(0, []byte{1}, unio.Durable)
	if got := r.ch.Stats(); got.Syscalls != 0 || r.dev.Info().Persistence != unio.Volatile {
		t.Errorf("%d system calls, %v", got.Syscalls, r.dev.Info().Persistence)
	}
}

// TestDirtyPages compares with a set made the obvious way.
func TestDirtyPages(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	rnd := rand.New(rand.NewPCG(seed, 0))
	const pages = 3*wordBits*wordBits + 100
	size := int64(pages)<<dirtyShift - 17
	d := newDirtyPages(size)
	for range 200 {
		want := map[int64]bool{}
		for range rnd.IntN(10) {
			off := rnd.Int64N(size)
			n := 1 + rnd.Int64N(min(size-off, 1<<uint(1+rnd.IntN(26))))
			d.add(off, n)
			for p := off >> dirtyShift; p <= (off+n-1)>>dirtyShift; p++ {
				want[p] = true
			}
		}
		last := int64(-1)
		d.take(func(off, n int64) {
			for p := off >> dirtyShift; p < (off+n)>>dirtyShift; p++ {
				if !want[p] || p <= last {
					t.Fatalf("page %d: not added, or not in order", p)
				}
				delete(want, p)
				last = p
			}
		})
		if len(want) > 0 {
			t.Fatalf("%d pages not found", len(want))
		}
	}
}

// TestDirtyPagesConcurrently adds while it takes: nothing that was added
// before a take began may be missing after it.
func TestDirtyPagesConcurrently(t *testing.T) {
	const pages = 2 * wordBits * wordBits
	d := newDirtyPages(pages << dirtyShift)
	var mu sync.Mutex // as lines.mu
	seen := make([]int, pages)
	take := func() {
		mu.Lock()
		defer mu.Unlock()
		d.take(func(off, n int64) {
			for p := off; p < off+n; p += 1 << dirtyShift {
				seen[p>>dirtyShift]++
			}
		})
	}
	var wg sync.WaitGroup
	for g := range int64(4) {
		wg.Go(func() {
			for i := range int64(2000) {
				page := (g + i*4) * 37 % pages
				mu.Lock()
				before := seen[page]
				mu.Unlock()
				d.add(page<<dirtyShift, 1)
				take()
				mu.Lock()
				found := slices.Max([]int{seen[page], before}) > before
				mu.Unlock()
				if !found {
					t.Errorf("page %d was not found", page)
					return
				}
			}
		})
	}
	wg.Wait()
}
