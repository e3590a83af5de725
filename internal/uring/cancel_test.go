//go:build linux

package uring

import (
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// pending submits n requests that nothing completes: polls and pipe reads by turns, with user data 1 to n.
func pending(t *testing.T, r *Ring, n int) {
	t.Helper()
	in, _ := pipe(t)
	buf := pages(t, 4096)
	for i := range n {
		e := next(t, r)
		if i%2 == 0 {
			e.PollAdd(in, unix.POLLIN)
		} else {
			e.Read(in, addr(buf), 4096, AtPosition)
		}
		e.SetUserData(uint64(i + 1))
	}
	submit(t, r, n)
}

func TestAsyncCancel(t *testing.T) {
	r := newRing(t, Config{Entries: 8})
	pending(t, r, 4)
	for i := range uint64(4) {
		e := next(t, r)
		e.AsyncCancel(i+1, 0)
		e.SetUserData(100)
		submit(t, r, 1)
		got := reapN(t, r, 2)
		wantRes(t, got[100], 0)
		wantRes(t, got[i+1], -int32(unix.ECANCELED))
	}
}

func TestAsyncCancelAll(t *testing.T) {
	testFeature(t, FeatureCancelAll)
	r := newRing(t, Config{Entries: 8})
	pending(t, r, 6)
	e := next(t, r)
	e.AsyncCancel(0, CancelAny|CancelAll)
	e.SetUserData(100)
	submit(t, r, 1)
	got := reapN(t, r, 7)
	wantRes(t, got[100], 6)
	for i := range uint64(6) {
		wantRes(t, got[i+1], -int32(unix.ECANCELED))
	}
}

// TestSyncCancel cancels from another goroutine; when it returns the completions are there.
func TestSyncCancel(t *testing.T) {
	testFeature(t, FeatureSyncCancel)
	r := newRing(t, Config{Entries: 8})
	pending(t, r, 6)
	elsewhere := func(userData uint64, flags uint32, want int) {
		t.Helper()
		var wg sync.WaitGroup
		wg.Go(func() {
			if n, err := r.SyncCancel(userData, flags, time.Second); n != want || err != nil {
				t.Errorf("SyncCancel = %d, %v; want %d", n, err, want)
			}
		})
		wg.Wait()
	}
	elsewhere(99, 0, 0)
	elsewhere(2, 0, 1)
	wantRes(t, reapN(t, r, 1)[2], -int32(unix.ECANCELED))
	elsewhere(0, CancelAny|CancelAll, 5)
	for _, c := range reapN(t, r, 5) {
		wantRes(t, c, -int32(unix.ECANCELED))
	}
	elsewhere(0, CancelAny|CancelAll, 0)
}

func TestPollAdd(t *testing.T) {
	r := newRing(t, Config{Entries: 8})
	in, out := pipe(t)
	next(t, r).PollAdd(in, unix.POLLIN)
	submit(t, r, 1)
	if r.Pending() {
		t.Fatal("an empty pipe is readable")
	}
	writePipe(out, "x")
	wantRes(t, reapN(t, r, 1)[0], unix.POLLIN)
}
