package memory

import (
	"errors"
	"fmt"
	"math"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"unsafe"
)

func mustAlloc(t testing.TB, size int) *Block {
	t.Helper()
	b, err := Alloc(size)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := b.Free(); err != nil {
			t.Error(err)
		}
	})
	return b
}

func TestAllocSizes(t *testing.T) {
	page := int(pageSize)
	for _, tc := range []struct{ size, span, align int }{
		{1, page, page},
		{page - 1, page, page},
		{page, page, page},
		{page + 1, 2 * page, page},
		{hugePage - page, hugePage - page, page},
		{hugePage, hugePage, hugePage},
		{hugePage + 1, hugePage + page, hugePage},
		{5*hugePage - 3, 5 * hugePage, hugePage},
	} {
		t.Run(fmt.Sprint(tc.size), func(t *testing.T) {
			b := mustAlloc(t, tc.size)
			mem := b.Bytes()
			if len(mem) != tc.size || cap(mem) != tc.span {
				t.Errorf("len %d cap %d, want %d and %d", len(mem), cap(mem), tc.size, tc.span)
			}
			if at := uintptr(unsafe.Pointer(&mem[0])); at%uintptr(tc.align) != 0 {
				t.Errorf("address %#x is not a multiple of %d", at, tc.align)
			}
			for i, v := range mem[:cap(mem)] {
				if v != 0 {
					t.Fatalf("byte %d is %#x, want zero", i, v)
				}
			}
			mem = mem[:cap(mem)]
			mem[0], mem[len(mem)-1] = 1, 2
		})
	}
}

func TestAllocRefuses(t *testing.T) {
	blocks, bytes := Live()
	for _, size := range []int{0, -1, math.MinInt, math.MaxInt, math.MaxInt - hugePage, 1 << 60} {
		if b, err := Alloc(size); err == nil {
			_ = b.Free()
			t.Errorf("Alloc(%d) succeeded", size)
		}
	}
	if n, size := Live(); n != blocks || size != bytes {
		t.Errorf("Live is %d, %d after refusals, was %d, %d", n, size, blocks, bytes)
	}
}

func TestLiveCounts(t *testing.T) {
	blocks, bytes := Live()
	a, b := mustAlloc(t, 1), mustAlloc(t, hugePage)
	if n, size := Live(); n != blocks+2 || size != bytes+pageSize+hugePage {
		t.Errorf("Live is %d, %d", n-blocks, size-bytes)
	}
	if a.ID() == 0 || a.ID() == b.ID() {
		t.Errorf("identifiers %d and %d", a.ID(), b.ID())
	}
	for range 2 {
		if err := a.Free(); err != nil {
			t.Error(err)
		}
	}
	if n, size := Live(); n != blocks+1 || size != bytes+hugePage {
		t.Errorf("Live is %d, %d after a double Free", n-blocks, size-bytes)
	}
}

func TestFindAndContains(t *testing.T) {
	b := mustAlloc(t, 3*int(pageSize)-100)
	at := func(off int64) unsafe.Pointer { return unsafe.Add(b.base, off) }
	span := 3 * pageSize
	for off, want := range map[int64]*Block{0: b, 1: b, pageSize: b, span - 100: b, span - 1: b} {
		if got := Find(at(off)); got != want {
			t.Errorf("Find(base%+d) = %v", off, got)
		}
	}
	for _, off := range []int64{-1, span} {
		if Find(at(off)) == b {
			t.Errorf("Find(base%+d) is the block", off)
		}
	}
	var local int
	if Find(nil) != nil || Find(unsafe.Pointer(&local)) != nil {
		t.Error("Find knows memory that is no block")
	}
	for _, tc := range []struct {
		off  int64
		n    int
		want bool
	}{
		{0, 0, true},
		{0, int(span), true},
		{0, int(span) + 1, false},
		{span - 1, 1, true},
		{span - 1, 2, false},
		{span, 0, true},
		{span, 1, false},
		{-1, 0, false},
		{-1, 2, false},
		{0, -1, false},
		{5, math.MinInt, false},
		{5, math.MaxInt, false},
	} {
		if got := b.Contains(at(tc.off), tc.n); got != tc.want {
			t.Errorf("Contains(base%+d, %d) = %v", tc.off, tc.n, got)
		}
	}
	if err := b.Free(); err != nil {
		t.Fatal(err)
	}
	if Find(b.base) == b || b.Bytes() != nil {
		t.Error("the block is found, or has bytes, after Free")
	}
}

