//go:build linux

package eventfd

import (
	"sync"
	"testing"

	"golang.org/x/sys/unix"
)

func never() bool { return false }

func TestRaiseBeforeSleep(t *testing.T) {
	e := open(t)
	e.Raise()
	e.Raise()
	e.Sleep(never) // hangs if the raise was lost
}

func TestReadyNeedsNoRaise(t *testing.T) {
	e := open(t)
	e.Sleep(func() bool { return true })
}

// TestKernelWrite wakes the sleeper as a ring does: by a write alone, again
// and again, without anybody reading the counter.
func TestKernelWrite(t *testing.T) {
	e := open(t)
	var mu sync.Mutex
	posted, seen := 0, 0
	go func() {
		for range 1000 {
			mu.Lock()
			posted++
			mu.Unlock()
			if _, err := unix.Write(e.FD(), one); err != nil {
				t.Error(err)
			}
		}
	}()
	for seen < 1000 {
		e.Sleep(func() bool {
			mu.Lock()
			defer mu.Unlock()
			return posted > seen
		})
		mu.Lock()
		seen = posted
		mu.Unlock()
	}
}

func TestPingPong(t *testing.T) {
	a, b := open(t), open(t)
	const turns = 10_000
	go func() {
		for range turns {
			a.Sleep(never)
			b.Raise()
		}
	}()
	for range turns {
		a.Raise()
		b.Sleep(never)
	}
}

func TestSleepAllocatesNothing(t *testing.T) {
	e := open(t)
	if n := testing.AllocsPerRun(100, func() { e.Raise(); e.Sleep(never) }); n != 0 {
		t.Errorf("%v allocations per Raise and Sleep", n)
	}
}

func open(t *testing.T) *Event {
	t.Helper()
	e, err := New()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := e.Close(); err != nil {
			t.Error(err)
		}
	})
	return e
}
