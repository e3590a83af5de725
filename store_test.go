package unio

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
)

func TestAttachSharesOneHandle(t *testing.T) {
	f, dev := newFake(t, Info{})
	calls := 0
	f.onAttach = func(context.Context, string, Rights) error { calls++; return nil }
	a, b := mustAttach(t, dev, ReadWrite), mustAttach(t, dev, ReadOnly)
	if calls != 1 || a.store != b.store {
		t.Errorf("%d calls of the provider for one name", calls)
	}
	_ = a.Close()
	if f.handles != 1 {
		t.Error("the handle was closed while a region is open")
	}
	_ = b.Close()
	if f.handles != 0 {
		t.Error("the handle outlives the last region")
	}
	c := mustAttach(t, dev, ReadOnly)
	if calls != 2 || c.Size() != fakeSize || c.Device() != dev || c.Rights() != ReadOnly || c.Name() != "" {
		t.Errorf("%d calls, region %+v", calls, c)
	}
}

func TestAttachRefuses(t *testing.T) {
	_, dev := newFake(t, Info{ReadOnly: true, Native: Ops(OpRead)})
	for name, tc := range map[string]struct {
		rights Rights
		want   error
	}{
		"no rights":      {0, ErrInvalid},
		"unknown rights": {8, ErrInvalid},
		"a write":        {ReadWrite, ErrAccess},
	} {
		if _, err := dev.Attach(context.Background(), "", tc.rights); !errors.Is(err, tc.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestAttachFailureIsNotRemembered(t *testing.T) {
	f, dev := newFake(t, Info{})
	fail := true
	f.onAttach = func(context.Context, string, Rights) error {
		if fail {
			return ErrDisconnected
		}
		return nil
	}
	if _, err := dev.Attach(context.Background(), "", ReadOnly); !errors.Is(err, ErrDisconnected) {
		t.Fatal(err)
	}
	fail = false
	mustAttach(t, dev, ReadOnly)
}

// The end of one caller's context fails that call, not those that wait with it.
func TestAttachWithContexts(t *testing.T) {
	f, dev := newFake(t, Info{})
	var calls atomic.Int32
	entered := make(chan struct{}, 4)
	f.onAttach = func(ctx context.Context, _ string, _ Rights) error {
		entered <- struct{}{}
		if calls.Add(1) == 1 {
			<-ctx.Done()
			return ctx.Err()
		}
		return nil
	}
	first, endFirst := context.WithCancel(context.Background())
	impatient, endImpatient := context.WithCancel(context.Background())
	errs := make([]error, 3)
	var wg sync.WaitGroup
	wg.Go(func() { _, errs[0] = dev.Attach(first, "", ReadOnly) })
	<-entered
	wg.Go(func() { _, errs[1] = dev.Attach(context.Background(), "", ReadOnly) })
	gone := make(chan struct{})
	go func() {
		_, errs[2] = dev.Attach(impatient, "", ReadOnly)
		close(gone)
	}()
	waitFor(t, "three callers", func() bool {
		dev.mu.Lock()
		defer dev.mu.Unlock()
		return dev.stores[""].refs == 3
	})
	endImpatient()
	<-gone
	endFirst()
	wg.Wait()
	if !errors.Is(errs[0], context.Canceled) || errs[1] != nil || !errors.Is(errs[2], context.Canceled) {
		t.Errorf("%v; %v; %v", errs[0], errs[1], errs[2])
	}
}

// A region that is attached while the last of its name is being closed waits
// for that, and gets a handle of its own.
func TestAttachWaitsForClose(t *testing.T) {
	f, dev := newFake(t, Info{})
	closing, proceed := make(chan struct{}), make(chan struct{})
	var once sync.Once
	f.onClose = func() {
		once.Do(func() {
			close(closing)
			<-proceed
		})
	}
	old := mustAttach(t, dev, ReadWrite)
	var wg sync.WaitGroup
	wg.Go(func() { _ = old.Close() })
	<-closing
	fresh := make([]*Region, 2)
	for i := range fresh {
		wg.Go(func() { fresh[i] = mustAttach(t, dev, ReadWrite) })
	}
	waitFor(t, "both to wait", func() bool {
		dev.mu.Lock()
		defer dev.mu.Unlock()
		st := dev.stores[""]
		return st != old.store && st.refs == 2
	})
	close(proceed)
	wg.Wait()
	if fresh[0].store != fresh[1].store || fresh[0].store.isClosedForTest() {
		t.Error("attached to a store that is closed")
	}
}

// One name is attached and closed from everywhere; the fake fails the test if
// two handles of it are open at a time.
func TestAttachAgainstClose(t *testing.T) {
	f, dev := newFake(t, Info{})
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for range 500 {
				reg, err := dev.Attach(context.Background(), "x", ReadWrite)
				if err != nil {
					t.Error(err)
					return
				}
				if reg.store.isClosedForTest() {
					t.Error("attached to a store that is closed")
				}
				_ = reg.Close()
			}
		})
	}
	wg.Wait()
	if f.handles != 0 || len(dev.stores) != 0 {
		t.Errorf("%d handles, %d stores left", f.handles, len(dev.stores))
	}
}

func (st *store) isClosedForTest() bool {
	st.mu.Lock()
	defer st.mu.Unlock()
	return st.closed
}

type resizableHandle struct {
	*fakeHandle
	resized int64
}

func (h *resizableHandle) Resize(_ context.Context, size int64) error {
	h.resized = size
	return nil
}

func TestResize(t *testing.T) {
	r := newRig(t, Info{BlockSize: 512}, ChannelConfig{})
	ctx := context.Background()
	if err := r.reg.Resize(ctx, 1024); !errors.Is(err, ErrUnsupported) || !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("of what cannot: %v", err)
	}
	h := &resizableHandle{fakeHandle: r.reg.store.handle.(*fakeHandle)}
	r.reg.store.handle = h
	for _, size := range []int64{0, -512, 100} {
		if err := r.reg.Resize(ctx, size); !errors.Is(err, ErrInvalid) {
			t.Errorf("to %d: %v", size, err)
		}
	}
	if err := r.reg.Resize(ctx, 1024); err != nil || h.resized != 1024 || r.reg.Size() != 1024 {
		t.Errorf("to 1024: %v, %d, %d", err, h.resized, r.reg.Size())
	}
	if _, err := r.ch.Post(r.req(1, OpRead, 1024, 512, 0)); !errors.Is(err, ErrOutOfRange) {
		t.Errorf("beyond the new end: %v", err)
	}
	ro := mustAttach(t, r.dev, ReadOnly)
	if err := ro.Resize(ctx, 512); !errors.Is(err, ErrAccess) {
		t.Errorf("read-only: %v", err)
	}
	_ = r.reg.Close()
	if err := r.reg.Resize(ctx, 512); !errors.Is(err, ErrRevoked) {
		t.Errorf("after Close: %v", err)
	}
}
