//go:build linux

package uring

import (
	"errors"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// spinUntil polls cond, which another thread or the kernel makes true without telling anyone.
func spinUntil(t *testing.T, what string, cond func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !cond(); runtime.Gosched() {
		if time.Now().After(deadline) {
			t.Fatalf("%s: not after %v", what, patience)
		}
	}
}

// TestSQPollAwake makes no system call while the kernel thread is awake.
func TestSQPollAwake(t *testing.T) {
	testFeature(t, FeatureSQPoll)
	r := newRing(t, Config{Entries: 4, SQPoll: true, SQIdle: time.Minute})
	var into [4]CQE
	for range 100 {
		next(t, r).Nop()
		submit(t, r, 1)
		spinUntil(t, "completion", func() bool { return r.Reap(into[:]) == 1 })
	}
	if got := r.Stats(); got.Enters > 1 || got.Wakeups != got.Enters { // the thread may be born asleep
		t.Errorf("system calls: %+v", got)
	}
}

// TestSQPollSleeps lets the kernel thread go to sleep and wakes it up by submitting.
func TestSQPollSleeps(t *testing.T) {
	testFeature(t, FeatureSQPoll)
	r := newRing(t, Config{Entries: 4, SQPoll: true, SQIdle: time.Millisecond})
	asleep := func() bool { return atomic.LoadUint32(r.sq.flags)&sqNeedWakeup != 0 }
	for i := range uint64(3) {
		spinUntil(t, "sleep", asleep)
		next(t, r).Nop()
		submit(t, r, 1)
		spinUntil(t, "completion", func() bool { return r.Reap(make([]CQE, 1)) == 1 })
		if got := r.Stats().Wakeups; got != i+1 {
			t.Fatalf("%d wake-ups, want %d", got, i+1)
		}
	}
	for range 50 { // room comes from the thread alone
		for r.SQSpace() > 0 {
			next(t, r).Nop()
		}
		if _, err := r.Submit(); err != nil {
			t.Fatal(err)
		}
		if err := r.WaitSQ(); err != nil || r.SQSpace() == 0 {
			t.Fatalf("no room: %v", err)
		}
	}
	var into [8]CQE
	got := 0
	spinUntil(t, "completions", func() bool { got += r.Reap(into[:]); return got >= 50 && r.SQReady() == 0 && !r.Pending() })
}

func TestSQPollFile(t *testing.T) {
	testFeature(t, FeatureSQPoll)
	r := newRing(t, Config{Entries: 8, SQPoll: true, SQIdle: time.Millisecond, SQPin: true, SQCPU: 0})
	fd := registered(t, r, tempFile(t, 8192, unix.O_DIRECT))
	buf := pages(t, 4096)
	e := next(t, r)
	e.Read(fd, addr(buf), 4096, 0)
	e.SetFlags(SQEFixedFile)
	wantRes(t, one(t, r), 4096)
}

// TestDeferTaskrun shows that a completion waits for the owner to enter, that Pending knows, and that Reap enters.
func TestDeferTaskrun(t *testing.T) {
	testFeature(t, FeatureDeferTaskrun)
	lockThread(t)
	r := newRing(t, Config{Entries: 8, SingleIssuer: true, DeferTaskrun: true})
	in, out := pipe(t)
	buf := pages(t, 4096)
	next(t, r).Read(in, addr(buf), 4096, AtPosition)
	submit(t, r, 1)
	var into [4]CQE
	before := r.Stats().Enters
	if r.Reap(into[:]) != 0 || r.Stats().Enters != before {
		t.Fatal("nothing to reap, but Reap entered")
	}
	writePipe(out, "hello")
	spinUntil(t, "pending", r.Pending)
	if r.CQReady() != 0 {
		t.Fatal("completed without entering")
	}
	if r.Reap(into[:]) != 1 {
		t.Fatal("Reap did not enter")
	}
	wantRes(t, into[0], 5)
	if got := r.Stats().Enters - before; got != 1 {
		t.Errorf("%d system calls, want 1", got)
	}
}

// TestSingleIssuerHolds submits and registers from a thread that does not own the ring.
func TestSingleIssuerHolds(t *testing.T) {
	testFeature(t, FeatureDeferTaskrun)
	lockThread(t)
	r := newRing(t, Config{Entries: 8, SingleIssuer: true, DeferTaskrun: true})
	next(t, r).Nop()
	var wg sync.WaitGroup
	wg.Go(func() {
		if n, err := r.Submit(); n != 0 || !errors.Is(err, unix.EEXIST) {
			t.Errorf("Submit = %d, %v; want EEXIST", n, err)
		}
		if err := r.GetEvents(); !errors.Is(err, unix.EEXIST) {
			t.Errorf("GetEvents: %v, want EEXIST", err)
		}
		if err := r.RegisterFiles(1); !errors.Is(err, unix.EEXIST) {
			t.Errorf("RegisterFiles: %v, want EEXIST", err)
		}
	})
	wg.Wait()
	wantRes(t, one(t, r), 0) // the entry is still queued, and the ring works
}

// TestIOPoll polls for disk reads. A device without poll queues says EOPNOTSUPP, which is right too.
func TestIOPoll(t *testing.T) {
	for _, c := range []struct {
		name   string
		needs  FeatureID
		config Config
	}{
		{"classic", FeatureIOPoll, Config{Entries: 8, IOPoll: true}},
		{"hybrid", FeatureHybridIOPoll, Config{Entries: 8, IOPoll: true, HybridIOPoll: true}},
		{"defer", FeatureDeferTaskrun, Config{Entries: 8, IOPoll: true, SingleIssuer: true, DeferTaskrun: true}},
		{"sqpoll", FeatureSQPoll, Config{Entries: 8, IOPoll: true, SQPoll: true, SQIdle: time.Millisecond}},
	} {
		t.Run(c.name, func(t *testing.T) {
			testFeature(t, c.needs)
			lockThread(t)
			r := newRing(t, c.config)
			fd := tempFile(t, 8*4096, unix.O_DIRECT)
			buf := pages(t, 8*4096)
			for i := range 8 {
				e := next(t, r)
				e.Read(fd, addr(buf[i*4096:]), 4096, int64(i*4096))
				e.SetUserData(uint64(i))
			}
			submit(t, r, 8)
			got := reapN(t, r, 8)
			t.Logf("the device answers %d, %v", got[0].Res, unix.Errno(max(0, -got[0].Res)))
			for _, c := range got {
				if c.Res != 4096 && c.Err() != unix.EOPNOTSUPP {
					t.Fatalf("read: %d, %v", c.Res, c.Err())
				}
			}
			next(t, r).Fsync(fd, true)
			wantRes(t, one(t, r), -int32(unix.EINVAL))
		})
	}
}

// TestAttach runs rings that share their workers; the first may go before the second.
func TestAttach(t *testing.T) {
	testFeature(t, FeatureAttach)
	for _, c := range []Config{{Entries: 4}, {Entries: 4, SQPoll: true, SQIdle: time.Millisecond}} {
		first := newRing(t, c)
		c.AttachTo = first
		second := newRing(t, c)
		if err := first.Close(); err != nil {
			t.Fatal(err)
		}
		next(t, second).Nop()
		wantRes(t, one(t, second), 0)
		if _, err := New(c); !errors.Is(err, unix.EBADF) {
			t.Errorf("attached to a closed ring: %v", err)
		}
	}
}
