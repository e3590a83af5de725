package main

import (
	"bytes"
	"context"
	"fmt"
	"time"

	"github.com/unio-stack/unio"
	"github.com/unio-stack/unio/provider/rdma"
)

// A probe makes one round trip after the other.
type probe struct {
	ch     *unio.Channel
	memory *unio.Buffer
	sent   []byte
	back   []byte
	region *unio.Region // to read from; nil for messages
	trips  byte
}

// probePatience is how long an answer may take.
const probePatience = 10 * time.Second

// newProbe chooses how to measure, and tells r.
func newProbe(ctx context.Context, conn *rdma.Conn, f pingFlags, r *pingReport) (*probe, error) {
	p := &probe{ch: conn.Channel()}
	switch {
	case r.Echo && !f.read:
		r.Method, r.Size = "echo", f.size
	case r.Memory == nil && f.read:
		return nil, fmt.Errorf("%w: the peer has named no memory to read", unio.ErrUnsupported)
	case r.Memory == nil:
		return nil, hinted(fmt.Errorf("%w: the peer promises no echo and has named no memory, so there is nothing to measure", unio.ErrUnsupported),
			`"unio peer" does both; what the peer has said in its private data is for the programs that know it`)
	case *r.Memory < wordSize:
		return nil, fmt.Errorf("%w: the peer's memory has %d bytes, not %d", unio.ErrOutOfRange, *r.Memory, wordSize)
	default:
		r.Method, r.Size = "read", wordSize
		var err error
		if p.region, err = conn.Device().Attach(ctx, "", unio.ReadOnly); err != nil {
			return nil, err
		}
	}
	var err error
	if p.memory, err = unio.NewBuffer(int(max(2*r.Size, 1))); err != nil {
		return nil, err
	}
	b := p.memory.Bytes()
	p.sent, p.back = b[:r.Size:r.Size], b[r.Size:][:r.Size:r.Size]
	return p, nil
}

// wordSize is how many bytes ping reads.
const wordSize = 8

func (p *probe) close() {
	_ = p.ch.Close() // what is in flight may be in the memory
	_ = p.memory.Free()
}

// roundTrip returns how long one took.
func (p *probe) roundTrip(ctx context.Context) (time.Duration, error) {
	bounded, cancel := context.WithTimeoutCause(ctx, probePatience, fmt.Errorf("%w: no answer for %v", unio.ErrTimeout, probePatience))
	defer cancel()
	p.trips++
	for i := range p.sent {
		p.sent[i] = p.trips + byte(i)
	}
	began := time.Now()
	var err error
	if p.region != nil {
		err = p.ch.Do(bounded, unio.Request{Op: unio.OpRead, Region: p.region, Data: p.back})
	} else {
		err = p.echo(bounded)
	}
	took := time.Since(began)
	if err != nil && ctx.Err() == nil && bounded.Err() != nil {
		err = context.Cause(bounded)
	}
	return took, err
}

// echo sends a message and waits until it is back.
func (p *probe) echo(ctx context.Context) error {
	if _, err := p.ch.Post(
		unio.Request{ID: 1, Op: unio.OpRecv, Data: p.back}, unio.Request{ID: 2, Op: unio.OpSend, Data: p.sent},
	); err != nil {
		return err
	}
	var done [2]unio.Completion
	for left := 2; left > 0; {
		n, err := p.ch.Wait(ctx, done[:])
		if err != nil {
			return err
		}
		left -= n
		for _, c := range done[:n] {
			switch {
			case c.Err != nil:
				return c.Err
			case c.ID == 1 && (c.N != int64(len(p.sent)) || !bytes.Equal(p.sent, p.back)):
				return fmt.Errorf("%w: what came back is not what was sent", unio.ErrChecksum)
			}
		}
	}
	return nil
}
