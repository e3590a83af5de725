package uniotest

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/unio-stack/unio"
)

// checkPeersCut: when the connection breaks, all that is in flight on either
// side completes, once, with ErrDisconnected, and nothing is touched any more.
func checkPeersCut(d *duo) {
	if d.peers.Cut == nil {
		d.Skip("not applicable: PeersConfig.Cut is nil")
	}
	for i := range d.rounds(16) {
		a, b := d.connect()
		e := d.ending(a, b)
		e.a.allowed, e.b.allowed = []error{unio.ErrDisconnected}, []error{unio.ErrDisconnected}
		e.b.deaf = i%4 == 3 // so that the messages of a wait
		e.run(func() error {
			d.peers.Cut(d.T, a, b)
			return nil
		})
		d.dead(a)
		d.dead(b)
	}
}

// checkPeersClose: who closes a channel, or its side of the connection, ends
// what is in flight on both sides: cancelled here, disconnected there.
func checkPeersClose(d *duo) {
	for i := range d.rounds(18) {
		a, b := d.either()
		e := d.ending(a, b)
		e.a.allowed, e.b.allowed = []error{unio.ErrCanceled, unio.ErrDisconnected}, []error{unio.ErrDisconnected}
		e.b.deaf, e.b.gaps, e.a.gaps = i%4 == 3, true, i%3 == 2
		switch i % 3 {
		case 0:
			e.run(a.Channel.Close)
			d.dead(b)
		case 1:
			e.run(a.close)
			d.dead(b)
		case 2:
			e.b.allowed = e.a.allowed
			e.run(func() error {
				var wg sync.WaitGroup
				var other error
				wg.Go(func() { other = b.close() })
				err := a.close()
				wg.Wait()
				return errors.Join(err, other)
			})
		}
		d.wantClosed("channel of a peer", a.Channel, unio.Request{Op: unio.OpSend})
	}
}

// An ending is a connection with traffic both ways that something ends.
type ending struct {
	*duo
	a, b   *traffic
	memory []*Exposed
}

func (d *duo) ending(a, b *Peer) *ending {
	d.Helper()
	e := &ending{duo: d}
	var ofA, ofB *unio.Region
	if d.a.Expose != nil && d.ops.Has(unio.OpRead) && d.ops.Has(unio.OpWrite) {
		var xa, xb *Exposed
		xa, ofA = d.window(a, exposedSize, unio.ReadWrite)
		xb, ofB = d.window(b, exposedSize, unio.ReadWrite)
		e.memory = []*Exposed{xa, xb}
	}
	e.a, e.b = d.traffic(first, a, ofB), d.traffic(second, b, ofA)
	return e
}

// run lets the traffic flow, ends it, and checks what is left.
func (e *ending) run(end func() error) {
	e.Helper()
	e.together(3, func(i int, rng *rand.Rand) error {
		switch i {
		case 0:
			return e.a.run(rng)
		case 1:
			return e.b.run(rng)
		}
		if e.b.deaf {
			time.Sleep(settleTime) // what a sends comes to a stop
		} else {
			<-e.a.reached
		}
		if err, ok := within(e.cfg.Patience, end); !ok || err != nil {
			return fmt.Errorf("%w: ending the connection: in time: %v, error: %w", errLost, ok, err)
		}
		return nil
	})
	var before [][]byte
	for _, x := range e.memory {
		before = append(before, bytes.Clone(x.Bytes))
	}
	time.Sleep(settleTime)
	for i, x := range e.memory {
		if at := differ(x.Bytes, before[i]); at >= 0 {
			e.Fatalf("byte %d of exposed memory was changed after the connection had ended", at)
		}
	}
	e.check(e.a.untouched())
	e.check(e.b.untouched())
}

// checkPeersFarewell: a message that has completed is received, although its
// sender closes the channel at once and receives nothing of what comes.
func checkPeersFarewell(d *duo) {
	for i := range d.rounds(16) {
		a, b := d.either()
		count := 1 + d.rng.IntN(30)
		size := numberedSize + d.rng.IntN(max(1, min(d.longest(), 64<<10)-numberedSize))
		closer := a.Channel.Close
		if i%2 == 1 {
			closer = a.close
		}
		d.together(2, func(i int, _ *rand.Rand) error {
			if i == 1 {
				return d.countRest(b.Channel, count, size)
			}
			if n, err := a.Channel.Post(unio.Request{Op: unio.OpRecv, Data: make([]byte, size)}); n != 1 {
				return err
			}
			if err := d.countOut(a.Channel, count, size); err != nil {
				return err
			}
			err, ok := within(d.cfg.Patience, closer)
			if !ok {
				err = fmt.Errorf("%w: Close did not return", errLost)
			}
			return err
		})
		d.dead(b)
	}
}

// countOut sends numbered messages, and returns when all have completed.
func (d *duo) countOut(ch *unio.Channel, count, size int) error {
	ctx, stop := context.WithTimeout(context.Background(), d.cfg.Patience)
	defer stop()
	var done [8]unio.Completion
	for sent, ended := 0, 0; ended < count; {
		for sent < count {
			p := make([]byte, size)
			binary.LittleEndian.PutUint64(p, uint64(sent))
			n, err := ch.Post(unio.Request{ID: 1, Op: unio.OpSend, Data: p})
			if errors.Is(err, unio.ErrFull) {
				break
			}
			if err != nil {
				return err
			}
			sent += n
		}
		n, err := ch.Wait(ctx, done[:])
		if err != nil {
			return fmt.Errorf("%w: %d of %d messages have completed: %w", errLost, ended, count, err)
		}
		for _, c := range done[:n] {
			if c.Err != nil {
				return fmt.Errorf("message %d of %d: %w", ended, count, c.Err)
			}
			ended += int(c.ID) // the Recv has 0
		}
	}
	return nil
}

// countRest receives numbered messages until the connection has ended, while it
// sends what the other side does not receive.
func (d *duo) countRest(ch *unio.Channel, count, size int) error {
	ctx, stop := context.WithTimeout(context.Background(), d.cfg.Patience)
	defer stop()
	bufs := make([][]byte, count+1)
	for i := range bufs {
		bufs[i] = make([]byte, size)
	}
	back := make([]byte, numberedSize)
	asked, got := 0, 0
	var done [8]unio.Completion
	for ended := false; ; {
		for !ended && asked <= count {
			n, err := ch.Post(unio.Request{ID: uint64(asked), Op: unio.OpRecv, Data: bufs[asked]})
			if asked += n; n == 0 {
				ended = lost(err)
				break
			}
			if asked%3 == 0 {
				_, _ = ch.Post(unio.Request{ID: recvID, Op: unio.OpSend, Data: back})
			}
		}
		n, err := ch.Wait(ctx, done[:])
		if err != nil {
			return fmt.Errorf("%w: %d of %d messages received: %w", errLost, got, count, err)
		}
		if n == 0 {
			break
		}
		for _, c := range done[:n] {
			switch {
			case c.ID == recvID: // what it sends may be lost
			case c.Err == nil && number(bufs[c.ID]) != c.ID:
				return fmt.Errorf("receive %d took message %d", c.ID, number(bufs[c.ID]))
			case c.Err == nil:
				got++
			case lost(c.Err):
				ended = true
			default:
				return c.Err
			}
		}
	}
	if got != count {
		return fmt.Errorf("%d messages were received of %d that had completed when their sender closed the channel", got, count)
	}
	return nil
}
