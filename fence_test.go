package unio

import (
	"context"
	"errors"
	"testing"
)

func TestFenceWaitsForAllBefore(t *testing.T) {
	r := newRig(t, Info{}, ChannelConfig{Depth: 8})
	mustPost(t, r.ch,
		r.req(1, OpWrite, 0, 512, 0),
		r.req(2, OpRead, 512, 512, 0),
		r.req(3, OpFlush, 0, 0, Fence),
		r.req(4, OpRead, 0, 512, 0), // does not wait for the fence
		r.req(5, OpRead, 0, 512, Fence),
	)
	wantPending(t, r.q, 1, 2, 4)
	r.q.finish(1)
	wantIDs(t, r.ch, 1)
	wantPending(t, r.q, 2, 4)
	r.q.finish(2)
	wantIDs(t, r.ch, 2)
	wantPending(t, r.q, 4, 3)
	r.q.finish(3)
	wantIDs(t, r.ch, 3)
	wantPending(t, r.q, 4) // 5 waits for 4 too
	r.q.finish(4)
	wantIDs(t, r.ch, 4)
	wantPending(t, r.q, 5)
	r.q.finish(5)
	wantIDs(t, r.ch, 5)
}

func TestFenceOnIdleChannelStartsAtOnce(t *testing.T) {
	r := newRig(t, Info{}, ChannelConfig{Depth: 2})
	for id := range uint64(10) {
		mustPost(t, r.ch, r.req(id, OpRead, 0, 512, Fence))
		wantPending(t, r.q, id)
		r.q.finish(id)
		wantIDs(t, r.ch, id)
	}
}

func TestFencePassesAfterFailureAndCompletesInlineChain(t *testing.T) {
	r := newRig(t, Info{}, ChannelConfig{Depth: 64})
	r.q.setMode(modeInline)
	var reqs []Request
	for id := range uint64(64) {
		reqs = append(reqs, r.req(id, OpWrite, int64(id)*512, 512, Fence))
	}
	r.q.fail = func(op *Op) error {
		if op.ID%3 == 0 {
			return ErrMedia
		}
		return nil
	}
	mustPost(t, r.ch, reqs...)
	for i, id := range pollIDs(r.ch) {
		if id != uint64(i) {
			t.Fatalf("request %d completed in place %d", id, i)
		}
	}
}

// A request of several steps holds a fence back until its last.
func TestFenceWaitsForAllSteps(t *testing.T) {
	r := newRig(t, Info{BlockSize: 512}, ChannelConfig{Depth: 4})
	mustPost(t, r.ch, r.req(1, OpWrite, 100, 50, 0), r.req(2, OpRead, 0, 512, Fence))
	wantPending(t, r.q, 1)
	r.q.finish(1) // the load
	wantIDs(t, r.ch)
	wantPending(t, r.q, 1)
	r.q.finish(1) // the store
	wantIDs(t, r.ch, 1)
	wantPending(t, r.q, 2)
}

func TestFenceCancelled(t *testing.T) {
	r := newRig(t, Info{}, ChannelConfig{Depth: 8})
	mustPost(t, r.ch,
		r.req(1, OpRead, 0, 512, 0),
		r.req(2, OpFlush, 0, 0, Fence),
		r.req(3, OpFlush, 0, 0, Fence),
	)
	r.ch.Cancel(2)
	wantIDs(t, r.ch, 2)
	wantPending(t, r.q, 1)
	r.q.finish(1)
	wantIDs(t, r.ch, 1)
	wantPending(t, r.q, 3)
}

// Fences that are cancelled behind a slow request use epochs up: Post says so,
// stays within its bounds, and works again when the slow request has ended.
func TestFenceCancelledManyTimes(t *testing.T) {
	const depth = 4
	r := newRig(t, Info{}, ChannelConfig{Depth: depth})
	mustPost(t, r.ch, r.req(1, OpRead, 0, 512, 0))
	refused := false
	for range 10 * depth {
		n, err := r.ch.Post(r.req(2, OpFlush, 0, 0, Fence))
		if n == 0 {
			refused = true
			if !errors.Is(err, ErrFull) {
				t.Fatalf("Post of a fence: %v", err)
			}
			break
		}
		r.ch.Cancel(2)
		wantIDs(t, r.ch, 2)
	}
	if !refused {
		t.Fatal("no fence was refused: the epochs are unbounded")
	}
	mustPost(t, r.ch, r.req(3, OpRead, 0, 512, 0)) // without a fence there is room
	r.q.finish(1)
	wantIDs(t, r.ch, 1)
	r.q.finish(3)
	wantIDs(t, r.ch, 3)
	for range 10 * depth { // nothing but fences from here on
		mustPost(t, r.ch, r.req(4, OpFlush, 0, 0, Fence))
		r.q.finish(4)
		wantIDs(t, r.ch, 4)
	}
}

func TestDoWithFenceWaits(t *testing.T) {
	r := newRig(t, Info{}, ChannelConfig{Depth: 4, Spin: -1})
	mustPost(t, r.ch, r.req(1, OpWrite, 0, 512, 0))
	done := make(chan error)
	go func() { done <- r.ch.Do(context.Background(), r.req(2, OpFlush, 0, 0, Fence)) }()
	waitFor(t, "Do to sleep", func() bool { return r.q.sleeps.Load() > 0 })
	wantPending(t, r.q, 1)
	r.q.setMode(modeAsync)
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	wantIDs(t, r.ch, 1)
}

// The epoch counters wrap around.
func TestFenceEpochWraps(t *testing.T) {
	r := newRig(t, Info{}, ChannelConfig{Depth: 3})
	r.ch.epoch, r.ch.oldest = ^uint32(0)-1, ^uint32(0)-1
	for range 4 {
		mustPost(t, r.ch, r.req(1, OpRead, 0, 512, Fence), r.req(2, OpRead, 0, 512, Fence))
		wantPending(t, r.q, 1)
		r.q.finish(1)
		wantIDs(t, r.ch, 1)
		wantPending(t, r.q, 2)
		r.q.finish(2)
		wantIDs(t, r.ch, 2)
	}
}
