package unio

import (
	"context"
	"errors"
	"runtime"
	"sync"
	"testing"
)

func TestNewChannelChecksDepth(t *testing.T) {
	_, dev := newFake(t, Info{MaxDepth: 32})
	for depth, want := range map[int]int{0: 32, 1: 1, 3: 3, 32: 32} {
		ch, err := dev.NewChannel(ChannelConfig{Depth: depth})
		if err != nil || ch.Depth() != want || ch.Device() != dev {
			t.Errorf("depth %d: %v, %v", depth, ch, err)
		}
	}
	for _, depth := range []int{-1, 33, maxChannelDepth + 1} {
		if _, err := dev.NewChannel(ChannelConfig{Depth: depth}); !errors.Is(err, ErrInvalid) {
			t.Errorf("depth %d: %v", depth, err)
		}
	}
}

func TestNewChannelReportsTheProvider(t *testing.T) {
	f, dev := newFake(t, Info{})
	f.onQueue = func() error { return ErrBusy }
	if _, err := dev.NewChannel(ChannelConfig{}); !errors.Is(err, ErrBusy) {
		t.Error(err)
	}
}

// Depth counts from Post until the completion was fetched.
func TestPostKeepsToDepth(t *testing.T) {
	r := newRig(t, Info{}, ChannelConfig{Depth: 3})
	var reqs []Request
	for id := range uint64(5) {
		reqs = append(reqs, r.req(id, OpRead, 0, 512, 0))
	}
	if n, err := r.ch.Post(reqs...); n != 3 || !errors.Is(err, ErrFull) {
		t.Fatalf("%d, %v", n, err)
	}
	wantPending(t, r.q, 0, 1, 2)
	r.q.finish(1)
	r.q.finish(2)
	if n, _ := r.ch.Post(reqs[3:]...); n != 0 {
		t.Errorf("%d accepted before a completion was fetched", n)
	}
	done := make([]Completion, 1)
	if n := r.ch.Poll(done); n != 1 {
		t.Fatal(n)
	}
	if n, err := r.ch.Post(reqs[3:]...); n != 1 || !errors.Is(err, ErrFull) {
		t.Errorf("%d, %v", n, err)
	}
	wantIDs(t, r.ch, 2)
	if err := r.ch.Do(context.Background(), r.req(9, OpRead, 0, 0, 0)); !errors.Is(err, ErrInvalid) {
		t.Errorf("an invalid request on a channel with room: %v", err)
	}
	mustPost(t, r.ch, reqs[4])
	if err := r.ch.Do(context.Background(), reqs[0]); !errors.Is(err, ErrFull) {
		t.Errorf("Do on a full channel: %v", err)
	}
}

// Requests before a bad one are posted, those after it are not.
func TestPostStopsAtABadRequest(t *testing.T) {
	r := newRig(t, Info{}, ChannelConfig{})
	n, err := r.ch.Post(r.req(1, OpRead, 0, 512, 0), r.req(2, OpRead, -1, 512, 0), r.req(3, OpRead, 0, 512, 0))
	if n != 1 || !errors.Is(err, ErrOutOfRange) {
		t.Errorf("%d, %v", n, err)
	}
	wantPending(t, r.q, 1)
	if s := r.ch.Stats(); s.Posted != 1 {
		t.Errorf("%+v", s)
	}
}

// One call of Post is one doorbell, also for what a completion sets off.
func TestPostRingsOnce(t *testing.T) {
	r := newRig(t, Info{}, ChannelConfig{})
	mustPost(t, r.ch, r.req(1, OpRead, 0, 512, 0), r.req(2, OpRead, 0, 512, 0), r.req(3, OpRead, 0, 512, 0))
	if n := r.ch.Stats().Doorbells; n != 1 {
		t.Errorf("%d doorbells", n)
	}
	mustPost(t, r.ch)
	pollIDs(r.ch)
	if n := r.ch.Stats().Doorbells; n != 1 {
		t.Errorf("%d doorbells after nothing was posted", n)
	}
}

func TestPollGivesWhatFits(t *testing.T) {
	r := newRig(t, Info{}, ChannelConfig{})
	r.q.setMode(modeInline)
	for id := range uint64(5) {
		mustPost(t, r.ch, r.req(id, OpRead, int64(id), 100, 0))
	}
	done := make([]Completion, 3)
	if n := r.ch.Poll(done); n != 3 || done[0] != (Completion{ID: 0, N: 100}) || done[2].ID != 2 {
		t.Errorf("%d, %+v", n, done)
	}
	if n := r.ch.Poll(nil); n != 0 {
		t.Error(n)
	}
	wantIDs(t, r.ch, 3, 4)
	for i := range r.ch.ops { // and keeps nobody's memory alive
		if op := r.ch.ops[i]; op.Data != nil || op.Vec != nil || op.Region != nil || op.err != nil {
			t.Fatalf("a completed request is kept: %+v", op.Request)
		}
	}
}

