package uniotest

import (
	"context"
	"errors"
	"fmt"

	"github.com/unio-stack/unio"
)

// checkFence: requests in flight together, fenced wherever they depend on what
// was posted before, do what the same requests do one after another.
func checkFence(r *rig) {
	r.needs(unio.OpRead, unio.OpWrite)
	ch := r.channel(unio.ChannelConfig{Depth: r.depth(32)})
	const area = 16 << 10
	m := make(model, area)
	for range r.rounds(60) {
		r.areas.reset()
		calls := r.chain(m, 60)
		r.check(r.pipeline(ch, calls))
		r.compare(ch, m, 0)
	}
}

// chain makes calls in an area so small that most depend on earlier ones.
func (r *rig) chain(m model, n int) []*call {
	var calls []*call
	var taken []span
	for range n {
		op := r.someOp()
		s := r.place(op, int64(len(m)))
		c := r.newCall(m, r.reg, op, s.off, s.end-s.off)
		if r.rng.IntN(6) == 0 {
			c.req.Flags |= unio.Fence
		}
		if r.rng.IntN(6) == 0 && op != unio.OpRead && c.area == nil {
			c.req.Flags |= unio.Silent
		}
		if r.rng.IntN(50) == 0 && op != unio.OpRead && r.durable(op) {
			c.req.Flags |= unio.Durable
		}
		for _, t := range taken {
			if s.overlaps(t) {
				c.req.Flags |= unio.Fence
			}
		}
		taken = append(taken, s)
		calls = append(calls, c)
	}
	return calls
}

// pipeline keeps the channel as full as it gets, in order.
func (r *rig) pipeline(ch *unio.Channel, calls []*call) error {
	reqs := make([]unio.Request, len(calls))
	for i, c := range calls {
		reqs[i] = c.req
		reqs[i].ID = uint64(i)
	}
	ctx, stop := context.WithTimeout(context.Background(), r.cfg.Patience)
	defer stop()
	var done [8]unio.Completion
	for posted := 0; posted < len(reqs); {
		n, err := ch.Post(reqs[posted:min(len(reqs), posted+1+r.rng.IntN(8))]...)
		posted += n
		if err != nil && !errors.Is(err, unio.ErrFull) {
			return err
		}
		fetched := ch.Poll(done[:])
		if n == 0 && fetched == 0 {
			if fetched, err = ch.Wait(ctx, done[:]); err != nil {
				return fmt.Errorf("%w: %w", errLost, err)
			}
		}
		for _, c := range done[:fetched] {
			if err := calls[c.ID].verify(c); err != nil {
				return err
			}
		}
	}
	for _, c := range r.drain(ch) {
		if err := calls[c.ID].verify(c); err != nil {
			return err
		}
	}
	return nil
}
