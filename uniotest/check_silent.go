package uniotest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"runtime"

	"github.com/unio-stack/unio"
)

// checkSilent: a Silent request has no completion unless it fails; the
// completion of a later one says that it has ended; and it keeps its place in
// the channel only until then.
func checkSilent(r *rig) {
	r.needs(unio.OpRead, unio.OpWrite)
	ch := r.channel(unio.ChannelConfig{Depth: r.depth(16)})
	m := make(model, 256<<10)
	for range r.rounds(80) {
		r.silentRound(ch, m)
	}
	r.compare(ch, m, 0)
	r.silentFlood(ch)
}

// silentRound posts some Silent writes and one request after them, with whose
// completion the payloads are the application's again and the writes visible.
func (r *rig) silentRound(ch *unio.Channel, m model) {
	r.Helper()
	r.areas.reset()
	slot := int64(len(m) / 16)
	var calls []*call
	for i := range int64(r.rng.IntN(ch.Depth())) {
		n := min(r.length(), slot)
		c := r.newCall(m, r.reg, unio.OpWrite, i*slot+r.rng.Int64N(slot-n+1), n)
		c.req.Flags, c.req.ID = unio.Silent, 1
		calls = append(calls, c)
	}
	reqs := make([]unio.Request, 0, len(calls)+1)
	for _, c := range calls {
		reqs = append(reqs, c.req)
	}
	last := make([]byte, 512)
	reqs = append(reqs, unio.Request{ID: 2, Op: unio.OpRead, Region: r.reg, Offset: int64(len(m)), Data: last})
	if n, err := ch.Post(reqs...); n != len(reqs) {
		r.Fatalf("Post accepted %d of %d: %v", n, len(reqs), err)
	}
	r.only(ch, 2)
	for _, c := range calls {
		c.area.poison() // the payload is the application's again
	}
	for _, c := range calls {
		got := r.read(ch, c.req.Offset, len(c.want))
		if !bytes.Equal(got, c.want) {
			r.Fatalf("a silent %s had not ended when a later request completed: it is not visible, or took what was in its memory afterwards", describe(&c.req))
		}
		r.check(c.area.changed(true))
	}
}

// only waits for the next completion, which must be the successful one of id.
func (r *rig) only(ch *unio.Channel, id uint64) {
	r.Helper()
	ctx, stop := context.WithTimeout(context.Background(), r.cfg.Patience)
	defer stop()
	var done [2]unio.Completion
	n, err := ch.Wait(ctx, done[:])
	if n != 1 || err != nil || done[0].ID != id || done[0].Err != nil {
		r.check(fmt.Errorf("%w: Wait returned completions %+v, %v; want only the successful one of request %d", errLost, done[:n], err, id))
	}
}

// silentFlood posts many times the depth without ever fetching a completion.
func (r *rig) silentFlood(ch *unio.Channel) {
	r.Helper()
	ctx, stop := context.WithTimeout(context.Background(), r.cfg.Patience)
	defer stop()
	q := unio.Request{Op: unio.OpWrite, Region: r.reg, Flags: unio.Silent, Data: make([]byte, 100)}
	for i := 0; i < 20*ch.Depth(); {
		q.Offset = int64(i) * 100
		n, err := ch.Post(q)
		if i += n; errors.Is(err, unio.ErrFull) {
			runtime.Gosched()
		} else if err != nil {
			r.Fatal(err)
		}
		if ctx.Err() != nil {
			r.check(fmt.Errorf("%w: silent requests that ended do not make room for others (%d accepted)", errLost, i))
		}
	}
	if all := r.drain(ch); len(all) != 0 {
		r.Errorf("%d completions of silent requests that succeeded", len(all))
	}
	s := ch.Stats()
	if s.Posted != s.Completed {
		r.Errorf("%d posted, %d completed, though Wait says nothing is in flight", s.Posted, s.Completed)
	}
}
