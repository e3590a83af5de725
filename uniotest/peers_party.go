package uniotest

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"

	"github.com/unio-stack/unio"
)

// A message is what a Recv must be completed with.
type message struct {
	data  []byte
	flags unio.Flags
	value uint64
}

// A party is one side of a conversation: what it does, in order, and what the
// other side will have it receive.
type party struct {
	*rig
	ch      *unio.Channel
	longest int        // message
	steps   []*call    // messages, and requests to the other side's memory
	expect  []*message // what comes in, in order
	recvs   int        // receives in flight at most

	posted   int        // steps
	settled  int        // steps before this one have ended
	ended    []bool     // by step
	asked    int        // receives posted
	received int        // of them, completed
	open     []*receive // receives in flight, oldest first
	buried   []*area    // memory that is the application's again
}

// A receive is a Recv in flight.
type receive struct {
	area *area
	k    int // the message that it takes
}

// parties returns both sides, with nothing to do yet. A side's region may be nil.
func (d *duo) parties(ofB, ofA *unio.Region) (a, b *party) {
	d.Helper()
	return d.party(first, d.a, ofB), d.party(second, d.b, ofA)
}

func (d *duo) party(s side, who *Peer, reg *unio.Region) *party {
	p := &party{rig: d.half(s, who, reg), ch: who.Channel, longest: d.longest()}
	p.reset()
	return p
}

// say makes the party's next step a random message that the other one expects.
func (p *party) say(to *party, flags unio.Flags) {
	n := messageLength(p.rng, p.longest)
	if p.rng.IntN(5) == 0 && p.ops.Has(unio.OpImmediate) {
		v := p.rng.Uint64()
		p.do(&call{req: unio.Request{Op: unio.OpImmediate, Swap: v, Flags: flags}})
		to.expect = append(to.expect, &message{flags: flags&unio.Solicited | unio.Immediate, value: v})
		return
	}
	p.sayBytes(to, n, flags)
}

// sayBytes makes the next step a message of n random bytes.
func (p *party) sayBytes(to *party, n int, flags unio.Flags) {
	c := &call{req: unio.Request{Op: unio.OpSend, Flags: flags}, area: p.areas.get(n), want: payload(p.rng, n)}
	c.area.store(c.want)
	c.area.attach(&c.req)
	p.do(c)
	to.expect = append(to.expect, &message{data: c.want, flags: flags & unio.Solicited})
}

func (p *party) do(c *call) { p.steps = append(p.steps, c) }

// converse has both sides do their steps, and checks that each of them has
// received what the other has sent and nothing else.
func (d *duo) converse(a, b *party) {
	d.Helper()
	both := [2]*party{a, b}
	ctx, stop := context.WithTimeout(context.Background(), d.cfg.Patience)
	defer stop()
	d.together(2, func(i int, rng *rand.Rand) error {
		err := both[i].run(ctx, rng)
		if errors.Is(err, context.Canceled) {
			return nil // the other has found what is wrong
		}
		if err != nil {
			stop()
		}
		return err
	})
	for _, p := range both {
		d.check(p.quiet())
		for _, ar := range p.buried {
			d.check(ar.changed(true))
		}
		p.reset()
	}
}

// reset makes the party ready for another conversation.
func (p *party) reset() {
	p.areas.reset()
	*p = party{rig: p.rig, ch: p.ch, longest: p.longest, recvs: 1 + p.rng.IntN(p.ch.Depth()/2)}
}

// run does the party's steps and receives what comes.
func (p *party) run(ctx context.Context, rng *rand.Rand) error {
	p.ended = make([]bool, len(p.steps))
	var done [16]unio.Completion
	for p.settled < len(p.steps) || p.received < len(p.expect) {
		if err := p.post(rng); err != nil {
			return err
		}
		room := done[:1+rng.IntN(len(done))]
		n := p.ch.Poll(room)
		if n == 0 && p.stuck() {
			var err error
			if n, err = p.ch.Wait(ctx, room); err != nil {
				return fmt.Errorf("%w: %d of %d steps ended, %d of %d messages received: %w",
					errLost, p.settled, len(p.steps), p.received, len(p.expect), err)
			}
		}
		if err := p.note(room[:n]); err != nil {
			return err
		}
	}
	return nil
}

// stuck reports whether nothing can be posted until something completes.
func (p *party) stuck() bool { return p.wantsReceives() == 0 && p.wantsSteps() == 0 }

// wantsReceives and wantsSteps return how many can be posted now: there is room
// for both kinds, or two sides that only send would wait for each other.
func (p *party) wantsReceives() int { return min(len(p.expect)-p.asked, p.recvs-len(p.open)) }

func (p *party) wantsSteps() int {
	return min(len(p.steps)-p.posted, p.ch.Depth()-p.recvs-(p.posted-p.settled))
}

// recvID marks the IDs of receives.
const recvID = 1 << 32

