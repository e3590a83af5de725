package rdma

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/unio-stack/unio"
)

// A restartable target serves one ram at one address; each start is another instance.
type restartable struct {
	t     *testing.T
	ram   *ram
	addr  string
	l     *Listener
	inUse atomic.Int64 // services whose connection uses ram

	mu       sync.Mutex
	services []*Service // guarded by mu
}

func newRestartable(t *testing.T) *restartable {
	r := &restartable{t: t, ram: &ram{bytes: make([]byte, 1<<20), late: true}, addr: "127.0.0.1:0"}
	r.start()
	t.Cleanup(r.stop)
	return r
}

func (r *restartable) start() {
	r.t.Helper()
	l, err := Listen(context.Background(), r.addr, Config{Serve: func(*Incoming) (*Service, error) {
		r.inUse.Add(1)
		s := &Service{
			Store: r.ram, Rights: unio.ReadWrite, Info: StoreInfo{Ops: unio.AllOps, AtomicUnit: 1},
			Closed: func() { r.inUse.Add(-1) },
		}
		r.mu.Lock()
		defer r.mu.Unlock()
		r.services = append(r.services, s)
		return s, nil
	}})
	if err != nil {
		r.t.Fatal(err)
	}
	r.l, r.addr = l, l.Addr().String()
}

// stop ends the target and all its connections.
func (r *restartable) stop() {
	if r.l == nil {
		return
	}
	if err := r.l.Close(); err != nil {
		r.t.Error(err)
	}
	r.l = nil
	r.disconnect()
	eventually(r.t, func() error {
		if n := r.inUse.Load(); n > 0 {
			return fmt.Errorf("%d services are still open", n)
		}
		return nil
	})
	r.ram.running.Wait()
}

func (r *restartable) disconnect() {
	r.mu.Lock()
	services := r.services
	r.services = nil
	r.mu.Unlock()
	for _, s := range services {
		s.Disconnect()
	}
}

func (r *restartable) open() (*unio.Device, *unio.Region, *unio.Channel) {
	r.t.Helper()
	dev, err := OpenRegion(context.Background(), r.addr, "ram", false, Config{})
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() { _ = dev.Close() })
	reg, err := dev.Attach(context.Background(), "", unio.ReadWrite)
	if err != nil {
		r.t.Fatal(err)
	}
	ch, err := dev.NewChannel(unio.ChannelConfig{Depth: 32})
	if err != nil {
		r.t.Fatal(err)
	}
	return dev, reg, ch
}

// eventually repeats f until it succeeds.
func eventually(t *testing.T, f func() error) {
	t.Helper()
	var err error
	for deadline := time.Now().Add(15 * time.Second); time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
		if err = f(); err == nil {
			return
		}
	}
	t.Fatal(err)
}

// TestConnectsAgain: a channel fails what is in flight when its connection breaks, and works again afterwards.
func TestConnectsAgain(t *testing.T) {
	r := newRestartable(t)
	dev, reg, ch := r.open()
	ctx := t.Context()
	buf := make([]byte, 4096)
	for round := range 3 {
		read := unio.Request{Op: unio.OpRead, Region: reg, Data: buf}
		eventually(t, func() error { return ch.Do(ctx, read) })
		if round == 1 {
			r.disconnect() // the same target
		} else {
			r.stop()
		}
		if err := ch.Do(ctx, read); !errors.Is(err, unio.ErrDisconnected) {
			t.Errorf("round %d: %v", round, err)
		}
		if round != 1 {
			r.start()
		}
	}
	if len(dev.Errors()) == 0 {
		t.Error("the device remembers nothing of it")
	}
}

// TestIdempotent: what is marked so is carried out by the next connection, or cancelled while there is none.
func TestIdempotent(t *testing.T) {
	r := newRestartable(t)
	_, reg, ch := r.open()
	ctx := t.Context()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(ch.Do(ctx, unio.Request{Op: unio.OpWrite, Region: reg, Data: []byte("before")}))
	r.stop()
	buf := make([]byte, 6)
	n, err := ch.Post(
		unio.Request{ID: 1, Op: unio.OpRead, Region: reg, Data: buf, Flags: unio.Idempotent},
		unio.Request{ID: 2, Op: unio.OpWrite, Region: reg, Offset: 3, Data: []byte("after"), Flags: unio.Idempotent},
		unio.Request{ID: 3, Op: unio.OpRead, Region: reg, Data: make([]byte, 6), Flags: unio.Idempotent},
		unio.Request{ID: 4, Op: unio.OpRead, Region: reg, Data: make([]byte, 6)},
	)
	if n != 4 {
		t.Fatal(err)
	}
	ch.Cancel(3)
	want := map[uint64]error{1: nil, 2: nil, 3: unio.ErrCanceled, 4: unio.ErrDisconnected}
	var restarted sync.WaitGroup
	restarted.Go(func() {
		time.Sleep(50 * time.Millisecond) // so that some attempts to connect fail
		r.start()
	})
	defer restarted.Wait()
	ctx, stop := context.WithTimeout(ctx, 20*time.Second)
	defer stop()
	for len(want) > 0 {
		var done [4]unio.Completion
		n, err := ch.Wait(ctx, done[:])
		must(err)
		for _, d := range done[:n] {
			w, ok := want[d.ID]
			if !ok || !errors.Is(d.Err, w) {
				t.Errorf("request %d: %v, want %v", d.ID, d.Err, w)
			}
			delete(want, d.ID)
		}
	}
	if string(buf[:3]) != "bef" {
		t.Errorf("read %q", buf)
	}
}

