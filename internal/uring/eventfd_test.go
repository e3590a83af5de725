//go:build linux

package uring

import (
	"runtime"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func TestEventfd(t *testing.T) {
	testFeature(t, FeatureEventfdDisable)
	r := newRing(t, Config{Entries: 8})
	fd := newEventfd(t)
	if err := r.RegisterEventfd(fd); err != nil {
		t.Fatal(err)
	}
	nop := func() {
		next(t, r).Nop()
		wantRes(t, one(t, r), 0)
	}
	nop()
	if got := eventfdCount(t, fd); got == 0 {
		t.Error("no event by default")
	}
	r.SetEventfdEnabled(false)
	nop()
	if got := eventfdCount(t, fd); got != 0 {
		t.Errorf("%d events while disabled", got)
	}
	next(t, r).Nop()
	submit(t, r, 1)
	r.SetEventfdEnabled(true) // does not make up for what was missed: that is what Pending is for
	if got := eventfdCount(t, fd); got != 0 || !r.Pending() {
		t.Errorf("%d events, pending %v; want none, true", got, r.Pending())
	}
	reapN(t, r, 1)
	nop()
	if got := eventfdCount(t, fd); got == 0 {
		t.Error("no event after enabling")
	}
	if err := r.UnregisterEventfd(); err != nil {
		t.Fatal(err)
	}
	nop()
	if got := eventfdCount(t, fd); got != 0 {
		t.Errorf("%d events after unregistering", got)
	}
}

// TestSleepOnEventfd sleeps and wakes many times by the protocol that RegisterEventfd gives, against a
// writer that runs freely: a lost wake-up stops the test.
func TestSleepOnEventfd(t *testing.T) {
	for _, c := range []struct {
		name   string
		needs  FeatureID
		config Config
	}{
		{"default", FeatureEventfdDisable, Config{Entries: 4}},
		{"defer", FeatureDeferTaskrun, Config{Entries: 4, SingleIssuer: true, DeferTaskrun: true}},
	} {
		t.Run(c.name, func(t *testing.T) {
			testFeature(t, FeatureEventfdDisable, c.needs)
			lockThread(t)
			sleepAndWake(t, newRing(t, c.config), 5000)
		})
	}
}

func sleepAndWake(t *testing.T, r *Ring, rounds int) {
	efd := newEventfd(t)
	if err := r.RegisterEventfd(efd); err != nil {
		t.Fatal(err)
	}
	r.SetEventfdEnabled(false)
	in, out := pipe(t)
	buf := pages(t, 4096)
	ready, stop := make(chan struct{}), make(chan struct{})
	defer func() { close(ready); <-stop }()
	go func() {
		defer close(stop)
		for range ready {
			writePipe(out, "x")
		}
	}()
	var into [4]CQE
	slept, deadline := 0, time.Now().Add(patience)
	for range rounds {
		next(t, r).Read(in, addr(buf), 1, AtPosition)
		submit(t, r, 1)
		ready <- struct{}{}
		for r.Reap(into[:]) == 0 {
			if time.Now().After(deadline) {
				t.Fatalf("after %v and %d sleeps Reap finds nothing; pending: %v", patience, slept, r.Pending())
			}
			r.SetEventfdEnabled(true)
			if !r.Pending() {
				slept++
				pollFD(t, efd, unix.POLLIN)
				eventfdCount(t, efd)
			}
			r.SetEventfdEnabled(false)
		}
		wantRes(t, into[0], 1)
		runtime.Gosched()
	}
	t.Logf("slept %d times in %d rounds", slept, rounds)
}
