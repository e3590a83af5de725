package uniotest

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"

	"github.com/unio-stack/unio"
)

// checkPeersFence: a fenced message is sent when everything posted before it
// has ended, whatever receives are waiting.
func checkPeersFence(d *duo) {
	a, b := d.parties(nil, nil)
	if n, err := d.a.Channel.Post(unio.Request{ID: 5, Op: unio.OpRecv}); n != 1 {
		d.Fatal(err)
	}
	for range d.rounds(10) {
		for range 40 {
			a.say(b, unio.Fence|a.someFlags())
		}
		d.together(2, func(i int, rng *rand.Rand) error {
			ctx, stop := context.WithTimeout(context.Background(), d.cfg.Patience)
			defer stop()
			if i == 0 {
				return d.oneByOne(ctx, a)
			}
			return b.run(ctx, rng)
		})
		a.reset()
		b.reset()
	}
	d.a.Channel.Cancel(5)
	if all := d.drain(d.a.Channel); len(all) != 1 || all[0].ID != 5 || !errors.Is(all[0].Err, unio.ErrCanceled) {
		d.Errorf("completions %+v, want that of the cancelled Recv", all)
	}
	if d.a.Expose != nil && d.ops.Has(unio.OpRead) {
		d.fencedReads()
	}
}

// oneByOne does the steps of a party that has a Recv in flight besides.
func (d *duo) oneByOne(ctx context.Context, p *party) error {
	var done [8]unio.Completion
	ended := 0
	for posted := 0; ended < len(p.steps); {
		for posted < len(p.steps) {
			q := p.steps[posted].req
			q.ID = uint64(1000 + posted)
			n, err := p.ch.Post(q)
			if errors.Is(err, unio.ErrFull) {
				break
			}
			if err != nil {
				return err
			}
			posted += n
		}
		n, err := p.ch.Wait(ctx, done[:])
		if err != nil {
			return fmt.Errorf("%w: fenced message %d of %d has not ended while a Recv waits: %w", errLost, ended, len(p.steps), err)
		}
		for _, c := range done[:n] {
			if c.ID != uint64(1000+ended) {
				return fmt.Errorf("%d completed after %d fenced messages", c.ID, ended)
			}
			if err := p.steps[ended].verify(c); err != nil {
				return err
			}
			ended++
		}
	}
	return nil
}

// fencedReads: when a message arrives that was fenced behind a Read, what was
// read may change; the Read has it as it was.
func (d *duo) fencedReads() {
	d.Helper()
	const size = 64 << 10
	x, reg := d.window(d.b, size, unio.ReadOnly)
	buf := make([]byte, size)
	for i := range d.rounds(60) {
		fillByte(x.Bytes, byte(i))
		d.together(2, func(side int, _ *rand.Rand) error {
			if side == 0 {
				_, err := succeed(d.a.Channel, d.cfg.Patience, []unio.Request{
					{Op: unio.OpRead, Region: reg, Data: buf},
					{Op: unio.OpSend, Flags: unio.Fence},
				})
				return err
			}
			_, err := succeed(d.b.Channel, d.cfg.Patience, []unio.Request{{Op: unio.OpRecv}})
			fillByte(x.Bytes, poisonByte)
			return err
		})
		if at := other(buf, byte(i)); at >= 0 {
			d.Fatalf("byte %d of a Read is %#x, want %#x: the message fenced behind it was sent before it had ended", at, buf[at], byte(i))
		}
	}
}

// checkPeersPlacement: when a message is received, what was written to the
// receiver's memory by requests posted before it is there.
func checkPeersPlacement(d *duo) {
	d.exposes(unio.OpWrite)
	const slots, slot = 12, 16 << 10
	x, reg := d.window(d.b, slots*slot, unio.ReadWrite)
	for range d.rounds(60) {
		want := make([][]byte, slots)
		for i := range want {
			want[i] = payload(d.rng, 1+d.rng.IntN(slot))
		}
		d.together(2, func(i int, rng *rand.Rand) error {
			if i == 0 {
				return d.writeAndTell(rng, reg, want, slot)
			}
			return d.hearAndLook(x.Bytes, want, slot)
		})
	}
}

// writeAndTell posts for each slot some Writes and a message that says so.
func (d *duo) writeAndTell(rng *rand.Rand, reg *unio.Region, want [][]byte, slot int) error {
	var reqs []unio.Request
	for i, p := range want {
		for _, s := range splits(rng, len(p)) {
			reqs = append(reqs, unio.Request{Op: unio.OpWrite, Region: reg, Offset: int64(i*slot) + s.off, Data: bytes.Clone(p[s.off:s.end])})
		}
		if i%3 == 2 && d.ops.Has(unio.OpImmediate) {
			reqs = append(reqs, unio.Request{Op: unio.OpImmediate, Swap: uint64(i)})
			continue
		}
		note := make([]byte, numberedSize)
		binary.LittleEndian.PutUint64(note, uint64(i))
		reqs = append(reqs, unio.Request{Op: unio.OpSend, Data: note})
	}
	_, err := succeed(d.a.Channel, d.cfg.Patience, reqs)
	return err
}

// splits cuts n bytes into up to three spans, in random order.
func splits(rng *rand.Rand, n int) (spans []span) {
	i, j := rng.Int64N(int64(n)+1), rng.Int64N(int64(n)+1)
	for _, s := range []span{{0, min(i, j)}, {min(i, j), max(i, j)}, {max(i, j), int64(n)}} {
		if s.off < s.end {
			spans = append(spans, s)
		}
	}
	rng.Shuffle(len(spans), func(i, j int) { spans[i], spans[j] = spans[j], spans[i] })
	return spans
}

// hearAndLook receives the messages, and looks at once at what they say is there.
func (d *duo) hearAndLook(mem []byte, want [][]byte, slot int) error {
	for i := range want {
		note := make([]byte, numberedSize)
		done, err := drive(d.b.Channel, d.cfg.Patience, []unio.Request{{Op: unio.OpRecv, Data: note}})
		if err != nil {
			return err
		}
		c := done[0]
		if c.Flags != unio.Immediate {
			c.Value = number(note)
		}
		if c.Err != nil || c.Value != uint64(i) {
			return fmt.Errorf("message %d was received as %+v", i, c)
		}
		if got := mem[i*slot:][:len(want[i])]; !bytes.Equal(got, want[i]) {
			return fmt.Errorf("a message was received before what had been written ahead of it: byte %d of %d is not there", differ(got, want[i]), len(got))
		}
	}
	return nil
}
