package unio

import (
	"context"
	"errors"
	"slices"
	"testing"
)

// Each state a request can be in when it is cancelled.
func TestCancelInEveryState(t *testing.T) {
	info := Info{BlockSize: 512}
	for _, tc := range []struct {
		name  string
		setup func(r *rig) // posts request 7, and others
		done  []uint64     // completions that the cancel makes available
	}{
		{"in the queue", func(r *rig) { mustPost(t, r.ch, r.req(7, OpRead, 0, 512, 0)) }, []uint64{7}},
		{"behind a fence", func(r *rig) {
			mustPost(t, r.ch, r.req(1, OpRead, 0, 512, 0), r.req(7, OpRead, 0, 512, Fence))
		}, []uint64{7}},
		{"waiting for a range, to rewrite", func(r *rig) {
			mustPost(t, r.ch, r.req(1, OpWrite, 0, 512, 0), r.req(7, OpWrite, 10, 20, 0))
		}, []uint64{7}},
		{"waiting for a range, to write", func(r *rig) {
			mustPost(t, r.ch, r.req(1, OpWrite, 10, 20, 0), r.req(7, OpWrite, 0, 512, 0))
		}, []uint64{7}},
		{"between two steps", func(r *rig) {
			mustPost(t, r.ch, r.req(7, OpWrite, 10, 20, 0))
			r.q.finish(7)
			wantIDs(t, r.ch)
		}, []uint64{7}},
		{"ended", func(r *rig) {
			mustPost(t, r.ch, r.req(7, OpRead, 0, 512, 0))
			r.q.finish(7)
		}, []uint64{7}},
		{"ended, held", func(r *rig) {
			mustPost(t, r.ch, r.req(1, OpWrite, 0, 512, Silent), r.req(7, OpRead, 0, 512, 0))
			r.q.finish(7)
			wantIDs(t, r.ch)
		}, []uint64{}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r := newRig(t, info, ChannelConfig{Depth: 8})
			tc.setup(r)
			r.ch.Cancel(7)
			if got := pollIDs(r.ch); !slices.Equal(got, tc.done) {
				t.Errorf("completions of %v, want %v", got, tc.done)
			}
			r.q.setMode(modeAsync)
			for r.ch.inFlight() > 0 {
				pollIDs(r.ch)
			}
			if s := r.ch.Stats(); s.Posted != s.Completed {
				t.Errorf("stats %+v", s)
			}
			mustPost(t, r.ch, r.req(9, OpWrite, 1, 100, 0)) // no range is left locked
			for !slices.Contains(pollIDs(r.ch), 9) {
			}
		})
	}
}

func TestCancelWaitingForBounce(t *testing.T) {
	r := newRig(t, Info{BlockSize: 512}, ChannelConfig{Depth: maxBounces + 1})
	for id := range uint64(maxBounces + 1) {
		mustPost(t, r.ch, r.req(id, OpRead, int64(id)*512+1, 10, 0))
	}
	if n := len(r.q.ids()); n != maxBounces {
		t.Fatalf("%d steps in the queue, want %d: one bounce buffer each", n, maxBounces)
	}
	r.ch.Cancel(maxBounces)
	wantIDs(t, r.ch, maxBounces)
	r.q.setMode(modeAsync)
	if n := len(pollIDs(r.ch)); n != maxBounces {
		t.Errorf("%d completions", n)
	}
}

func TestCancelReportsErrCanceled(t *testing.T) {
	r := newRig(t, Info{}, ChannelConfig{})
	mustPost(t, r.ch, r.req(1, OpWrite, 4096, 512, 0))
	r.ch.CancelAll()
	done := make([]Completion, 2)
	var oe *OpError
	if n := r.ch.Poll(done); n != 1 || !errors.As(done[0].Err, &oe) {
		t.Fatalf("%d completions, %v", n, done[0].Err)
	}
	if !errors.Is(oe, ErrCanceled) || oe.Layer != LayerCore || oe.Offset != 4096 || oe.Length != 512 {
		t.Errorf("%+v", oe)
	}
}

