package memory

import (
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// TestTouchTruncated expects the offset of the first lost page, and pages
// before it to stay usable even when they share a unit with it.
func TestTouchTruncated(t *testing.T) {
	for _, perPage := range []bool{false, true} {
		for _, write := range []bool{false, true} {
			t.Run(fmt.Sprintf("perPage=%v/write=%v", perPage, write), func(t *testing.T) {
				size := 64 * pageSize
				f := newFile(t, size)
				m := mustMap(t, f, size, MapOptions{})
				m.perPage.Store(perPage)
				end := 37 * pageSize
				if err := f.Truncate(end); err != nil {
					t.Fatal(err)
				}
				for range 2 {
					for off, n := range map[int64]int64{0: size, end - 1: 2, end: 1, size - 1: 1, 36*pageSize + 7: 3 * pageSize} {
						want := max(end, off&^(pageSize-1))
						if fault := wantFault(t, m.Touch(off, n, write)); fault.Off != want {
							t.Errorf("Touch(%d, %d): fault at %d, want %d", off, n, fault.Off, want)
						}
					}
					if err := m.Touch(0, end, write); err != nil {
						t.Errorf("touch up to the end: %v", err)
					}
				}
				if err := f.Truncate(size); err != nil {
					t.Fatal(err)
				}
				if err := m.Touch(0, size, write); err != nil {
					t.Errorf("after the file grew again: %v", err)
				}
			})
		}
	}
}

func TestTouchRemembers(t *testing.T) {
	size := int64(300 << 10)
	m := mustMap(t, newFile(t, size), size, MapOptions{Refresh: time.Hour})
	m.Bytes()[100<<10] = 5
	if err := m.Touch(100<<10, 70<<10, false); err != nil { // units 1 and 2
		t.Fatal(err)
	}
	for unit := range uint64(5) {
		if got, want := m.readable.has(unit), unit == 1 || unit == 2; got != want {
			t.Errorf("unit %d marked for reading: %v", unit, got)
		}
	}
	if m.writable.covers(0, 0) || m.Bytes()[100<<10] != 5 {
		t.Error("touching for reading marked for writing, or changed a byte")
	}
	if err := m.Touch(size-1, 1, true); err != nil {
		t.Fatal(err)
	}
	last := uint64(size-1) >> m.writable.shift
	if !m.writable.has(last) || m.writable.has(last-1) {
		t.Error("a page populated for writing is not marked, or its neighbour is")
	}
	if err := m.Flush(size-1, 1); err != nil {
		t.Fatal(err)
	}
	if m.writable.has(last) {
		t.Error("a flushed page, which is write-protected, is still marked")
	}
}

// TestMarksAge advances a fake clock: marks must not outlive Refresh, and a
// mapping nobody touches must not keep a timer running.
func TestMarksAge(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := mustMap(t, newFile(t, pageSize), pageSize, MapOptions{Refresh: 3 * time.Second})
		for range 2 {
			touchBoth(t, m)
			time.Sleep(2 * time.Second)
			if !m.readable.has(0) || !m.writable.has(0) {
				t.Error("forgotten too early")
			}
			touchBoth(t, m)
			time.Sleep(time.Second)
			synctest.Wait()
			if m.readable.has(0) || m.writable.has(0) {
				t.Error("remembered too long")
			}
			if m.armed.Load() {
				t.Error("the timer runs without marks")
			}
			time.Sleep(time.Minute)
		}
	})
}

func touchBoth(t *testing.T, m *Mapping) {
	t.Helper()
	for _, write := range []bool{false, true} {
		if err := m.Touch(0, 1, write); err != nil {
			t.Fatal(err)
		}
	}
}

// TestLockedMarksStay locks, and expects only marks for writing to age.
func TestLockedMarksStay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := mustMap(t, newFile(t, pageSize), pageSize, MapOptions{})
		if !m.Evictable(false) || !m.Evictable(true) {
			t.Error("page cache is not evictable")
		}
		touchBoth(t, m)
		if err := m.LockPages(); err != nil {
			t.Skip("cannot lock pages:", err)
		}
		if m.Evictable(false) || !m.Evictable(true) {
			t.Error("locking must hold for reading, and only for that")
		}
		if m.readable.has(0) {
			t.Error("a page touched before the lock may be gone, but is marked")
		}
		touchBoth(t, m)
		time.Sleep(time.Minute)
		if !m.readable.has(0) || m.writable.has(0) {
			t.Error("after aging: marks for reading must stay, for writing go")
		}
	})
}

func TestTouchAnonymous(t *testing.T) {
	m, err := MapAnonymous(10*hugePage + 1)
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	for _, perPage := range []bool{false, true} {
		m.perPage.Store(perPage)
		off := int64(hugePage)
		if perPage {
			off *= 5
		}
		m.Bytes()[off+100] = 3
		for _, write := range []bool{false, true} {
			if err := m.Touch(off, hugePage+1, write); err != nil {
				t.Error(err)
			}
		}
		if m.Bytes()[off] != 0 || m.Bytes()[off+100] != 3 {
			t.Error("touching changed the content")
		}
	}
}

