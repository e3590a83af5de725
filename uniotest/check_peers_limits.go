package uniotest

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/unio-stack/unio"
)

// checkPeersTooLong: a message longer than the Recv that takes it fails that
// Recv, and touches nothing outside its memory. The connection may end of it.
func checkPeersTooLong(d *duo) {
	for i := range d.rounds(8) {
		a, b := d.either()
		n := d.rng.IntN(min(2000, d.longest()))
		recv := d.areas.get(n)
		recv.poison()
		q := unio.Request{ID: 1, Op: unio.OpRecv}
		recv.attach(&q)
		if k, err := b.Channel.Post(q, unio.Request{ID: 2, Op: unio.OpRecv, Data: make([]byte, d.longest())}); k != 2 {
			d.Fatal(err)
		}
		long := payload(d.rng, n+1+d.rng.IntN(d.longest()-n))
		if k, err := a.Channel.Post(unio.Request{ID: 3, Op: unio.OpSend, Data: long}); k != 1 {
			d.Fatal(err)
		}
		d.failed(b, n, len(long))
		d.check(recv.changed(false))
		for _, c := range d.drain(a.Channel) {
			if c.Err != nil && !forbidden(c.Err, unio.ErrOutOfRange) {
				d.Errorf("the message that was too long: %v, want success, ErrOutOfRange or ErrDisconnected", c.Err)
			}
		}
		if i == 0 {
			d.remembered(b)
		}
		d.aliveOrLost(a, b)
	}
}

// failed waits for the completion of the Recv that is too short.
func (d *duo) failed(b *Peer, n, long int) {
	d.Helper()
	ctx, stop := context.WithTimeout(context.Background(), d.cfg.Patience)
	defer stop()
	done := make([]unio.Completion, 1)
	for done[0].ID != 1 { // the other Recv may fail first, if the connection ends
		if k, err := b.Channel.Wait(ctx, done); k != 1 {
			d.check(fmt.Errorf("%w: the Recv of %d bytes that a message of %d is for, %w", errLost, n, long, err))
		}
	}
	var oe *unio.OpError
	if !errors.Is(done[0].Err, unio.ErrOutOfRange) || !errors.As(done[0].Err, &oe) {
		d.Fatalf("a Recv of %d bytes took a message of %d: %+v; want ErrOutOfRange", n, long, done[0])
	}
	if oe.Op != unio.OpRecv || oe.Device != b.Device.Info().Name || oe.Length != int64(n) || oe.Layer == "" {
		d.Errorf("%+v does not describe the Recv", *oe)
	}
}

// remembered checks that the device has the failure in its log.
func (d *duo) remembered(p *Peer) {
	d.Helper()
	for _, e := range p.Device.Errors() {
		if errors.Is(e.Err, unio.ErrOutOfRange) && !e.Time.IsZero() {
			return
		}
	}
	d.Errorf("Device.Errors does not have the failure: %v", p.Device.Errors())
}

// aliveOrLost checks that the connection works, or that all that is in flight,
// or posted, fails because it does not.
func (d *duo) aliveOrLost(a, b *Peer) {
	d.Helper()
	a.Channel.CancelAll()
	b.Channel.CancelAll()
	ended := false
	for _, p := range []*Peer{a, b} {
		for _, c := range d.drain(p.Channel) {
			if c.Err != nil && !errors.Is(c.Err, unio.ErrCanceled) && !lost(c.Err) {
				d.Errorf("request %d: %v, want success, ErrCanceled or ErrDisconnected", c.ID, c.Err)
			}
			ended = ended || lost(c.Err)
		}
	}
	if !ended {
		ended = lost(d.attempt(a, unio.Request{Op: unio.OpSend, Flags: unio.Solicited}))
		if !ended {
			c, err := drive(b.Channel, d.cfg.Patience, []unio.Request{{Op: unio.OpRecv}})
			d.check(err)
			ended = lost(c[0].Err)
		}
	}
	if !ended {
		d.alive(a, b)
		return
	}
	for _, p := range []*Peer{a, b} {
		d.dead(p)
	}
}

