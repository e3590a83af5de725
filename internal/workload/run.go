package workload

import (
	"context"
	"errors"
	"runtime"
	"sync"
	"time"

	"github.com/unio-stack/unio"
)

// maxWindows is about how many windows a timeline has.
const maxWindows = 120

// interval is the width of the timeline's windows.
func (c *Config) interval() time.Duration {
	d := (c.Time/maxWindows + tickEvery - 1) / tickEvery * tickEvery
	return max(d, tickEvery)
}

// Run drives the region until Time is over or ctx ends, whatever comes first;
// what was measured until then is the result either way. mon, which may be
// nil, lets another goroutine watch. The error is about the run as a whole:
// requests that fail are counted in the result.
//
// With Access.Writes or Prefill the contents of the span are overwritten.
func Run(ctx context.Context, reg *unio.Region, cfg Config, mon *Monitor) (*Result, error) {
	if cfg.Access.Messages() {
		return nil, invalid("messages go to a device, not to a region")
	}
	return run(ctx, reg.Device(), reg, cfg, mon)
}

// Exchange is Run for messages: it drives the peer that a device is. It fails
// with [unio.ErrTimeout] if the peer leaves messages unanswered.
func Exchange(ctx context.Context, dev *unio.Device, cfg Config, mon *Monitor) (*Result, error) {
	if !cfg.Access.Messages() {
		return nil, invalid("only messages need no region")
	}
	return run(ctx, dev, nil, cfg, mon)
}

func run(ctx context.Context, dev *unio.Device, reg *unio.Region, cfg Config, mon *Monitor) (*Result, error) {
	cfg, err := cfg.withDefaults(dev, reg)
	if err != nil {
		return nil, err
	}
	if mon == nil {
		mon = new(Monitor)
	}
	mon.prepare(&cfg)
	c := newCrew(dev, reg, &cfg, mon)
	defer c.dismiss()
	res, err := c.run(ctx)
	if closed := c.each(ctx, (*worker).close); err == nil {
		err = closed
	}
	return res, err
}

// A crew is the workers of a run. Each has its goroutine, which carries out
// one step after another, so that all steps of a pinned worker are on its
// thread.
type crew struct {
	cfg     *Config
	mon     *Monitor
	calls   int64 // to be made in all; 0 if it is not about calls
	workers []*worker
	steps   []chan func()
	ended   sync.WaitGroup
}

func newCrew(dev *unio.Device, reg *unio.Region, cfg *Config, mon *Monitor) *crew {
	c := &crew{cfg: cfg, mon: mon}
	for i := range cfg.Channels {
		w := &worker{cfg: cfg, dev: dev, reg: reg, mon: mon}
		w.gen = generator{state: cfg.Seed + uint64(i)*0x9e3779b97f4a7c15, access: cfg.Access, count: cfg.blocks()}
		w.first, w.count = cfg.part(i)
		if cfg.Verify {
			w.ledger = newLedger(w.first, w.count, cfg.Seed)
		}
		if cfg.Verify || !cfg.Access.Random {
			w.gen.first, w.gen.count = w.first, w.count
		}
		steps := make(chan func())
		c.workers, c.steps = append(c.workers, w), append(c.steps, steps)
		c.ended.Go(func() {
			for step := range steps {
				step()
			}
			if cfg.Pinned {
				runtime.UnlockOSThread()
			}
		})
	}
	return c
}

// part returns the blocks that belong to worker i.
func (c *Config) part(i int) (first, count int64) {
	n, k := c.blocks(), int64(c.Channels)
	first = n / k * int64(i)
	if i == c.Channels-1 {
		return first, n - first
	}
	return first, n / k
}

// run carries out the phases of a run, between opening and closing channels.
func (c *crew) run(ctx context.Context) (*Result, error) {
	if err := c.each(ctx, (*worker).open); err != nil {
		return nil, err
	}
	if c.cfg.prefills() {
		c.mon.enter(PhaseFill, 0, c.cfg.Span)
		if err := c.each(ctx, (*worker).fillPart); err != nil {
			return nil, err
		}
	}
	if err := c.each(ctx, (*worker).warm); err != nil {
		return nil, err
	}
	used, err := c.measure(ctx, (*worker).measure)
	if err != nil {
		return nil, err
	}
	if c.cfg.Verify && c.cfg.Access.Writes() && ctx.Err() == nil {
		c.mon.enter(PhaseVerify, 0, c.cfg.Span)
		if err := c.each(ctx, (*worker).verifyPart); err != nil && ctx.Err() == nil {
			return nil, err
		}
	}
	return c.result(used, ctx.Err() != nil), nil
}

// measure is the ramp and the run, in which each worker does work from origin
// on. It returns what the process used after the ramp.
func (c *crew) measure(ctx context.Context, work func(w *worker, ctx context.Context, origin time.Time) error) (usage, error) {
	runtime.GC() // what setup left is not the run's to pay for
	var mu sync.Mutex
	before, begun := readUsage(), false
	c.mon.enter(PhaseRamp, c.cfg.Ramp, 0)
	begin := func() {
		mu.Lock()
		c.watch()
		before, begun = readUsage(), true
		mu.Unlock()
		c.mon.enter(PhaseMeasure, c.cfg.Time, c.calls)
	}
	var ramp *time.Timer
	origin := time.Now()
	if c.cfg.Ramp > 0 {
		ramp = time.AfterFunc(c.cfg.Ramp, begin)
		defer ramp.Stop()
	} else {
		begin()
	}
	err := c.each(ctx, func(w *worker, ctx context.Context) error { return work(w, ctx, origin) })
	mu.Lock()
	defer mu.Unlock()
	used := readUsage().since(before)
	if begun {
		c.watch()
	}
	return used, err
}

func (c *crew) watch() {
	if c.cfg.Watch != nil {
		c.cfg.Watch()
	}
}

// each lets every worker carry out a step and waits for all.
func (c *crew) each(ctx context.Context, step func(*worker, context.Context) error) error {
	errs := make([]error, len(c.workers))
	var wait sync.WaitGroup
	wait.Add(len(c.workers))
	for i, w := range c.workers {
		c.steps[i] <- func() {
			defer wait.Done()
			errs[i] = step(w, ctx)
		}
	}
	wait.Wait()
	return errors.Join(errs...)
}

// dismiss ends the workers' goroutines.
func (c *crew) dismiss() {
	for _, s := range c.steps {
		close(s)
	}
	c.ended.Wait()
}
