package uniotest

import (
	"context"
	"errors"
	"sync"

	"github.com/unio-stack/unio"
)

// checkClose: closing is idempotent, may come from several goroutines, and
// what is closed says so.
func checkClose(r *rig) {
	ch := r.channel(unio.ChannelConfig{Depth: r.depth(16)})
	read := unio.Request{ID: 9, Op: unio.OpRead, Region: r.reg, Data: make([]byte, 4096)}
	if n, err := ch.Post(read); n != 1 {
		r.Fatal(err)
	}
	r.concurrently(func() error { return ch.Close() })
	var done [4]unio.Completion
	if n := ch.Poll(done[:]); n != 1 || done[0].ID != 9 {
		r.Errorf("Poll after Close returned %d completions %+v, want the one that was in flight", n, done[:n])
	}
	r.wantClosed("channel", ch, read)
	ch.Cancel(9)
	ch.CancelAll()

	idle := r.channel(unio.ChannelConfig{})
	r.concurrently(func() error { return r.dev.Close() })
	r.wantClosed("channel of a closed device", idle, read)
	if _, err := r.dev.Attach(context.Background(), r.cfg.Region, unio.ReadOnly); !errors.Is(err, unio.ErrClosed) {
		r.Errorf("Attach to a closed device: %v, want ErrClosed", err)
	}
	if c, err := r.dev.NewChannel(unio.ChannelConfig{}); !errors.Is(err, unio.ErrClosed) {
		r.Errorf("NewChannel on a closed device: %v, %v, want ErrClosed", c, err)
	}
	if err := r.reg.Close(); err != nil {
		r.Errorf("Close of a region whose device was closed: %v", err)
	}
}

// concurrently calls a closing function several times at once and once more.
func (r *rig) concurrently(f func() error) {
	r.Helper()
	var wg sync.WaitGroup
	for range 3 {
		wg.Go(func() { r.end("one of several concurrent Close", f) })
	}
	wg.Wait()
	r.end("Close of what is closed", f)
}

// wantClosed checks that every call of a closed channel fails with ErrClosed.
func (r *rig) wantClosed(what string, ch *unio.Channel, q unio.Request) {
	r.Helper()
	if n, err := ch.Post(q); n != 0 || !errors.Is(err, unio.ErrClosed) {
		r.Errorf("Post to a closed %s: %d, %v; want 0, ErrClosed", what, n, err)
	}
	var done [1]unio.Completion
	if n, err := ch.Wait(context.Background(), done[:]); n != 0 || !errors.Is(err, unio.ErrClosed) {
		r.Errorf("Wait on a closed %s: %d, %v; want 0, ErrClosed", what, n, err)
	}
	if n := ch.Poll(done[:]); n != 0 {
		r.Errorf("Poll of a closed %s returned %d", what, n)
	}
	if err := ch.Do(context.Background(), q); !errors.Is(err, unio.ErrClosed) {
		r.Errorf("Do on a closed %s: %v, want ErrClosed", what, err)
	}
}
