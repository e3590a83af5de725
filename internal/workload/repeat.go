package workload

import (
	"context"
	"sync/atomic"
	"time"
)

// Repeat lets Channels goroutines make n calls in all, each goroutine one
// after the other, and measures every call as Run does a request. It ends
// early when cfg.Time is over or ctx ends. A call that fails because ctx has
// ended is not counted. Of cfg, Time, Channels, Ramp, Pinned and Watch are
// used.
func Repeat(ctx context.Context, n int64, call func(context.Context) error, cfg Config, mon *Monitor) (*Result, error) {
	cfg = Config{Time: cfg.Time, Channels: cfg.Channels, Ramp: cfg.Ramp, Pinned: cfg.Pinned, Watch: cfg.Watch}.withCounts()
	if err := cfg.checkTimes(); err != nil {
		return nil, err
	}
	if n <= 0 {
		return nil, invalid("%d calls", n)
	}
	if mon == nil {
		mon = new(Monitor)
	}
	mon.prepare(&cfg)
	c := newCrew(nil, nil, &cfg, mon)
	defer c.dismiss()
	c.calls = n
	var left atomic.Int64
	left.Store(n)
	used, err := c.measure(ctx, func(w *worker, ctx context.Context, origin time.Time) error {
		return w.repeat(ctx, origin, &left, call)
	})
	if err != nil {
		return nil, err
	}
	return c.result(used, ctx.Err() != nil), nil
}

// repeat makes calls while there are any left.
func (w *worker) repeat(ctx context.Context, origin time.Time, left *atomic.Int64, call func(context.Context) error) error {
	w.pin()
	w.start()
	now := time.Since(origin)
	for now < w.deadline && ctx.Err() == nil && left.Add(-1) >= 0 {
		began := now
		err := call(ctx)
		w.mon.advance(1)
		now = time.Since(origin)
		if now >= w.tick {
			w.turn(ctx, now)
		}
		if err == nil || ctx.Err() == nil {
			w.record(kindOther, err, now-began)
		}
	}
	return w.finish(ctx, origin, nil)
}
