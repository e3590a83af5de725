package unio

import (
	"errors"
	"runtime"
	"testing"
	"time"
)

// Only the thread that a pinned channel belongs to reaps for it; who else
// needs that done waits for it.
func TestPinnedIsReapedByItsThreadOnly(t *testing.T) {
	if threadID() == 0 {
		t.Skip("no engine is bound to a thread here")
	}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	r := newRig(t, Info{}, ChannelConfig{Pinned: true})
	mustPost(t, r.ch, r.req(1, OpRead, 0, 512, 0))
	closed := make(chan error)
	go func() { closed <- r.reg.Close() }()
	waitFor(t, "the region to be revoked", r.reg.revoked.Load)
	r.q.setMode(modeAsync)
	time.Sleep(5 * time.Millisecond) // give a Close that does not wait the time to go wrong
	select {
	case err := <-closed:
		t.Fatalf("Close returned %v: somebody else has reaped", err)
	default:
	}
	wantIDs(t, r.ch, 1)
	if err := <-closed; err != nil {
		t.Error(err)
	}
	if s := r.ch.Stats(); s.Completed != 1 { // from any thread, as ever
		t.Errorf("%+v", s)
	}
}

// The thread itself may close, whatever is in flight.
func TestPinnedClosedByItsThread(t *testing.T) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	r := newRig(t, Info{}, ChannelConfig{Pinned: true})
	mustPost(t, r.ch, r.req(1, OpRead, 0, 512, 0))
	if err := r.ch.Close(); err != nil {
		t.Error(err)
	}
	done := make([]Completion, 1)
	if n := r.ch.Poll(done); n != 1 || !errors.Is(done[0].Err, ErrCanceled) {
		t.Errorf("%d, %v", n, done[0].Err)
	}
}
