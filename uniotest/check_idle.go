package uniotest

import (
	"context"
	"errors"
	"runtime"
	"time"

	"github.com/unio-stack/unio"
	"github.com/unio-stack/unio/uniotest/faults"
)

// idleDelay is how long the device is made to wait, while the processor time
// of the process is measured.
const idleDelay = 60 * time.Millisecond

// checkIdle: open channels cost no processor time, and neither does waiting
// for a completion once it takes long; and whoever waits can be woken by a
// context, a Cancel and a Close.
func checkIdle(r *rig) {
	slow, err := faults.Wrap(r.cfg.Open(r.T), "any delay "+idleDelay.String(), 1)
	r.check(err)
	for range 4 {
		r.channel(unio.ChannelConfig{})
	}
	r.use(slow)
	ch := r.channel(unio.ChannelConfig{})
	read := unio.Request{Op: unio.OpRead, Region: r.reg, Data: make([]byte, 4096)}
	runtime.GC()
	cpu, wall := processorTime(), time.Now()
	r.must(ch, read)
	used, took := processorTime()-cpu, time.Since(wall)
	r.Logf("waiting %v for one read used %v of processor time", took, used)
	if took < idleDelay {
		r.Errorf("a read that is delayed by %v took %v", idleDelay, took)
	}
	if used > took/3 && processorTime() != 0 {
		r.Errorf("waiting %v for one read used %v of processor time", took, used)
	}
	if s := ch.Stats().Sleeps; s < 1 || s > 20 {
		r.Errorf("waiting %v for one read slept %d times", took, s)
	}
	r.interrupt(ch, read)
}

// interrupt ends waits early in every way there is.
func (r *rig) interrupt(ch *unio.Channel, read unio.Request) {
	r.Helper()
	if n, err := ch.Post(read); n != 1 {
		r.Fatal(err)
	}
	ctx, stop := context.WithTimeout(context.Background(), time.Millisecond)
	defer stop()
	var done [1]unio.Completion
	if n, err := ch.Wait(ctx, done[:]); n != 0 || !errors.Is(err, context.DeadlineExceeded) {
		r.Errorf("Wait under a context that ends: %d, %v; want 0 and the context's error", n, err)
	}
	began := time.Now()
	ch.Cancel(read.ID)
	all := r.drain(ch)
	if took := time.Since(began); len(all) != 1 || took > idleDelay/2 && all[0].Err != nil {
		r.Errorf("a cancelled request ended after %v with %+v", took, all)
	}
	err := ch.Do(ctx, read)
	if err != nil && !(errors.Is(err, unio.ErrTimeout) && errors.Is(err, context.DeadlineExceeded)) {
		r.Errorf("Do under a deadline that has passed: %v; want success, or ErrTimeout and DeadlineExceeded", err)
	}
	if n, err := ch.Post(read); n != 1 {
		r.Fatal(err)
	}
	go ch.Close()
	if n, err := ch.Wait(context.Background(), done[:]); n != 1 {
		r.Errorf("Wait on a channel that is being closed: %d, %v; want the request that was in flight", n, err)
	}
}
