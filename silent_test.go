package unio

import (
	"context"
	"errors"
	"testing"
)

func TestSilentSaysNothingOnSuccess(t *testing.T) {
	r := newRig(t, Info{}, ChannelConfig{Depth: 2})
	r.q.setMode(modeInline)
	for id := range uint64(100) { // frees its place by itself
		mustPost(t, r.ch, r.req(id, OpWrite, 0, 512, Silent))
	}
	wantIDs(t, r.ch)
	if s := r.ch.Stats(); s.Posted != 100 || s.Completed != 100 || s.Failed != 0 {
		t.Errorf("stats %+v", s)
	}
}

func TestSilentFailureCompletes(t *testing.T) {
	r := newRig(t, Info{}, ChannelConfig{Depth: 2})
	r.q.fail = func(*Op) error { return ErrMedia }
	mustPost(t, r.ch, r.req(1, OpWrite, 0, 512, Silent))
	r.q.finish(1)
	done := make([]Completion, 4)
	if n := r.ch.Poll(done); n != 1 || done[0].ID != 1 || !errors.Is(done[0].Err, ErrMedia) {
		t.Fatalf("%d completions, %+v", n, done[0])
	}
}

// A completion says that every Silent request posted before it has ended.
func TestSilentHoldsLaterCompletions(t *testing.T) {
	r := newRig(t, Info{}, ChannelConfig{Depth: 8})
	mustPost(t, r.ch,
		r.req(1, OpRead, 0, 512, 0),
		r.req(2, OpWrite, 0, 512, Silent),
		r.req(3, OpRead, 0, 512, 0),
		r.req(4, OpWrite, 0, 512, Silent),
		r.req(5, OpRead, 0, 512, 0),
	)
	r.q.finish(5)
	r.q.finish(3)
	wantIDs(t, r.ch)
	r.q.finish(1)
	wantIDs(t, r.ch, 1) // nothing silent before it
	r.q.finish(4)
	wantIDs(t, r.ch) // 2 is still before both
	r.q.finish(2)
	wantIDs(t, r.ch, 5, 3)
}

// The completion of a Silent request that failed is a completion too.
func TestSilentFailureIsHeldBehindEarlierSilent(t *testing.T) {
	r := newRig(t, Info{}, ChannelConfig{Depth: 8})
	r.q.fail = func(op *Op) error {
		if op.ID == 2 {
			return ErrMedia
		}
		return nil
	}
	mustPost(t, r.ch, r.req(1, OpWrite, 0, 512, Silent), r.req(2, OpWrite, 0, 512, Silent),
		r.req(3, OpRead, 0, 512, 0))
	r.q.finish(2)
	r.q.finish(3)
	wantIDs(t, r.ch)
	r.q.finish(1)
	wantIDs(t, r.ch, 2, 3)
}

func TestSilentCountsAgainstDepth(t *testing.T) {
	r := newRig(t, Info{}, ChannelConfig{Depth: 2})
	mustPost(t, r.ch, r.req(1, OpWrite, 0, 512, Silent), r.req(2, OpWrite, 0, 512, Silent))
	if n, err := r.ch.Post(r.req(3, OpRead, 0, 512, 0)); n != 0 || !errors.Is(err, ErrFull) {
		t.Fatalf("third request on depth 2: %d, %v", n, err)
	}
	r.q.finish(2)
	mustPost(t, r.ch, r.req(3, OpRead, 0, 512, 0)) // Post reaps what is needed
}

func TestSilentCancelledCompletes(t *testing.T) {
	r := newRig(t, Info{}, ChannelConfig{Depth: 4})
	mustPost(t, r.ch, r.req(1, OpWrite, 0, 512, Silent), r.req(2, OpRead, 0, 512, 0))
	r.q.finish(2)
	r.ch.Cancel(1)
	wantIDs(t, r.ch, 1, 2)
}

// Wait does not sleep for ever when all that was in flight was Silent.
func TestSilentWaitReturnsWhenAllHaveEnded(t *testing.T) {
	r := newRig(t, Info{}, ChannelConfig{Depth: 4, Spin: -1})
	mustPost(t, r.ch, r.req(1, OpWrite, 0, 512, Silent))
	done := make(chan int)
	go func() {
		n, err := r.ch.Wait(context.Background(), make([]Completion, 1))
		if err != nil {
			t.Error(err)
		}
		done <- n
	}()
	waitFor(t, "Wait to sleep", func() bool { return r.q.sleeps.Load() > 0 })
	r.q.finish(1)
	if n := <-done; n != 0 {
		t.Errorf("%d completions of silent successes", n)
	}
}

func TestSilentHoldsDo(t *testing.T) {
	r := newRig(t, Info{}, ChannelConfig{Depth: 4, Spin: -1})
	mustPost(t, r.ch, r.req(1, OpWrite, 0, 512, Silent))
	done := make(chan error)
	go func() { done <- r.ch.Do(context.Background(), r.req(2, OpRead, 0, 512, Silent)) }()
	waitFor(t, "Do to post", func() bool { return len(r.q.ids()) == 2 })
	r.q.finish(2)
	waitFor(t, "Do to sleep again", func() bool { return r.q.sleeps.Load() > 1 })
	select {
	case <-done:
		t.Fatal("Do returned before the silent request that precedes it ended")
	default:
	}
	r.q.finish(1)
	if err := <-done; err != nil {
		t.Fatal(err)
	}
}

// A context's end gets Do out although an earlier Silent request is stuck.
func TestSilentHoldsDoOnlyUntilContextEnds(t *testing.T) {
	r := newRig(t, Info{}, ChannelConfig{Depth: 4, Spin: -1})
	mustPost(t, r.ch, r.req(1, OpWrite, 0, 512, Silent))
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error)
	go func() { done <- r.ch.Do(ctx, r.req(2, OpRead, 0, 512, 0)) }()
	waitFor(t, "Do to post", func() bool { return len(r.q.ids()) == 2 })
	r.q.finish(2)
	waitFor(t, "Do to sleep again", func() bool { return r.q.sleeps.Load() > 1 })
	cancel()
	if err := <-done; !errors.Is(err, ErrCanceled) {
		t.Fatalf("Do: %v", err)
	}
	r.q.finish(1)
	wantIDs(t, r.ch)
	if n := r.ch.inFlight(); n != 0 {
		t.Errorf("%d in flight", n)
	}
}
