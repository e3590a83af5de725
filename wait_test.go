package unio

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

func TestWaitReturnsAtOnceWhenIdle(t *testing.T) {
	r := newRig(t, Info{}, ChannelConfig{})
	done := make([]Completion, 1)
	if n, err := r.ch.Wait(context.Background(), done); n != 0 || err != nil {
		t.Errorf("%d, %v", n, err)
	}
	mustPost(t, r.ch, r.req(1, OpRead, 0, 512, 0))
	if n, err := r.ch.Wait(context.Background(), nil); n != 0 || err != nil {
		t.Errorf("without room for a completion: %d, %v", n, err)
	}
	if n := r.q.sleeps.Load(); n != 0 {
		t.Errorf("%d sleeps", n)
	}
}

// A context's end leaves requests in flight, and what has completed comes first.
func TestWaitContext(t *testing.T) {
	r := newRig(t, Info{}, ChannelConfig{Spin: -1})
	ctx, cancel := context.WithCancel(context.Background())
	done := make([]Completion, 1)
	mustPost(t, r.ch, r.req(1, OpRead, 0, 512, 0))
	got := make(chan error)
	go func() {
		_, err := r.ch.Wait(ctx, done)
		got <- err
	}()
	waitFor(t, "Wait to sleep", func() bool { return r.q.sleeps.Load() > 0 })
	cancel()
	if err := <-got; !errors.Is(err, context.Canceled) {
		t.Errorf("Wait: %v", err)
	}
	wantPending(t, r.q, 1)
	r.q.finish(1)
	if n, err := r.ch.Wait(ctx, done); n != 1 || err != nil {
		t.Errorf("Wait with an ended context and a completion: %d, %v", n, err)
	}
}

// The wake-up of a context is kept for the next sleep under the same one, is
// replaced under another, and is gone after Close.
func TestWaitKeepsContextWake(t *testing.T) {
	r := newRig(t, Info{}, ChannelConfig{Spin: -1})
	a, cancelA := context.WithCancel(context.Background())
	b := t.Context()
	done := make([]Completion, 1)
	sleepUnder := func(ctx context.Context) {
		t.Helper()
		mustPost(t, r.ch, r.req(1, OpRead, 0, 512, 0))
		before := r.q.sleeps.Load()
		go func() {
			waitFor(t, "Wait to sleep", func() bool { return r.q.sleeps.Load() > before })
			r.q.finish(1)
		}()
		if n, err := r.ch.Wait(ctx, done); n != 1 || err != nil {
			t.Fatal(n, err)
		}
	}
	sleepUnder(a)
	first := r.ch.ctxWake.done
	sleepUnder(a)
	if r.ch.ctxWake.done != first || first != a.Done() {
		t.Error("the wake-up was not kept")
	}
	sleepUnder(b)
	cancelA() // no longer of interest
	if r.ch.ctxWake.done != b.Done() {
		t.Error("the wake-up was not replaced")
	}
	sleepUnder(context.Background())
	if r.ch.ctxWake.done != nil {
		t.Error("a context that never ends needs no wake-up")
	}
	sleepUnder(b)
	_ = r.ch.Close()
	if r.ch.ctxWake.unset != nil {
		t.Error("the wake-up outlives Close")
	}
}

func TestDoContext(t *testing.T) {
	r := newRig(t, Info{}, ChannelConfig{Spin: -1})
	ended, cancel := context.WithCancel(context.Background())
	cancel()
	if err := r.ch.Do(ended, r.req(1, OpRead, 0, 512, 0)); !errors.Is(err, ErrCanceled) || !errors.Is(err, context.Canceled) {
		t.Errorf("ended before: %v", err)
	}
	wantPending(t, r.q)
	late, cancel := context.WithTimeout(context.Background(), time.Millisecond)
	defer cancel()
	err := r.ch.Do(late, r.req(1, OpRead, 0, 512, 0))
	var oe *OpError
	if !errors.Is(err, ErrTimeout) || !errors.Is(err, context.DeadlineExceeded) || !errors.As(err, &oe) || oe.Length != 512 {
		t.Errorf("timed out: %v", err)
	}
	if r.ch.inFlight() != 0 {
		t.Error("still in flight")
	}
}

