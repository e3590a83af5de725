package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/unio-stack/unio"
	"github.com/unio-stack/unio/internal/latency"
)

// crashChannels are the connections that break when the target is killed.
const crashChannels = 2

// crash kills the target while two channels write through it, starts it again
// on the same file, and looks what is there: everything that was acknowledged
// and flushed, and of everything later the old block or the new one, whole. At
// the end it stops the target in peace and looks into the file itself.
func (s *servers) crash(ctx context.Context, o options, out io.Writer) error {
	slots := o.depth / crashChannels * crashChannels
	l := newLedger(o.size, slots)
	url := "rdma://" + s.target.addr + "/disk"
	fmt.Fprintf(out, "  %-26s %s\n", fmt.Sprintf("%d channels", crashChannels), url)
	err := session(ctx, url, slots, func(c *channelRunner) error {
		if err := fill(ctx, c, l); err != nil {
			return err
		}
		for range o.crashes {
			if err := s.crashOnce(ctx, c, l, o, out); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return s.target.explain(err)
	}
	if err := s.target.stop(); err != nil {
		return err
	}
	if o.corrupt {
		if err := flipByte(s.path, l.blocks*blockSize/2); err != nil {
			return err
		}
	}
	url = "file://" + s.path
	fmt.Fprintf(out, "  %-26s %s\n", "the file, target stopped", url)
	err = session(ctx, url, slots, func(c *channelRunner) error { return c.pass(ctx, l.sweep(), l, nil) })
	if err == nil {
		fmt.Fprintf(out, "      %d blocks: every one holds what was written to it last\n", l.blocks)
	}
	return err
}

// session calls f with the channels of the device behind url.
func session(ctx context.Context, url string, slots int, f func(*channelRunner) error) (err error) {
	c, err := openChannels(ctx, url, crashChannels, slots)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, c.Close()) }()
	return f(c)
}

// crashOnce leaves everything flushed.
func (s *servers) crashOnce(ctx context.Context, c *channelRunner, l *ledger, o options, out io.Writer) error {
	if err := c.flush(ctx); err != nil {
		return err
	}
	l.flushed()
	ended, err := s.writeAndKill(ctx, c, l, o.time/10)
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "      kill -9 of the target after %d reads and writes: %d in flight fail with ErrDisconnected\n", ended, l.crash.jobs.Load())
	l.crash = nil
	began := time.Now()
	again, err := s.startTarget(ctx, s.target.addr)
	if err != nil {
		return err
	}
	s.target = again
	if err := c.reconnected(ctx); err != nil {
		return fmt.Errorf("after the target was started again: %w", err)
	}
	fmt.Fprintf(out, "      the target is started again; the channels work again after %v\n", time.Since(began).Round(time.Millisecond))
	l.crashed()
	if err := c.pass(ctx, l.sweep(), l, nil); err != nil {
		return fmt.Errorf("after the crash: %w", err)
	}
	stable, renewed, old := l.survived()
	fmt.Fprintf(out, "      all %d flushed blocks are there; of %d written later %d are new, %d old, none is torn\n",
		stable, renewed+old, renewed, old)
	return c.repeatUnflushed(ctx, l)
}

// writeAndKill kills the target while jobs are in flight, after about d, and
// returns how many had ended.
func (s *servers) writeAndKill(ctx context.Context, c *channelRunner, l *ledger, d time.Duration) (int64, error) {
	var begun atomic.Int64
	enough := make(chan struct{})
	mix, stop := l.mix(time.Minute, allWrites*2/3)
	defer stop()
	l.crash = &disruption{stop: stop}
	counted := func(slot int) (job, bool) {
		if begun.Add(1) == int64(4*l.slots) {
			close(enough)
		}
		return mix(slot)
	}
	var killer sync.WaitGroup
	killer.Go(func() {
		select {
		case <-enough:
			time.Sleep(rand.N(d) + d/2)
		case <-ctx.Done():
		}
		_ = s.target.kill() // it never fails
	})
	defer killer.Wait()
	h := new(latency.Histogram)
	err := c.pass(ctx, counted, l, h)
	if err == nil && l.crash.jobs.Load() == 0 {
		err = errors.New("the target was killed and nothing failed")
	}
	return h.Count(), err
}

// reconnected returns when all channels work again, which they do by
// themselves: a read that may be repeated waits for that.
func (c *channelRunner) reconnected(ctx context.Context) error {
	for _, ln := range c.lanes {
		read := unio.Request{Op: unio.OpRead, Region: c.reg, Data: ln.jobs[0].buf, Flags: unio.Idempotent}
		if err := ln.ch.Do(ctx, read); err != nil {
			return err
		}
	}
	return nil
}

// repeatUnflushed writes again what was not flushed when the target was
// killed. Each channel's next flush says that this is needed.
func (c *channelRunner) repeatUnflushed(ctx context.Context, l *ledger) error {
	for i, ln := range c.lanes {
		flush := unio.Request{Op: unio.OpFlush, Region: c.reg}
		if err := ln.ch.Do(ctx, flush); !errors.Is(err, unio.ErrDisconnected) {
			return fmt.Errorf("channel %d flushes as if nothing were lost (%v)", i, err)
		}
	}
	if err := c.pass(ctx, l.redo(), l, nil); err != nil {
		return err
	}
	if err := c.flush(ctx); err != nil {
		return fmt.Errorf("flush after writing again: %w", err)
	}
	return nil
}