func TestFreeRunsHooks(t *testing.T) {
	b := mustAlloc(t, 100)
	b.Bytes()[0] = 7
	var ran []string
	var removeC func()
	b.OnFree(func() { ran = append(ran, "a"); removeC(); removeC() })
	removeB := b.OnFree(func() { t.Error("a withdrawn hook ran") })
	removeC = b.OnFree(func() {
		if b.Bytes()[0] != 7 {
			t.Error("a hook found the memory gone")
		}
		if Find(b.base) != nil {
			t.Error("a hook found the block still in the index")
		}
		ran = append(ran, "c")
	})
	removeB()
	removeB()
	b.OnFree(nil)
	if err := b.Free(); err != nil {
		t.Fatal(err)
	}
	// "a" withdraws "c" when it comes first; either order is allowed.
	if got := fmt.Sprint(ran); got != "[a]" && got != "[c a]" {
		t.Errorf("hooks ran as %s", got)
	}
	late := false
	b.OnFree(func() { late = true })()
	if !late {
		t.Error("a hook registered after Free did not run")
	}
}

func TestConcurrentFreeWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := mustAlloc(t, 1)
		proceed := make(chan struct{})
		b.OnFree(func() { <-proceed })
		freed := make(chan error, 2)
		for range 2 {
			go func() { freed <- b.Free() }()
		}
		synctest.Wait() // one is in the hook, the other waits for it
		if len(freed) != 0 {
			t.Error("a Free returned while a hook still ran")
		}
		close(proceed)
		if err := errors.Join(<-freed, <-freed); err != nil {
			t.Error(err)
		}
		if b.Bytes() != nil {
			t.Error("bytes after Free")
		}
	})
}

// TestConcurrentUse finds blocks of other goroutines' churn and of its own:
// one's own must always be found, others' never confused with it.
func TestConcurrentUse(t *testing.T) {
	const workers, rounds = 8, 300
	var hooks atomic.Int64
	var wg sync.WaitGroup
	for range workers {
		wg.Go(func() {
			var mine []*Block
			for i := range rounds {
				b, err := Alloc(1 + i%3*int(pageSize))
				if err != nil {
					t.Error(err)
					return
				}
				b.OnFree(func() { hooks.Add(1) })
				b.Bytes()[0] = byte(i)
				mine = append(mine, b)
				for _, b := range mine {
					if Find(unsafe.Pointer(&b.Bytes()[0])) != b {
						t.Error("a live block is not found")
					}
				}
				if len(mine) > 20 {
					victim := mine[i%len(mine)]
					mine[i%len(mine)] = mine[len(mine)-1]
					mine = mine[:len(mine)-1]
					if err := victim.Free(); err != nil {
						t.Error(err)
					}
				}
			}
			for _, b := range mine {
				if err := b.Free(); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	if got := hooks.Load(); got != workers*rounds {
		t.Errorf("%d hooks ran, want %d", got, workers*rounds)
	}
}

// TestHooksRunOnce registers hooks while the block is freed: each runs exactly
// once, in Free or at once.
func TestHooksRunOnce(t *testing.T) {
	for range 200 {
		b := mustAlloc(t, 1)
		var ran [8]atomic.Int32
		var wg sync.WaitGroup
		for i := range ran {
			wg.Go(func() { b.OnFree(func() { ran[i].Add(1) }) })
		}
		for range 2 {
			wg.Go(func() {
				if err := b.Free(); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		for i := range ran {
			if n := ran[i].Load(); n != 1 {
				t.Fatalf("hook %d ran %d times", i, n)
			}
		}
	}
}

func benchmarkFind(b *testing.B, blocks int) {
	all := make([]*Block, blocks)
	for i := range all {
		all[i] = mustAlloc(b, 1)
	}
	p := unsafe.Add(all[blocks/2].base, 100)
	b.ReportAllocs()
	for b.Loop() {
		if Find(p) == nil {
			b.Fatal("not found")
		}
	}
}

func BenchmarkFind(b *testing.B) {
	for _, n := range []int{1, 4, 16, 256, 10000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) { benchmarkFind(b, n) })
	}
}

// BenchmarkAllocFree measures one Alloc and Free beside others.
func BenchmarkAllocFree(b *testing.B) {
	for _, n := range []int{0, 10000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			for range n {
				mustAlloc(b, 1)
			}
			b.ReportAllocs()
			for b.Loop() {
				blk, err := Alloc(1)
				if err != nil {
					b.Fatal(err)
				}
				_ = blk.Free()
			}
		})
	}
}