// What the device has done all the same is reported as done.
func TestCancelTooLate(t *testing.T) {
	r := newRig(t, Info{BlockSize: 512}, ChannelConfig{})
	r.q.deaf = true
	mustPost(t, r.ch, r.req(1, OpRead, 0, 512, 0), r.req(2, OpWrite, 1024, 10, 0))
	r.q.finish(2)
	wantIDs(t, r.ch) // its last step is in the queue
	r.ch.CancelAll()
	wantIDs(t, r.ch)
	r.q.setMode(modeAsync)
	done := make([]Completion, 4)
	n := r.ch.Poll(done)
	for _, c := range done[:n] {
		if c.Err != nil {
			t.Errorf("request %d: %v, though the device did it", c.ID, c.Err)
		}
	}
	if n != 2 {
		t.Errorf("%d completions", n)
	}
}

// A cancelled request of several steps does not begin another.
func TestCancelStopsBetweenSteps(t *testing.T) {
	r := newRig(t, Info{BlockSize: 512}, ChannelConfig{})
	r.q.deaf = true
	mustPost(t, r.ch, r.req(1, OpWrite, 10, 20, 0))
	r.q.takeLog()
	r.ch.CancelAll()
	wantIDs(t, r.ch)
	r.q.finish(1) // the load
	wantIDs(t, r.ch, 1)
	if l := r.q.takeLog(); len(l) != 0 {
		t.Errorf("submitted after the cancel: %v", l)
	}
}

// Cancel does not concern what is posted after it returned.
func TestCancelConcernsThePast(t *testing.T) {
	r := newRig(t, Info{}, ChannelConfig{})
	r.ch.Cancel(7)
	mustPost(t, r.ch, r.req(7, OpRead, 0, 512, 0))
	wantIDs(t, r.ch)
	wantPending(t, r.q, 7)
	r.q.finish(7)
	wantIDs(t, r.ch, 7)
	r.ch.Cancel(8)
	got := make(chan error)
	go func() { got <- r.ch.Do(context.Background(), r.req(8, OpRead, 0, 512, 0)) }()
	waitFor(t, "Do to post", func() bool { return r.ch.Stats().Posted == 2 })
	r.q.setMode(modeAsync)
	if err := <-got; err != nil {
		t.Errorf("Do after a Cancel of the same ID: %v", err)
	}
}

// Orders that nobody attends to do not pile up.
func TestCancelOrdersAreBounded(t *testing.T) {
	r := newRig(t, Info{}, ChannelConfig{})
	for range 1000 {
		r.ch.Cancel(1)
		r.ch.Cancel(2)
	}
	if n := len(r.ch.cancels); n != 2 {
		t.Errorf("%d orders kept", n)
	}
	for range 1000 {
		r.ch.CancelAll()
	}
	if n := len(r.ch.cancels); n != 1 {
		t.Errorf("%d orders kept", n)
	}
}

func TestCancelWakesWait(t *testing.T) {
	r := newRig(t, Info{}, ChannelConfig{Spin: -1})
	mustPost(t, r.ch, r.req(1, OpRead, 0, 512, 0))
	result := make(chan int)
	go func() {
		n, err := r.ch.Wait(context.Background(), make([]Completion, 1))
		if err != nil {
			t.Error(err)
		}
		result <- n
	}()
	waitFor(t, "Wait to sleep", func() bool { return r.q.sleeps.Load() > 0 })
	r.ch.Cancel(1)
	if n := <-result; n != 1 {
		t.Errorf("%d completions", n)
	}
}

func TestCancelNamesEveryRequestOfTheID(t *testing.T) {
	r := newRig(t, Info{BlockSize: 512}, ChannelConfig{})
	mustPost(t, r.ch, r.req(5, OpRead, 0, 512, 0), r.req(6, OpRead, 0, 512, 0), r.req(5, OpRead, 1, 30, 0))
	r.ch.Cancel(5)
	wantIDs(t, r.ch, 5, 5)
	wantPending(t, r.q, 6)
}
