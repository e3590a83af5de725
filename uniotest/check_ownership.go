package uniotest

import (
	"context"
	"errors"
	"fmt"

	"github.com/unio-stack/unio"
)

// checkOwnership: after its completion, whatever its status, nothing touches a
// request's memory, and nothing of what is written there afterwards reaches
// the medium. Every other request is cancelled at some point.
func checkOwnership(r *rig) {
	r.needs(unio.OpRead, unio.OpWrite)
	o := &owner{
		rig: r, ch: r.channel(unio.ChannelConfig{Depth: r.depth(16)}), settler: r.channel(unio.ChannelConfig{}),
		cells: make([]model, r.depth(16)), calls: make([]*call, r.depth(16)),
	}
	for i := range o.cells {
		o.cells[i] = make(model, ownedCell)
	}
	for range r.rounds(40) {
		o.round()
	}
	o.finish()
}

// An owner keeps track of who owns which memory. Request i works on cell i.
type owner struct {
	*rig
	ch      *unio.Channel
	settler *unio.Channel // for what must not be cancelled
	cells   []model       // contents of the region
	calls   []*call       // in flight
	buried  []*area       // given back and poisoned
}

const ownedCell = 96 << 10

// round posts to all cells, cancels some, and takes all memory back.
func (o *owner) round() {
	o.Helper()
	reqs := make([]unio.Request, len(o.calls))
	before := make([]model, len(o.calls))
	for i := range o.calls {
		before[i] = append(model(nil), o.cells[i]...)
		op := [...]unio.Opcode{unio.OpRead, unio.OpWrite}[o.rng.IntN(2)]
		n := min(o.length(), ownedCell)
		o.calls[i] = o.newCall(o.cells[i], o.reg, op, o.rng.Int64N(ownedCell-n+1), n)
		reqs[i] = o.calls[i].req
		reqs[i].Offset += int64(i) * ownedCell
		reqs[i].ID = uint64(i)
	}
	if n, err := o.ch.Post(reqs...); n != len(reqs) {
		o.Fatalf("Post accepted %d of %d: %v", n, len(reqs), err)
	}
	stop := o.meddle()
	defer func() { <-stop }()
	for range reqs {
		var done [1]unio.Completion
		ctx, cancel := context.WithTimeout(context.Background(), o.cfg.Patience)
		n, err := o.ch.Wait(ctx, done[:])
		cancel()
		if n != 1 || done[0].ID >= uint64(len(reqs)) || o.calls[done[0].ID] == nil {
			o.check(fmt.Errorf("%w: Wait returned %d %+v, %v", errLost, n, done, err))
		}
		o.takeBack(int(done[0].ID), done[0], before[done[0].ID])
	}
}

// meddle cancels requests from another goroutine; the channel closes when it
// has ended.
func (o *owner) meddle() chan struct{} {
	rng, n, ended := o.fork(), len(o.calls), make(chan struct{})
	go func() {
		defer close(ended)
		for range rng.IntN(2 * n) {
			o.ch.Cancel(rng.Uint64N(uint64(n)))
		}
	}()
	return ended
}

// takeBack poisons a request's memory as soon as it has completed.
func (o *owner) takeBack(i int, done unio.Completion, before model) {
	o.Helper()
	c := o.calls[i]
	o.calls[i] = nil
	if done.Err == nil {
		o.check(c.verify(done))
	} else if !errors.Is(done.Err, unio.ErrCanceled) {
		o.Fatalf("%s: %v", describe(&c.req), done.Err)
	}
	c.area.poison()
	o.buried = append(o.buried, c.area)
	if done.Err != nil {
		o.settle(i, c, before)
	}
}

// settle looks what a cancelled request did: each byte of the cell has its old
// or its new value. What it finds must stay.
func (o *owner) settle(i int, c *call, before model) {
	o.Helper()
	got := o.rig.read(o.settler, int64(i)*ownedCell, ownedCell)
	for k, b := range got {
		if b != before[k] && b != o.cells[i][k] {
			o.Fatalf("byte %d of a cancelled %s is %#x, neither the old %#x nor the new %#x: the memory was used after the completion",
				int64(k)-c.req.Offset, describe(&c.req), b, before[k], o.cells[i][k])
		}
	}
	o.cells[i] = got
}

// finish checks that nothing has changed since: neither memory nor medium.
func (o *owner) finish() {
	o.Helper()
	for i, m := range o.cells {
		o.compare(o.settler, m, int64(i)*ownedCell)
	}
	for _, a := range o.buried {
		o.rig.check(a.changed(true))
	}
	o.areas.reset()
}
