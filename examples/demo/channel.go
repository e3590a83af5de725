package main

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/unio-stack/unio"
	"github.com/unio-stack/unio/internal/latency"
	"github.com/unio-stack/unio/provider"
)

// A channelRunner does the jobs through one or more channels of a device, with
// a goroutine for each channel, not for each job.
type channelRunner struct {
	dev   *unio.Device
	reg   *unio.Region
	mem   *unio.Buffer
	lanes []*lane
}

// openChannels opens the device behind url, its region, and channels with one
// place for each of their slots.
func openChannels(ctx context.Context, url string, channels, slots int) (_ *channelRunner, err error) {
	c := &channelRunner{}
	defer func() {
		if err != nil {
			err = errors.Join(err, c.Close())
		}
	}()
	if c.dev, err = provider.Open(ctx, url); err != nil {
		return nil, err
	}
	if c.reg, err = c.dev.Attach(ctx, "", unio.ReadWrite); err != nil {
		return nil, err
	}
	if c.mem, err = unio.NewBuffer(slots * blockSize); err != nil {
		return nil, err
	}
	each := slots / channels
	for first := 0; first < slots; first += each {
		ch, err := c.dev.NewChannel(unio.ChannelConfig{Depth: each})
		if err != nil {
			return nil, err
		}
		c.lanes = append(c.lanes, newLane(ch, c.reg, first, c.mem.Bytes()[first*blockSize:][:each*blockSize]))
	}
	return c, nil
}

// pass runs a goroutine for each channel, to the end of the plan.
func (c *channelRunner) pass(ctx context.Context, p plan, l *ledger, h *latency.Histogram) error {
	errs := make([]error, len(c.lanes))
	own := make([]latency.Histogram, len(c.lanes))
	var wg sync.WaitGroup
	for i, ln := range c.lanes {
		wg.Go(func() { errs[i] = ln.pass(ctx, p, l, &own[i]) })
	}
	wg.Wait()
	addAll(h, own)
	return errors.Join(errs...)
}

// flush does nothing on a device that has nothing to flush: a peer's memory.
func (c *channelRunner) flush(ctx context.Context) error {
	if !c.offers(unio.OpFlush) {
		return nil
	}
	return c.lanes[0].ch.Do(ctx, unio.Request{Op: unio.OpFlush, Region: c.reg})
}

// offers reports whether the device has the operation.
func (c *channelRunner) offers(op unio.Opcode) bool {
	i := c.dev.Info()
	return (i.Native | i.Provided).Has(op)
}

func (c *channelRunner) syscalls() int64 { return c.dev.Stats().Syscalls }

// Close may be called twice.
func (c *channelRunner) Close() (err error) {
	if c.dev != nil {
		err = c.dev.Close() // and its channels and regions
	}
	if c.mem != nil {
		err = errors.Join(err, c.mem.Free())
	}
	return err
}

// A lane is one channel and the slots whose jobs go through it.
type lane struct {
	ch    *unio.Channel
	reg   *unio.Region
	first int        // slot
	jobs  []inFlight // by slot, from first on
	reqs  []unio.Request
	done  []unio.Completion
}

// inFlight is the job that a slot is at.
type inFlight struct {
	job
	buf    []byte
	posted time.Time
}

func newLane(ch *unio.Channel, reg *unio.Region, first int, mem []byte) *lane {
	slots := len(mem) / blockSize
	ln := &lane{ch: ch, reg: reg, first: first, jobs: make([]inFlight, slots), done: make([]unio.Completion, slots)}
	for i := range ln.jobs {
		ln.jobs[i].buf = mem[i*blockSize:][:blockSize]
	}
	return ln
}

// pass posts the first job of every slot, and then, for each job that ends,
// the slot's next one: what was reaped together is posted together.
func (ln *lane) pass(ctx context.Context, p plan, l *ledger, h *latency.Histogram) error {
	now := time.Now()
	ln.reqs = ln.reqs[:0]
	for i := range ln.jobs {
		ln.next(p, l, i, now)
	}
	flying := 0
	for len(ln.reqs) > 0 || flying > 0 {
		if _, err := ln.ch.Post(ln.reqs...); err != nil {
			return err
		}
		flying += len(ln.reqs)
		ln.reqs = ln.reqs[:0]
		n, err := ln.ch.Wait(ctx, ln.done)
		if err != nil {
			return err
		}
		flying -= n
		now = time.Now()
		for _, d := range ln.done[:n] {
			if err := ln.finish(d, l, h, now); err != nil {
				return err
			}
			ln.next(p, l, int(d.ID), now)
		}
	}
	return nil
}

// next prepares the next job of slot first+i, if there is one.
func (ln *lane) next(p plan, l *ledger, i int, now time.Time) {
	j, ok := p(ln.first + i)
	if !ok {
		return
	}
	f := &ln.jobs[i]
	f.job, f.posted = j, now
	op := unio.OpRead
	if j.write {
		op = unio.OpWrite
		l.stamp(j, f.buf)
	}
	ln.reqs = append(ln.reqs, unio.Request{
		ID: uint64(i), Op: op, Region: ln.reg, Offset: j.block * blockSize, Data: f.buf,
	})
}

// finish checks a job that has ended.
func (ln *lane) finish(d unio.Completion, l *ledger, h *latency.Histogram, now time.Time) error {
	f := &ln.jobs[d.ID]
	if l.disrupted(d.Err) {
		return nil
	}
	if d.Err != nil {
		return d.Err
	}
	h.Record(now.Sub(f.posted).Nanoseconds())
	if f.write {
		l.written(f.job)
		return nil
	}
	return l.check(f.job, f.buf)
}
