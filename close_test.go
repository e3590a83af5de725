package unio

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"
)

func TestCloseCancelsAndDelivers(t *testing.T) {
	r := newRig(t, Info{BlockSize: 512}, ChannelConfig{Depth: 8})
	mustPost(t, r.ch,
		r.req(1, OpRead, 0, 512, 0),
		r.req(2, OpWrite, 10, 20, 0), // several steps
		r.req(3, OpFlush, 0, 0, Fence),
		r.req(4, OpWrite, 512, 512, Silent),
	)
	if err := r.ch.Close(); err != nil {
		t.Fatal(err)
	}
	done := make([]Completion, 8)
	n := r.ch.Poll(done)
	for _, c := range done[:n] {
		if !errors.Is(c.Err, ErrCanceled) {
			t.Errorf("request %d: %v", c.ID, c.Err)
		}
	}
	if n != 4 {
		t.Errorf("%d completions, want 4", n)
	}
	if n, err := r.ch.Post(r.req(5, OpRead, 0, 512, 0)); n != 0 || !errors.Is(err, ErrClosed) {
		t.Errorf("Post after Close: %d, %v", n, err)
	}
	if err := r.ch.Do(context.Background(), r.req(5, OpRead, 0, 512, 0)); !errors.Is(err, ErrClosed) {
		t.Errorf("Do after Close: %v", err)
	}
	if n, err := r.ch.Wait(context.Background(), done); n != 0 || !errors.Is(err, ErrClosed) {
		t.Errorf("Wait after Close: %d, %v", n, err)
	}
	if err := r.ch.Close(); err != nil {
		t.Errorf("second Close: %v", err)
	}
	r.ch.Cancel(1) // harmless
	if s := r.ch.Stats(); s.Posted != 4 || s.Completed != 4 || s.Failed != 4 || s.Syscalls != 1 {
		t.Errorf("stats after Close: %+v", s)
	}
	if s := r.dev.Stats(); s.Posted != 4 || s.Syscalls != 1 {
		t.Errorf("device's stats: %+v", s)
	}
}

// Close waits for what the device does not give up.
func TestCloseWaitsForTheDevice(t *testing.T) {
	r := newRig(t, Info{}, ChannelConfig{})
	r.q.deaf = true
	mustPost(t, r.ch, r.req(1, OpRead, 0, 512, 0))
	closed := make(chan error, 2)
	for range 2 {
		go func() { closed <- r.ch.Close() }()
	}
	waitFor(t, "Close to begin", func() bool { return r.ch.closing.Load() })
	time.Sleep(5 * time.Millisecond) // give a Close that does not wait the time to return
	select {
	case err := <-closed:
		t.Fatalf("Close returned %v with a request in flight", err)
	default:
	}
	r.q.finish(1)
	for range 2 {
		if err := <-closed; err != nil {
			t.Error(err)
		}
	}
	wantIDs(t, r.ch, 1)
}

func TestCloseGetsWaitAndDoOut(t *testing.T) {
	for name, call := range map[string]func(r *rig) error{
		"Wait": func(r *rig) error {
			done := make([]Completion, 4)
			for {
				if _, err := r.ch.Wait(context.Background(), done); err != nil {
					return err
				}
			}
		},
		"Do": func(r *rig) error { return r.ch.Do(context.Background(), r.req(2, OpRead, 0, 512, 0)) },
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, Info{}, ChannelConfig{Spin: -1})
			mustPost(t, r.ch, r.req(1, OpRead, 0, 512, 0))
			got := make(chan error)
			go func() { got <- call(r) }()
			waitFor(t, "the owner to sleep", func() bool { return r.q.sleeps.Load() > 0 })
			if err := r.ch.Close(); err != nil {
				t.Error(err)
			}
			if err := <-got; !errors.Is(err, ErrClosed) && !errors.Is(err, ErrCanceled) {
				t.Errorf("%s: %v", name, err)
			}
		})
	}
}

// The queue is not closed while the owner is still in its Sleep, although
// nothing is in flight any more.
func TestCloseWaitsForTheSleeper(t *testing.T) {
	r := newRig(t, Info{}, ChannelConfig{Spin: -1})
	r.q.drowsy = make(chan struct{})
	mustPost(t, r.ch, r.req(1, OpRead, 0, 512, 0))
	var wg sync.WaitGroup
	wg.Go(func() {
		if n, err := r.ch.Wait(context.Background(), make([]Completion, 1)); n != 1 || err != nil {
			t.Errorf("%d, %v", n, err)
		}
	})
	waitFor(t, "Wait to sleep", func() bool { return r.q.sleeps.Load() > 0 })
	wg.Go(func() { _ = r.ch.Close() })
	waitFor(t, "the request to be cancelled", func() bool { return r.ch.Stats().Completed == 1 })
	time.Sleep(5 * time.Millisecond) // give a Close that does not wait the time to go wrong
	close(r.q.drowsy)
	wg.Wait()
}