// post posts some of what can be posted, in one batch.
func (p *party) post(rng *rand.Rand) error {
	var reqs []unio.Request
	var news []*receive
	for range min(p.wantsReceives(), rng.IntN(8)) {
		r := p.receive(rng, p.asked+len(news))
		news = append(news, r)
		q := unio.Request{ID: recvID + uint64(r.k), Op: unio.OpRecv}
		r.area.attach(&q)
		reqs = append(reqs, q)
	}
	for i := range min(p.wantsSteps(), rng.IntN(8)) {
		q := p.steps[p.posted+i].req
		q.ID = uint64(p.posted + i)
		reqs = append(reqs, q)
	}
	n, err := p.ch.Post(reqs...)
	if err != nil && !errors.Is(err, unio.ErrFull) {
		return fmt.Errorf("post %s: %w", describe(&reqs[n]), err)
	}
	k := min(n, len(news))
	p.open, p.asked = append(p.open, news[:k]...), p.asked+k
	p.posted += n - k
	return nil
}

// receive makes memory for message k: exactly as much as it needs, or more.
func (p *party) receive(rng *rand.Rand, k int) *receive {
	n := len(p.expect[k].data)
	if rng.IntN(2) == 0 {
		n += messageLength(rng, p.longest)
	}
	r := &receive{area: p.areas.get(n), k: k}
	r.area.poison()
	return r
}

// note judges completions.
func (p *party) note(done []unio.Completion) error {
	for _, c := range done {
		var err error
		if c.ID >= recvID {
			err = p.noteMessage(int(c.ID-recvID), c)
		} else {
			err = p.noteStep(int(c.ID), c)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// noteStep judges the completion of a step, which says of the Silent ones
// before it that they have ended.
func (p *party) noteStep(i int, c unio.Completion) error {
	if i >= p.posted || p.ended[i] {
		return fmt.Errorf("%w: completion of step %d, which is not in flight: doubled or invented", errLost, i)
	}
	step := p.steps[i]
	if c.Err == nil && step.req.Flags&unio.Silent != 0 {
		return fmt.Errorf("a silent %s succeeded and has a completion", describe(&step.req))
	}
	if c.Flags != 0 {
		return fmt.Errorf("the completion of %s has flags %v", describe(&step.req), c.Flags)
	}
	if err := step.verify(c); err != nil {
		return err
	}
	p.bury(i)
	for j := p.settled; j < i; j++ {
		if p.steps[j].req.Flags&unio.Silent != 0 && !p.ended[j] {
			p.bury(j)
		}
	}
	for p.settled < p.posted && p.ended[p.settled] {
		p.settled++
	}
	return nil
}

// bury takes the memory of a step back.
func (p *party) bury(i int) {
	p.ended[i] = true
	if ar := p.steps[i].area; ar != nil {
		ar.poison()
		p.buried = append(p.buried, ar)
	}
}

// noteMessage judges the completion of the Recv for message k.
func (p *party) noteMessage(k int, c unio.Completion) error {
	i := 0
	for i < len(p.open) && p.open[i].k != k {
		i++
	}
	if i == len(p.open) {
		return fmt.Errorf("%w: completion of Recv %d, which is not in flight: doubled or invented", errLost, k)
	}
	r := p.open[i]
	p.open = append(p.open[:i], p.open[i+1:]...)
	if err := p.expect[k].compare(c, r.area); err != nil {
		return fmt.Errorf("message %d of %d: %w", k, len(p.expect), err)
	}
	r.area.poison()
	p.buried = append(p.buried, r.area)
	p.received++
	return nil
}

// compare says what is wrong with how a message was received.
func (m *message) compare(c unio.Completion, ar *area) error {
	switch {
	case c.Err != nil:
		return fmt.Errorf("the Recv of %d bytes: %w", ar.n, c.Err)
	case c.N != int64(len(m.data)):
		return fmt.Errorf("%d bytes were received, %d were sent: lost, doubled, exchanged, cut or joined", c.N, len(m.data))
	case c.Flags != m.flags:
		return fmt.Errorf("received with flags %q, want %q", c.Flags, m.flags)
	case c.Value != m.value:
		return fmt.Errorf("received with value %#x, want %#x", c.Value, m.value)
	}
	if err := ar.changed(false); err != nil {
		return err
	}
	got := ar.load()
	if at := differ(got[:c.N], m.data); at >= 0 {
		return fmt.Errorf("byte %d of %d is %#x, want %#x (%d bytes differ)", at, c.N, got[at], m.data[at], differing(got[:c.N], m.data))
	}
	if at := other(got[c.N:], poisonByte); at >= 0 {
		return fmt.Errorf("%d bytes were received into %d, and byte %d was written to", c.N, ar.n, c.N+int64(at))
	}
	return nil
}

// quiet checks that no message is left that nobody sent: a Recv finds none.
func (p *party) quiet() error {
	for range 2 {
		ar := p.areas.get(p.longest)
		ar.poison()
		q := unio.Request{ID: recvID, Op: unio.OpRecv}
		ar.attach(&q)
		if n, err := p.ch.Post(q); n != 1 {
			return fmt.Errorf("post a Recv: %w", err)
		}
		p.ch.Cancel(recvID)
		all, err := drain(p.ch, p.cfg.Patience)
		if err != nil {
			return err
		}
		if len(all) != 1 || !errors.Is(all[0].Err, unio.ErrCanceled) {
			return fmt.Errorf("when all messages had been received a cancelled Recv completed with %+v: one was doubled or invented", all)
		}
		if err := ar.changed(true); err != nil {
			return err
		}
	}
	return nil
}