// Do keeps its memory until the device has let go of it.
func TestDoIsFenced(t *testing.T) {
	r := newRig(t, Info{}, ChannelConfig{Spin: -1})
	r.q.deaf = true
	ctx, cancel := context.WithCancel(context.Background())
	got := make(chan error)
	go func() { got <- r.ch.Do(ctx, r.req(1, OpRead, 0, 512, 0)) }()
	waitFor(t, "Do to sleep", func() bool { return r.q.sleeps.Load() > 0 })
	cancel()
	waitFor(t, "Do to sleep again", func() bool { return r.q.sleeps.Load() > 1 })
	select {
	case err := <-got:
		t.Fatalf("Do returned %v while the device had its memory", err)
	default:
	}
	r.q.finish(1)
	if err := <-got; err != nil {
		t.Errorf("done after all, but: %v", err)
	}
}

// Do leaves the completions of others for Poll.
func TestDoLeavesOthers(t *testing.T) {
	r := newRig(t, Info{}, ChannelConfig{})
	r.q.setMode(modeAsync)
	mustPost(t, r.ch, r.req(1, OpRead, 0, 512, 0), r.req(2, OpRead, 0, 512, 0))
	if err := r.ch.Do(context.Background(), r.req(3, OpRead, 0, 512, 0)); err != nil {
		t.Fatal(err)
	}
	wantIDs(t, r.ch, 1, 2)
}

func TestSpinnerLearns(t *testing.T) {
	var s spinner
	polled := func(latency time.Duration) (n int) { // of 1000 waits
		for range 1000 {
			switch b := s.budget(); {
			case b == 0:
			case latency <= b:
				s.hit(latency)
				n++
			default:
				s.miss()
			}
		}
		return n
	}
	for _, tc := range []struct {
		latency  time.Duration
		min, max int
	}{
		{100 * time.Microsecond, 0, 0},
		{2 * time.Microsecond, 400, 1000}, // after a few probes, always
		{2 * time.Microsecond, 990, 1000},
		{100 * time.Microsecond, 0, 0}, // and it unlearns
		{8 * time.Microsecond, 0, 0},   // sleeping is cheaper than that
	} {
		if n := polled(tc.latency); n < tc.min || n > tc.max {
			t.Errorf("completions after %v: %d of 1000 waits were ended by polling, want %d to %d", tc.latency, n, tc.min, tc.max)
		}
	}
	s = spinner{}
	wasted := time.Duration(0)
	for range 6400 {
		if b := s.budget(); b > 0 {
			s.miss()
			wasted += b
		}
	}
	if limit := 101 * sleepCost; wasted > limit {
		t.Errorf("polled %v in vain over 6400 slow waits, want at most %v", wasted, limit)
	}
}

func TestSpinFixed(t *testing.T) {
	if b := (&spinner{fixed: time.Second}).budget(); b != time.Second {
		t.Error(b)
	}
	if b := (&spinner{fixed: -1}).budget(); b != 0 {
		t.Error(b)
	}
}

// A Wait that is told to poll does so, and sleeps after that, not before.
func TestWaitPollsThenSleeps(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, Info{}, ChannelConfig{Spin: -1})
		mustPost(t, r.ch, r.req(1, OpRead, 0, 512, 0))
		go func() {
			time.Sleep(time.Second)
			r.q.finish(1)
		}()
		began := time.Now()
		n, err := r.ch.Wait(context.Background(), make([]Completion, 1))
		if n != 1 || err != nil || time.Since(began) != time.Second || r.ch.counts.sleeps != 1 {
			t.Errorf("%d, %v after %v and %d sleeps", n, err, time.Since(began), r.ch.counts.sleeps)
		}
		_ = r.dev.Close()
	})
}
