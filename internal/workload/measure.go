package workload

import (
	"context"
	"time"

	"github.com/unio-stack/unio"
)

const (
	maxFailures = 5    // errors kept in words
	maxErrors   = 1000 // errors after which a worker gives up
	// tickEvery is how often a worker reports.
	tickEvery = 100 * time.Millisecond
)

// measure is the run: from origin until the deadline, then until nothing is in
// flight.
func (w *worker) measure(ctx context.Context, origin time.Time) error {
	w.start()
	bounded, cancel := w.bound(ctx)
	defer cancel()
	err := w.loop(bounded, origin)
	if ctx.Err() != nil {
		err = nil // interrupted: what was measured so far counts
	}
	return w.finish(ctx, origin, err)
}

// start begins the account, unless there is a ramp before.
func (w *worker) start() {
	w.deadline = w.cfg.Ramp + w.cfg.Time
	if w.cfg.Ramp == 0 {
		w.begin()
	}
	w.tick = w.nextTick(0)
}

// loop keeps Depth requests in flight until the deadline.
func (w *worker) loop(ctx context.Context, origin time.Time) error {
	now := time.Since(origin)
	for id := range w.cfg.Depth {
		w.prepare(uint64(id), now)
	}
	err := w.post()
	for err == nil && w.inFlight > 0 {
		var n int
		n, err = w.ch.Wait(ctx, w.done)
		now = time.Since(origin)
		w.inFlight -= n
		if now >= w.tick {
			w.turn(ctx, now)
		}
		if now >= w.deadline {
			w.settleAll(n, now)
			break
		}
		for i := range w.done[:n] {
			if id, free := w.settle(&w.done[i], now); free {
				w.prepare(id, now)
			}
		}
		if w.filled > 0 && err == nil {
			err = w.post()
		}
	}
	return err
}

// prepare makes what slot id does next the next of the batch.
func (w *worker) prepare(id uint64, now time.Duration) {
	w.posted[id] = now
	switch w.cfg.Access.Kind {
	case Blocks:
		w.prepareBlock(id)
	case FetchAdd, CompareSwap:
		w.prepareAtomic(id)
	case Send:
		w.prepareSend(id)
	case PingPong:
		w.prepareEcho(id)
	}
}

// settle counts one completion, and returns the slot whose it is, and whether
// that is free again.
func (w *worker) settle(c *unio.Completion, now time.Duration) (id uint64, free bool) {
	switch w.cfg.Access.Kind {
	case Blocks:
		w.settleBlock(c, now)
	case PingPong:
		return w.settleEcho(c, now)
	default:
		w.record(kindOther, c.Err, now-w.posted[c.ID])
	}
	return c.ID, true
}

// record counts one request that took so long, or failed.
func (w *worker) record(k kind, err error, took time.Duration) {
	if err != nil {
		w.fail(err)
		return
	}
	w.tally.latency[k].Record(int64(took))
}

func (w *worker) settleAll(n int, now time.Duration) {
	for i := range w.done[:n] {
		w.settle(&w.done[i], now)
	}
}

// finish takes back what is in flight and closes the account.
func (w *worker) finish(ctx context.Context, origin time.Time, err error) error {
	settle := func(c *unio.Completion) { w.settle(c, time.Since(origin)) }
	var drained error
	if w.cfg.Access.Messages() {
		drained = w.drainMessages(context.WithoutCancel(ctx), settle, err == nil)
	} else {
		drained = w.drain(context.WithoutCancel(ctx), settle)
	}
	w.ended = time.Since(origin)
	if w.measured {
		w.mon.publish(&w.tally, w.window(w.ended))
		w.stats = difference(w.counted(), w.base)
	}
	w.tally.reset()
	if drained != nil {
		return drained
	}
	return err
}

// fail counts an error, and gives up after very many.
func (w *worker) fail(err error) {
	w.tally.errors++
	if w.errors++; w.errors == maxErrors {
		w.gaveUp, w.deadline = true, 0
	}
	if len(w.failures) < maxFailures {
		w.failures = append(w.failures, err.Error())
	}
}

// turn does what is due at a tick: it reports what was counted before it.
func (w *worker) turn(ctx context.Context, now time.Duration) {
	switch {
	case w.measured:
		w.mon.publish(&w.tally, w.window(w.tick-1))
		w.tally.reset()
	case now >= w.cfg.Ramp:
		w.begin()
	default:
		w.mon.glance(&w.tally)
		w.tally.reset()
	}
	if ctx.Err() != nil {
		w.deadline = 0
	}
	w.tick = w.nextTick(now)
}

// nextTick keeps to the timeline's windows, which begin when the ramp is over.
func (w *worker) nextTick(now time.Duration) time.Duration {
	if !w.measured {
		return min(now+tickEvery, w.cfg.Ramp)
	}
	since := max(now-w.cfg.Ramp, 0)
	return w.cfg.Ramp + since - since%tickEvery + tickEvery
}

// begin starts the account when the ramp is over.
func (w *worker) begin() {
	w.measured = true
	w.tally.reset()
	w.base = w.counted()
}

// counted returns what the channel has done so far.
func (w *worker) counted() unio.Stats {
	if w.ch == nil {
		return unio.Stats{}
	}
	return w.ch.Stats()
}

// window returns the timeline's window that a time since the origin lies in.
func (w *worker) window(at time.Duration) int {
	return int(max(at-w.cfg.Ramp, 0) / w.cfg.interval())
}

// difference returns what was counted between two readings, of what a Result
// tells about.
func difference(now, base unio.Stats) unio.Stats {
	return unio.Stats{
		BouncedBytes: now.BouncedBytes - base.BouncedBytes,
		Assisted:     now.Assisted - base.Assisted,
		Doorbells:    now.Doorbells - base.Doorbells,
		Syscalls:     now.Syscalls - base.Syscalls,
		Inline:       now.Inline - base.Inline,
		Sleeps:       now.Sleeps - base.Sleeps,
	}
}