// TestLostWrites: a Flush fails on every channel, once, if the target was replaced by another that may not have what was
// acknowledged; not if all had been flushed, and not if only the connection broke.
func TestLostWrites(t *testing.T) {
	for _, c := range []struct {
		name           string
		flush, restart bool
		lost           bool
	}{
		{"not flushed", false, true, true},
		{"flushed", true, true, false},
		{"only the connection", false, false, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := newRestartable(t)
			dev, reg, a := r.open()
			b, err := dev.NewChannel(unio.ChannelConfig{})
			if err != nil {
				t.Fatal(err)
			}
			ctx := t.Context()
			if err := a.Do(ctx, unio.Request{Op: unio.OpWrite, Region: reg, Data: []byte("x")}); err != nil {
				t.Fatal(err)
			}
			if c.flush {
				if err := a.Do(ctx, unio.Request{Op: unio.OpFlush, Region: reg}); err != nil {
					t.Fatal(err)
				}
			}
			if c.restart {
				r.stop()
				r.start()
			} else {
				r.disconnect()
			}
			for name, ch := range map[string]*unio.Channel{"a": a, "b": b} {
				eventually(t, func() error {
					return ch.Do(ctx, unio.Request{Op: unio.OpRead, Region: reg, Data: make([]byte, 1)})
				})
				err := ch.Do(ctx, unio.Request{Op: unio.OpFlush, Region: reg})
				if c.lost != errors.Is(err, unio.ErrDisconnected) || !c.lost && err != nil {
					t.Errorf("channel %s: %v", name, err)
				}
				if err := ch.Do(ctx, unio.Request{Op: unio.OpFlush, Region: reg}); err != nil {
					t.Errorf("channel %s, second time: %v", name, err)
				}
			}
		})
	}
}

// TestTargetErrors: an error of the device behind a target is one request's; its neighbours and the connection go on.
func TestTargetErrors(t *testing.T) {
	r := newRestartable(t)
	_, reg, ch := r.open()
	ctx := t.Context()
	var bad error = &unio.OpError{BadByte: 4097, Err: unio.ErrMedia}
	for _, q := range []unio.Request{
		{Op: unio.OpRead, Region: reg, Offset: 4096, Data: make([]byte, 100)},
		{Op: unio.OpWrite, Region: reg, Offset: 4096, Data: make([]byte, 200<<10)},
		{Op: unio.OpFetchAdd, Region: reg, Offset: 4096, Swap: 1},
		{Op: unio.OpFlush, Region: reg},
		{Op: unio.OpDiscard, Region: reg, Offset: 4096, Length: 4096},
	} {
		r.ram.fail.Store(&bad)
		err := ch.Do(ctx, q)
		r.ram.fail.Store(nil)
		var e *unio.OpError
		if !errors.As(err, &e) || !errors.Is(err, unio.ErrMedia) || e.Layer != LayerTarget || e.Op != q.Op || e.BadByte != 4097 {
			t.Errorf("%v: %v", q.Op, err)
		}
		q.ID = 9
		if err := ch.Do(ctx, q); err != nil {
			t.Errorf("%v, once the device works: %v", q.Op, err)
		}
	}
}

// TestRevokedService: what a Service gives can be taken away without the connection.
func TestRevokedService(t *testing.T) {
	r := newRestartable(t)
	_, reg, ch := r.open()
	r.mu.Lock()
	s := r.services[0]
	r.mu.Unlock()
	s.Revoke()
	for _, q := range []unio.Request{
		{Op: unio.OpRead, Region: reg, Data: make([]byte, 100)},
		{Op: unio.OpWrite, Region: reg, Data: make([]byte, 200<<10)},
		{Op: unio.OpFetchAdd, Region: reg, Swap: 1},
		{Op: unio.OpDiscard, Region: reg, Length: 4096},
	} {
		if err := ch.Do(t.Context(), q); !errors.Is(err, unio.ErrRevoked) {
			t.Errorf("%v: %v", q.Op, err)
		}
	}
}

// TestOpenRegionRefused: the errors of opening say what is wrong.
func TestOpenRegionRefused(t *testing.T) {
	addr, _ := target(t, &ram{bytes: make([]byte, 4096)}, Config{})
	if _, err := OpenRegion(t.Context(), addr, "other", false, Config{}); !errors.Is(err, unio.ErrAccess) {
		t.Errorf("unknown region: %v", err)
	}
	peer, _ := serve(t, 4096, Config{})
	if _, err := OpenRegion(t.Context(), peer, "ram", false, Config{}); !errors.Is(err, unio.ErrUnsupported) {
		t.Errorf("a peer that is no target: %v", err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	_, err = OpenRegion(t.Context(), l.Addr().String(), "ram", false, Config{HandshakeTimeout: 50 * time.Millisecond})
	if !errors.Is(err, unio.ErrTimeout) {
		t.Errorf("a peer that says nothing: %v", err)
	}
}

// TestReadOnlyRegion: a region opened for reading only cannot be attached to write.
func TestReadOnlyRegion(t *testing.T) {
	addr, _ := target(t, &ram{bytes: make([]byte, 4096)}, Config{})
	dev, err := OpenRegion(t.Context(), addr, "ram", true, Config{})
	if err != nil {
		t.Fatal(err)
	}
	defer dev.Close()
	if _, err := dev.Attach(t.Context(), "", unio.ReadWrite); !errors.Is(err, unio.ErrAccess) {
		t.Error(err)
	}
	if _, err := dev.Attach(t.Context(), "", unio.ReadOnly); err != nil {
		t.Error(err)
	}
}
