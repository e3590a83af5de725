//go:build linux

package uring

import (
	"runtime"
	"testing"

	"golang.org/x/sys/unix"
)

// TestMigration passes a default ring between threads: each request is submitted on one thread, finished while that one
// sleeps outside Go code, and reaped on the other.
func TestMigration(t *testing.T) {
	r := newRing(t, Config{Entries: 8})
	in, out := pipe(t)
	fd := tempFile(t, 4096, unix.O_DIRECT)
	buf := pages(t, 8192)
	submitted, reaped := make(chan int), make(chan struct{})
	const rounds = 500
	go func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		defer close(submitted)
		for range rounds {
			e := r.Next()
			e.Read(in, addr(buf), 1, AtPosition)
			e.SetUserData(1)
			e = r.Next()
			e.Read(fd, addr(buf[4096:]), 4096, 0)
			e.SetUserData(2)
			if n, err := r.Submit(); n != 2 || err != nil {
				t.Errorf("Submit = %d, %v", n, err)
				return
			}
			submitted <- unix.Gettid()
			<-reaped
		}
	}()
	lockThread(t)
	for tid := range submitted {
		if tid == unix.Gettid() {
			t.Fatal("both goroutines run on one thread")
		}
		writePipe(out, "x")
		got := reapN(t, r, 2)
		wantRes(t, got[1], 1)
		wantRes(t, got[2], 4096)
		reaped <- struct{}{}
	}
}

// TestThreadExit ends the thread that submitted a read, which completes all the same, though canceled.
func TestThreadExit(t *testing.T) {
	r := newRing(t, Config{Entries: 8})
	in, out := pipe(t)
	buf := pages(t, 4096)
	gone := make(chan int)
	go onMortalThread(func() {
		r.Next().Read(in, addr(buf), 1, AtPosition)
		_, _ = r.Submit()
		gone <- unix.Gettid()
	})
	tid := <-gone
	spinUntil(t, "end of the thread", func() bool { return unix.Tgkill(unix.Getpid(), tid, 0) == unix.ESRCH })
	writePipe(out, "x")
	c := reapN(t, r, 1)[0]
	t.Logf("the request of a thread that ended: %d, %v", c.Res, c.Err())
	if c.Res != 1 && c.Err() != unix.ECANCELED {
		t.Fatalf("result %d", c.Res)
	}
}

// onMortalThread runs f on a thread that ends after it. The process's first thread never ends: it is kept busy
// while another one is found.
func onMortalThread(f func()) {
	runtime.LockOSThread()
	if unix.Gettid() != unix.Getpid() {
		f()
		return // locked: the thread ends
	}
	defer runtime.UnlockOSThread()
	other := make(chan struct{})
	go func() {
		runtime.LockOSThread()
		defer close(other)
		f()
	}()
	<-other
}
