package uniotest

import (
	"bytes"
	"fmt"
	"math/rand/v2"

	"github.com/unio-stack/unio"
)

// A note says what a completed write has stored.
type note struct {
	off  int64
	want []byte
	seen chan error
}

// checkVisibility: what a completed write stored is there for every later read,
// on any channel and any region of that name.
func checkVisibility(r *rig) {
	r.needs(unio.OpRead, unio.OpWrite)
	const readers = 3
	notes := make([]chan note, readers)
	for i := range notes {
		notes[i] = make(chan note, 1)
	}
	r.together(readers+1, func(i int, rng *rand.Rand) error {
		if i < readers {
			return r.look(notes[i])
		}
		defer func() {
			for _, c := range notes {
				close(c)
			}
		}()
		return r.publish(notes, rng)
	})
}

// publish writes, and tells the readers each time.
func (r *rig) publish(readers []chan note, rng *rand.Rand) error {
	ch, err := r.dev.NewChannel(unio.ChannelConfig{})
	if err != nil {
		return err
	}
	for range r.rounds(150) {
		n := 1 + rng.IntN(20000)
		nt := note{off: rng.Int64N(200 << 10), want: payload(rng, n), seen: make(chan error, len(readers))}
		q := unio.Request{Op: unio.OpWrite, Region: r.reg, Offset: nt.off, Data: bytes.Clone(nt.want)}
		if _, err := succeed(ch, r.cfg.Patience, []unio.Request{q}); err != nil {
			return err
		}
		fillByte(q.Data, poisonByte)
		for _, c := range readers {
			c <- nt
		}
		for range readers {
			if err := <-nt.seen; err != nil {
				return err
			}
		}
	}
	return ch.Close()
}

// look reads what it is told of, through a region and a channel of its own.
func (r *rig) look(notes chan note) error {
	reg, ch, err := r.own(unio.ReadOnly)
	if err != nil {
		return err
	}
	for nt := range notes {
		q := unio.Request{Op: unio.OpRead, Region: reg, Offset: nt.off, Data: make([]byte, len(nt.want))}
		_, err := succeed(ch, r.cfg.Patience, []unio.Request{q})
		if at := differ(q.Data, nt.want); err == nil && at >= 0 {
			err = fmt.Errorf("a completed write is not visible on another channel: byte %d is %#x, want %#x",
				nt.off+int64(at), q.Data[at], nt.want[at])
		}
		nt.seen <- err
	}
	if err := ch.Close(); err != nil {
		return err
	}
	return reg.Close()
}

// own returns a region and a channel for the caller alone.
func (r *rig) own(rights unio.Rights) (*unio.Region, *unio.Channel, error) {
	reg, err := r.dev.Attach(r.Context(), r.cfg.Region, rights)
	if err != nil {
		return nil, nil, err
	}
	ch, err := r.dev.NewChannel(unio.ChannelConfig{})
	return reg, ch, err
}
