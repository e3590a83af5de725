package uniotest

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"

	"github.com/unio-stack/unio"
)

// A traffic is one side's requests of every kind, posted until the connection
// or the channel ends, and the account of how each of them ended.
type traffic struct {
	*rig
	ch      *unio.Channel
	longest int
	deaf    bool    // receives nothing
	gaps    bool    // the other side's channel is closed, which cancels some of its messages
	allowed []error // what requests may fail with

	open    map[uint64]*errand // in flight
	count   int                // requests posted
	recvs   int                // receives in flight
	sent    int                // letters
	heard   int                // the letter of the other side that is next
	over    bool               // nothing is posted any more
	buried  []*area
	goal    int           // completions until the traffic is well under way
	reached chan struct{} // closed then, or when the traffic has failed
}

// An errand is a request in flight.
type errand struct {
	op     unio.Opcode
	area   *area // nil without memory
	silent bool
}

// traffic returns the traffic of one side.
func (d *duo) traffic(s side, p *Peer, reg *unio.Region) *traffic {
	return &traffic{
		rig: d.half(s, p, reg), ch: p.Channel, longest: max(letterSize, min(d.longest(), 8000)),
		open: map[uint64]*errand{}, goal: d.rng.IntN(300), reached: make(chan struct{}),
	}
}

// run posts until the end, and then waits for what is in flight.
func (t *traffic) run(rng *rand.Rand) error {
	ctx, stop := context.WithTimeout(context.Background(), t.cfg.Patience)
	defer stop()
	defer t.reach(math.MaxInt)
	var done [16]unio.Completion
	for {
		if err := t.post(rng); err != nil {
			return err
		}
		n, err := t.ch.Wait(ctx, done[:1+rng.IntN(len(done))])
		if err := t.note(done[:n]); err != nil {
			return err
		}
		switch {
		case errors.Is(err, unio.ErrClosed), err == nil && n == 0 && t.over:
			return t.settle()
		case err != nil:
			return fmt.Errorf("%w: %d of %d requests did not end with the connection, %w", errLost, len(t.open), t.count, err)
		}
	}
}

// post fills the channel.
func (t *traffic) post(rng *rand.Rand) error {
	for !t.over {
		q, e := t.next(rng)
		q.ID = uint64(t.count)
		if e.area != nil {
			e.area.attach(&q)
		}
		n, err := t.ch.Post(q)
		if n == 1 {
			t.posted(&q, e)
			continue
		}
		if errors.Is(err, unio.ErrFull) {
			return nil
		}
		t.over = true
		if !t.permitted(err) && !errors.Is(err, unio.ErrClosed) {
			return fmt.Errorf("post %s: %w", describe(&q), err)
		}
	}
	return nil
}

func (t *traffic) posted(q *unio.Request, e *errand) {
	t.open[q.ID] = e
	t.count++
	switch q.Op {
	case unio.OpRecv:
		t.recvs++
	case unio.OpSend:
		t.sent++
	}
}

func (t *traffic) permitted(err error) bool {
	for _, a := range t.allowed {
		if errors.Is(err, a) {
			return true
		}
	}
	return false
}

// next makes a random request.
func (t *traffic) next(rng *rand.Rand) (q unio.Request, e *errand) {
	if !t.deaf && t.recvs < t.ch.Depth()/4 {
		e = &errand{op: unio.OpRecv, area: t.areas.get(t.longest)}
		e.area.poison()
		return unio.Request{Op: unio.OpRecv}, e
	}
	e = &errand{op: unio.OpSend}
	n := letterSize + messageLength(rng, t.longest-letterSize)
	if k := rng.IntN(4); t.reg != nil && k < 2 {
		e.op = [2]unio.Opcode{unio.OpRead, unio.OpWrite}[k]
		q.Region, q.Offset = t.reg, rng.Int64N(t.reg.Size()-int64(n))
	}
	q.Op, e.area = e.op, t.areas.get(n)
	e.area.store(letter(t.sent, n))
	if e.op != unio.OpSend && rng.IntN(8) == 0 { // a fenced message would lose its turn
		q.Flags |= unio.Fence
	}
	if e.op != unio.OpRead && rng.IntN(4) == 0 {
		q.Flags |= unio.Silent
		e.silent = true
	}
	return q, e
}

// note takes account of completions.
func (t *traffic) note(done []unio.Completion) error {
	for _, c := range done {
		e := t.open[c.ID]
		switch {
		case e == nil:
			return fmt.Errorf("%w: completion of request %d, which is not in flight: doubled or invented", errLost, c.ID)
		case c.Err == nil && e.silent:
			return fmt.Errorf("a silent %v succeeded and has a completion", e.op)
		case c.Err != nil && !t.permitted(c.Err):
			return fmt.Errorf("%v in flight when the connection ended: %w, want %v", e.op, c.Err, t.allowed)
		}
		if t.over = t.over || c.Err != nil; e.op == unio.OpRecv {
			if err := t.hear(c, e); err != nil {
				return err
			}
		}
		t.bury(c.ID)
		t.reach(1)
	}
	return nil
}

// reach says that n more requests have completed.
func (t *traffic) reach(n int) {
	if t.goal >= 0 && t.goal < n {
		close(t.reached)
	}
	t.goal -= min(n, t.goal+1)
}

// hear judges a message.
func (t *traffic) hear(c unio.Completion, e *errand) error {
	t.recvs--
	if c.Err != nil {
		return nil
	}
	i, err := open(e.area.load()[:c.N])
	if err == nil && (i < t.heard || i > t.heard && !t.gaps) {
		err = fmt.Errorf("message %d was received when message %d was next", i, t.heard)
	}
	t.heard = i + 1
	return err
}

// bury takes the memory of a request back.
func (t *traffic) bury(id uint64) {
	if ar := t.open[id].area; ar != nil {
		ar.poison()
		t.buried = append(t.buried, ar)
	}
	delete(t.open, id)
}

// settle is called when the channel says that nothing is in flight.
func (t *traffic) settle() error {
	for id, e := range t.open {
		if !e.silent {
			return fmt.Errorf("%v %d of %d has no completion, but nothing is in flight", e.op, id, t.count)
		}
		t.bury(id)
	}
	if s := t.ch.Stats(); s.Posted != s.Completed {
		return fmt.Errorf("statistics count %d posted and %d completed", s.Posted, s.Completed)
	}
	return nil
}

// untouched checks that the memory of all requests has been left alone.
func (t *traffic) untouched() error {
	for _, ar := range t.buried {
		if err := ar.changed(true); err != nil {
			return err
		}
	}
	return nil
}