func TestStatsCount(t *testing.T) {
	r := newRig(t, Info{BlockSize: 512}, ChannelConfig{})
	r.q.setMode(modeInline)
	r.q.fail = func(op *Op) error {
		if op.ID == 4 {
			return ErrMedia
		}
		return nil
	}
	for _, q := range []Request{
		r.req(1, OpRead, 0, 512, 0), r.req(2, OpWrite, 0, 1024, 0), r.req(3, OpWrite, 10, 20, 0), r.req(4, OpRead, 0, 512, 0),
	} {
		mustPost(t, r.ch, q)
	}
	want := Stats{
		Posted: 4, Completed: 4, Failed: 1, BytesRead: 512, BytesWritten: 1044,
		BouncedBytes: 20, Assisted: 1, Doorbells: 5, Syscalls: 1,
	}
	if s := r.ch.Stats(); s != want {
		t.Errorf("%+v, want %+v", s, want)
	}
	_ = r.ch.Close()
	if s := r.dev.Stats(); s != want {
		t.Errorf("device: %+v, want %+v", s, want)
	}
}

// While one goroutine waits, another's calls are refused and counted.
func TestOwnerIsAlone(t *testing.T) {
	r := newRig(t, Info{}, ChannelConfig{Spin: -1})
	mustPost(t, r.ch, r.req(1, OpRead, 0, 512, 0))
	got := make(chan int)
	go func() {
		n, _ := r.ch.Wait(context.Background(), make([]Completion, 1))
		got <- n
	}()
	waitFor(t, "Wait to sleep", func() bool { return r.q.sleeps.Load() > 0 })
	ctx := context.Background()
	if n, err := r.ch.Post(r.req(2, OpRead, 0, 512, 0)); n != 0 || !errors.Is(err, ErrBusy) {
		t.Errorf("Post: %d, %v", n, err)
	}
	if n := r.ch.Poll(make([]Completion, 1)); n != 0 {
		t.Errorf("Poll: %d", n)
	}
	if n, err := r.ch.Wait(ctx, make([]Completion, 1)); n != 0 || !errors.Is(err, ErrBusy) {
		t.Errorf("Wait: %d, %v", n, err)
	}
	if err := r.ch.Do(ctx, r.req(2, OpRead, 0, 512, 0)); !errors.Is(err, ErrBusy) {
		t.Errorf("Do: %v", err)
	}
	if s := r.ch.Stats(); s.Misuse != 4 || s.Posted != 1 {
		t.Errorf("%+v", s)
	}
	r.q.finish(1)
	if n := <-got; n != 1 {
		t.Error(n)
	}
	mustPost(t, r.ch, r.req(3, OpRead, 0, 512, 0))
}

// However many misuse a channel at once, each call is carried out or refused as
// a whole. The race detector and the fake watch.
func TestOwnerMisuseIsHarmless(t *testing.T) {
	r := newRig(t, Info{BlockSize: 512}, ChannelConfig{Depth: 4})
	r.q.setMode(modeAsync)
	var wg sync.WaitGroup
	for i := range 4 {
		wg.Go(func() {
			ctx := context.Background()
			done := make([]Completion, 4)
			for k := range 500 {
				switch (i + k) % 4 {
				case 0:
					_, _ = r.ch.Post(r.req(1, OpWrite, int64(k), 100, 0))
				case 1:
					r.ch.Poll(done)
				case 2:
					_, _ = r.ch.Wait(ctx, done)
				case 3:
					_ = r.ch.Do(ctx, r.req(2, OpRead, 0, 512, 0))
				}
				r.ch.Cancel(1)
				r.ch.Stats()
			}
		})
	}
	wg.Wait()
	for r.ch.inFlight() > 0 {
		pollIDs(r.ch)
	}
	if s := r.ch.Stats(); s.Posted != s.Completed {
		t.Errorf("%+v", s)
	}
}

// What a channel of depth 128 costs besides buffers.
func TestChannelMemory(t *testing.T) {
	const channels, limit = 64, 48 << 10
	dev := NewDevice(noop{Info{Native: AllOps}})
	kept := make([]*Channel, channels)
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	for i := range kept {
		ch, err := dev.NewChannel(ChannelConfig{Depth: 128})
		if err != nil {
			t.Fatal(err)
		}
		kept[i] = ch
	}
	runtime.ReadMemStats(&after)
	each := (after.TotalAlloc - before.TotalAlloc) / channels
	t.Logf("%d bytes per channel", each)
	if each > limit {
		t.Errorf("a channel of depth 128 takes %d bytes, want at most %d", each, limit)
	}
	if err := dev.Close(); err != nil {
		t.Error(err)
	}
}