// TestTouchMakesResident compares with what the kernel has mapped: at least
// the touched unit, dirty only where touched for writing.
func TestTouchMakesResident(t *testing.T) {
	const size = 1 << 20
	page := int(pageSize / 1024)
	for _, tc := range []struct {
		file, write bool
		rss, dirty  int // KiB
	}{
		{file: true, write: false, rss: 64, dirty: 0},
		{file: true, write: true, rss: page, dirty: page},
		{file: false, write: true, rss: 1024, dirty: 1024},
	} {
		for _, perPage := range []bool{false, true} {
			t.Run(fmt.Sprintf("file=%v/write=%v/perPage=%v", tc.file, tc.write, perPage), func(t *testing.T) {
				m, err := MapAnonymous(size)
				if tc.file {
					m, err = Map(newFile(t, size), size, MapOptions{})
				}
				if err != nil {
					t.Fatal(err)
				}
				defer m.Close()
				m.perPage.Store(perPage)
				if rss, dirty := resident(t, m); rss != 0 || dirty != 0 {
					t.Errorf("%d KiB resident, %d dirty before any use", rss, dirty)
				}
				if err := m.Touch(256<<10, 1, tc.write); err != nil {
					t.Fatal(err)
				}
				// The kernel may map neighbours too, but not dirty a page for a read.
				rss, dirty := resident(t, m)
				if rss < tc.rss || dirty < tc.dirty || (!tc.write && dirty > 0) {
					t.Errorf("%d KiB resident, %d dirty after Touch, want %d, %d", rss, dirty, tc.rss, tc.dirty)
				}
			})
		}
	}
}

// TestTouchConcurrently touches, writes, flushes and ages from many goroutines.
func TestTouchConcurrently(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	size := int64(1 << 20)
	m := mustMap(t, newFile(t, size), size, MapOptions{Refresh: time.Millisecond})
	var wg sync.WaitGroup
	for g := range int64(8) {
		wg.Go(func() {
			rnd := rand.New(rand.NewPCG(seed, uint64(g)))
			slice := size / 8
			for i := range 500 {
				off := g*slice + rnd.Int64N(slice)
				n := 1 + rnd.Int64N((g+1)*slice-off)
				if err := m.Touch(off, n, i%2 == 0); err != nil {
					t.Error(err)
					return
				}
				m.Bytes()[off] = byte(i)
				if i%100 == 0 {
					if err := m.Flush(off, n); err != nil {
						t.Error(err)
					}
				}
			}
		})
	}
	wg.Wait()
}

// TestCloseDuringTouch closes while others touch: each gets its pages or
// ErrClosed, and no system call reaches an unmapped address.
func TestCloseDuringTouch(t *testing.T) {
	for range 20 {
		m := mustMap(t, newFile(t, 1<<20), 1<<20, MapOptions{Refresh: time.Microsecond})
		var wg sync.WaitGroup
		for g := range int64(4) {
			wg.Go(func() {
				for off := int64(0); off < 1<<20; off += pageSize {
					if err := m.Touch(off, 1, g%2 == 0); err != nil {
						return
					}
				}
			})
		}
		wg.Go(func() {
			if err := m.Close(); err != nil {
				t.Error(err)
			}
		})
		wg.Wait()
	}
}

func TestTouchHitAllocatesNothing(t *testing.T) {
	m := mustMap(t, newFile(t, 1<<20), 1<<20, MapOptions{Refresh: time.Hour})
	if n := testing.AllocsPerRun(100, func() {
		_ = m.Touch(5, 4096, false)
		_ = m.Touch(5, 1<<19, true)
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkTouchHit(b *testing.B) {
	m := mustMap(b, newFile(b, 1<<20), 1<<20, MapOptions{Refresh: time.Hour})
	for _, tc := range []struct {
		name  string
		n     int64
		write bool
	}{{"read/4096", 4096, false}, {"write/4096", 4096, true}, {"read/524288", 512 << 10, false}, {"write/65536", 64 << 10, true}} {
		b.Run(tc.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if err := m.Touch(64<<10, tc.n, tc.write); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkTouchMiss measures a forgotten unit whose pages are resident.
func BenchmarkTouchMiss(b *testing.B) {
	for _, perPage := range []bool{false, true} {
		for _, write := range []bool{false, true} {
			b.Run(fmt.Sprintf("perPage=%v/write=%v", perPage, write), func(b *testing.B) {
				m := mustMap(b, newFile(b, 1<<20), 1<<20, MapOptions{Refresh: time.Hour})
				m.perPage.Store(perPage)
				b.ReportAllocs()
				for b.Loop() {
					m.readable.clear(0, 0)
					m.writable.clear(0, 0)
					if err := m.Touch(0, 1, write); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}

func TestForget(t *testing.T) {
	m, err := MapAnonymous(8 << 20)
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	if err := m.Touch(0, 8<<20, true); err != nil {
		t.Fatal(err)
	}
	m.Forget(1<<20, 4<<20)
	m.Forget(6<<20, 1)
	m.Forget(-1, 10)
	m.Forget(8<<20, 1)
	for unit, want := range []bool{true, false, true, true} {
		if got := m.writable.has(uint64(unit)); got != want {
			t.Errorf("unit %d is marked: %v, want %v", unit, got, want)
		}
	}
}