// dead checks that every request of p fails because there is no connection. A
// Recv may still take what arrived before that.
func (d *duo) dead(p *Peer) {
	d.Helper()
	err := d.attempt(p, unio.Request{Op: unio.OpSend, Data: make([]byte, 1)})
	for end := time.Now().Add(d.cfg.Patience); err == nil && time.Now().Before(end); time.Sleep(time.Millisecond) {
		err = d.attempt(p, unio.Request{Op: unio.OpSend, Data: make([]byte, 1)}) // this side may not know it yet
	}
	if !lost(err) {
		d.Errorf("a message on a connection that has ended: %v, want ErrDisconnected", err)
	}
	buf := make([]byte, d.longest())
	for range 2 * p.Channel.Depth() {
		err := d.attempt(p, unio.Request{Op: unio.OpRecv, Data: buf})
		if lost(err) {
			return
		}
		if err != nil {
			d.Errorf("a Recv on a connection that has ended: %v, want ErrDisconnected", err)
			return
		}
	}
	d.Error("on a connection that has ended messages come without end")
}

// checkPeersBadInput: what contradicts itself, or is too long, is refused
// before anything is sent.
func checkPeersBadInput(d *duo) {
	p := make([]byte, 64)
	ch := d.a.Channel
	table := []refusal{
		{"a Recv with a fence", unio.Request{Op: unio.OpRecv, Flags: unio.Fence}, unio.ErrInvalid},
		{"a silent Recv", unio.Request{Op: unio.OpRecv, Flags: unio.Silent}, unio.ErrInvalid},
		{"a durable message", unio.Request{Op: unio.OpSend, Flags: unio.Durable}, unio.ErrInvalid},
		{"a Send that says it is Immediate", unio.Request{Op: unio.OpSend, Flags: unio.Immediate}, unio.ErrInvalid},
		{"data and vector", unio.Request{Op: unio.OpSend, Data: p, Vec: [][]byte{p}}, unio.ErrInvalid},
		{"empty piece", unio.Request{Op: unio.OpRecv, Vec: [][]byte{p, nil}}, unio.ErrInvalid},
		{"nothing to invalidate", unio.Request{Op: unio.OpSend, Flags: unio.Invalidate}, unio.ErrInvalid},
	}
	if limit := d.info.MaxMessage; limit < 64<<20 {
		table = append(table, refusal{"a message that is too long", unio.Request{Op: unio.OpSend, Data: make([]byte, limit+1)}, unio.ErrOutOfRange})
	}
	if d.ops.Has(unio.OpImmediate) {
		table = append(table, refusal{"an Immediate message with memory", unio.Request{Op: unio.OpImmediate, Data: p[:8]}, unio.ErrInvalid})
	} else {
		table = append(table, refusal{"an Immediate message", unio.Request{Op: unio.OpImmediate}, unio.ErrUnsupported})
	}
	for _, c := range table {
		posted := ch.Stats().Posted
		if n, err := ch.Post(c.req); n != 0 || !errors.Is(err, c.want) {
			d.Errorf("%s: Post returned %d, %v; want 0, %v", c.name, n, err, c.want)
		} else {
			d.wellDescribed(c, err)
		}
		if now := ch.Stats().Posted; now != posted {
			d.Errorf("%s counts as posted", c.name)
		}
	}
	d.alive(d.a, d.b)
}

// checkPeersStats: the statistics of both sides say what was sent and received.
func checkPeersStats(d *duo) {
	p := make([]byte, d.longest())
	var bytes int64
	for range 10 {
		n := d.rng.IntN(len(p))
		d.exchange(d.a, d.b, unio.Request{Op: unio.OpSend, Data: p[:n]}, len(p))
		bytes += int64(n)
	}
	a, b := d.a.Channel.Stats(), d.b.Channel.Stats()
	want := unio.Stats{Posted: 10, Completed: 10, BytesWritten: bytes}
	got := unio.Stats{Posted: a.Posted, Completed: a.Completed, Failed: a.Failed, BytesWritten: a.BytesWritten, BytesRead: a.BytesRead, Misuse: a.Misuse}
	if got != want {
		d.Errorf("the sender counts %+v, want %+v", got, want)
	}
	want.BytesRead, want.BytesWritten = bytes, 0
	got = unio.Stats{Posted: b.Posted, Completed: b.Completed, Failed: b.Failed, BytesWritten: b.BytesWritten, BytesRead: b.BytesRead, Misuse: b.Misuse}
	if got != want {
		d.Errorf("the receiver counts %+v, want %+v", got, want)
	}
	if s := d.a.Device.Stats(); s.Posted < a.Posted || s.BytesWritten < a.BytesWritten {
		d.Errorf("the device counts %+v after %+v of its channel", s, a)
	}
}
