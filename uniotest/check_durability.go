package uniotest

import (
	"context"
	"errors"
	"fmt"

	"github.com/unio-stack/unio"
)

// checkDurability: what was flushed, or written with Durable, is there when the
// medium is opened again.
func checkDurability(r *rig) {
	r.needs(unio.OpRead, unio.OpWrite)
	if r.cfg.Reopen == nil {
		r.Skipf("not applicable: Config.Reopen is nil (the device says it is %v)", r.info.Persistence)
	}
	m := make(model, 1<<20)
	for round := range 3 {
		ch := r.channel(unio.ChannelConfig{})
		r.compare(ch, m, 0)
		r.areas.reset()
		for _, c := range r.disjoint(m, 24) {
			r.persist(ch, c)
		}
		if round == 2 {
			return
		}
		r.end("Device.Close", r.dev.Close)
		r.use(r.cfg.Reopen(r.T, r.dev))
	}
}

// persist carries out a call in one of the ways that make it durable.
func (r *rig) persist(ch *unio.Channel, c *call) {
	r.Helper()
	flush := unio.Request{Op: unio.OpFlush, Region: r.reg}
	switch r.rng.IntN(3) {
	case 0:
		if c.req.Op != unio.OpRead {
			c.req.Flags |= unio.Durable
		}
		r.check(c.verify(r.run(ch, c.req)[0]))
	case 1:
		r.check(c.verify(r.run(ch, c.req)[0]))
		r.must(ch, flush)
	case 2:
		flush.Flags = unio.Fence
		r.check(c.verify(r.run(ch, c.req, flush)[0]))
	}
}

// crashArea bytes are written and crashed over.
const crashArea = 64 << 10

// checkCrash: random histories, cut off at random moments. What was flushed or
// Durable survives, and no atomic unit is torn.
func checkCrash(r *rig) {
	r.needs(unio.OpRead, unio.OpWrite, unio.OpFlush)
	if r.cfg.Crash == nil {
		r.Skip("not applicable: Config.Crash is nil")
	}
	for range r.rounds(24) {
		v := &victim{rig: r, ch: r.channel(unio.ChannelConfig{Depth: r.depth(16)}), flight: map[uint64]flight{}}
		v.book = newLedger(min(r.info.AtomicUnit, crashArea), r.read(v.ch, 0, crashArea))
		v.live(1 + r.rng.IntN(60))
		r.use(r.cfg.Crash(r.T, r.dev))
		ch := r.channel(unio.ChannelConfig{})
		r.check(v.book.judge(r.read(ch, 0, crashArea)))
	}
}

// A victim is a channel in use until the power is cut.
type victim struct {
	*rig
	ch     *unio.Channel
	book   *ledger
	flight map[uint64]flight // by ID
	next   uint64
}

// A flight is a request in flight: what it mutates, or what it will have made
// durable.
type flight struct {
	span
	durable bool
	flush   mark // nil but for flushes
}

// live posts n requests, without waiting for all of them.
func (v *victim) live(n int) {
	v.Helper()
	for range n {
		if v.rng.IntN(5) == 0 {
			v.flush()
		} else {
			v.mutate()
		}
		if v.rng.IntN(3) == 0 {
			v.fetch()
		}
	}
}

// flush posts one; with Fence it covers what is in flight, too.
func (v *victim) flush() {
	v.Helper()
	q := unio.Request{Op: unio.OpFlush, Region: v.reg}
	covers := v.book.completed()
	if v.rng.IntN(2) == 0 {
		q.Flags, covers = unio.Fence, v.book.posted()
	}
	v.post(q, flight{flush: covers})
}

// mutate posts a mutation of units that no other in flight touches.
func (v *victim) mutate() {
	v.Helper()
	op := v.someOp()
	s := v.place(op, crashArea)
	unit := int64(v.book.unit)
	wide := span{s.off &^ (unit - 1), (s.end + unit - 1) &^ (unit - 1)}
	for _, f := range v.flight {
		if f.flush == nil && f.overlaps(wide) {
			return
		}
	}
	c := v.newCall(v.book.now, v.reg, op, s.off, s.end-s.off)
	if op == unio.OpRead {
		v.post(c.req, flight{})
		return
	}
	if v.rng.IntN(5) == 0 {
		c.req.Flags |= unio.Durable
	}
	v.book.post(s)
	v.post(c.req, flight{span: wide, durable: c.req.Flags&unio.Durable != 0})
}

func (v *victim) post(q unio.Request, f flight) {
	v.Helper()
	q.ID = v.next
	v.next++
	for {
		_, err := v.ch.Post(q)
		if err == nil {
			v.flight[q.ID] = f
			return
		}
		if !errors.Is(err, unio.ErrFull) {
			v.Fatal(err)
		}
		v.fetch()
	}
}

// fetch notes what has completed.
func (v *victim) fetch() {
	v.Helper()
	var done [8]unio.Completion
	n := v.ch.Poll(done[:])
	if n == 0 && v.rng.IntN(2) == 0 {
		ctx, stop := context.WithTimeout(context.Background(), v.cfg.Patience)
		defer stop()
		var err error
		if n, err = v.ch.Wait(ctx, done[:]); err != nil {
			v.check(fmt.Errorf("%w: %w", errLost, err))
		}
	}
	for _, c := range done[:n] {
		f, ok := v.flight[c.ID]
		if !ok || c.Err != nil {
			v.check(fmt.Errorf("completion %+v, in flight: %v", c, ok))
		}
		delete(v.flight, c.ID)
		switch {
		case f.flush != nil:
			v.book.flushed(f.flush)
		case f.end == 0: // a read
		case f.durable:
			v.book.settle(f.span)
		default:
			v.book.complete(f.span)
		}
	}
}