func TestRegionCloseQuiesces(t *testing.T) {
	r := newRig(t, Info{}, ChannelConfig{})
	other := mustAttach(t, r.dev, ReadOnly)
	read := r.req(2, OpRead, 0, 512, 0)
	read.Region = other
	mustPost(t, r.ch, r.req(1, OpRead, 0, 512, 0), read)
	closed := make(chan error, 2)
	for range 2 {
		go func() { closed <- r.reg.Close() }()
	}
	waitFor(t, "the region to be revoked", r.reg.revoked.Load)
	n, err := r.ch.Post(r.req(3, OpRead, 0, 512, 0))
	var oe *OpError
	if n != 0 || !errors.Is(err, ErrRevoked) || !errors.As(err, &oe) {
		t.Errorf("Post to a revoked region: %d, %v", n, err)
	}
	time.Sleep(5 * time.Millisecond) // give a Close that does not wait the time to return
	select {
	case err := <-closed:
		t.Fatalf("Close returned %v with a request in flight", err)
	default:
	}
	r.q.finish(1) // the owner does not poll
	for range 2 {
		if err := <-closed; err != nil {
			t.Error(err)
		}
	}
	wantPending(t, r.q, 2) // the other region's is not disturbed
	r.q.finish(2)
	wantIDs(t, r.ch, 1, 2)
	read.ID = 4
	mustPost(t, r.ch, read)
}

// A region's request may wait for a range that another channel holds, whose
// owner does not poll.
func TestRegionCloseHelpsOtherChannels(t *testing.T) {
	r := newRig(t, Info{BlockSize: 512}, ChannelConfig{})
	other := mustAttach(t, r.dev, ReadWrite)
	b, bq := r.channel(ChannelConfig{})
	mustPost(t, b, r.req(1, OpWrite, 0, 512, 0))
	ragged := r.req(2, OpWrite, 10, 20, 0)
	ragged.Region = other
	mustPost(t, r.ch, ragged)
	wantPending(t, r.q) // it waits
	r.q.setMode(modeAsync)
	bq.setMode(modeAsync)
	if err := other.Close(); err != nil {
		t.Error(err)
	}
	wantIDs(t, r.ch, 2)
	wantIDs(t, b, 1)
}

func TestDeviceCloseIsFinal(t *testing.T) {
	r := newRig(t, Info{}, ChannelConfig{})
	mustPost(t, r.ch, r.req(1, OpRead, 0, 512, 0))
	var wg sync.WaitGroup
	for range 3 {
		wg.Go(func() {
			if err := r.dev.Close(); err != nil {
				t.Error(err)
			}
			r.mu.Lock()
			defer r.mu.Unlock()
			if !r.closed {
				t.Error("Close returned before the provider was closed")
			}
		})
	}
	wg.Wait()
	wantIDs(t, r.ch, 1)
	if _, err := r.dev.Attach(context.Background(), "", ReadOnly); !errors.Is(err, ErrClosed) {
		t.Errorf("Attach: %v", err)
	}
	if _, err := r.dev.NewChannel(ChannelConfig{}); !errors.Is(err, ErrClosed) {
		t.Errorf("NewChannel: %v", err)
	}
	if err := r.reg.Resize(context.Background(), 512); err == nil {
		t.Error("Resize of a closed device's region succeeded")
	}
	if err := r.reg.Close(); err != nil {
		t.Errorf("Region.Close: %v", err)
	}
}

// The provider is closed after the last queue and handle, whatever is being
// opened meanwhile. The fake reports every breach.
func TestDeviceCloseAgainstOpening(t *testing.T) {
	for range 200 {
		f, dev := newFake(t, Info{})
		f.release()
		var wg sync.WaitGroup
		for range 2 {
			wg.Go(func() {
				if ch, err := dev.NewChannel(ChannelConfig{}); err == nil {
					_ = ch.Close()
				}
			})
			wg.Go(func() {
				if reg, err := dev.Attach(context.Background(), "", ReadWrite); err == nil {
					_ = reg.Close()
				}
			})
		}
		wg.Go(func() {
			if err := dev.Close(); err != nil {
				t.Error(err)
			}
		})
		wg.Wait()
	}
}

// A device that is being closed waits for an Attach that is under way.
func TestDeviceCloseWaitsForAttach(t *testing.T) {
	f, dev := newFake(t, Info{})
	entered, proceed := make(chan struct{}), make(chan struct{})
	f.onAttach = func(context.Context, string, Rights) error {
		close(entered)
		<-proceed
		return nil
	}
	attached := make(chan error)
	go func() {
		_, err := dev.Attach(context.Background(), "", ReadOnly)
		attached <- err
	}()
	<-entered
	closed := make(chan error)
	go func() { closed <- dev.Close() }()
	waitFor(t, "Close to begin", func() bool { return errors.Is(dev.beginOpeningForTest(), ErrClosed) })
	close(proceed)
	if err := <-attached; err != nil {
		t.Error(err)
	}
	if err := <-closed; err != nil {
		t.Error(err)
	}
}

// beginOpeningForTest reports whether opening is still permitted.
func (d *Device) beginOpeningForTest() error {
	err := d.beginOpening()
	if err == nil {
		d.opening.Done()
	}
	return err
}
