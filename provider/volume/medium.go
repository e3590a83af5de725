package volume

import (
	"context"
	"errors"
	"fmt"

	"github.com/unio-stack/unio"
	"github.com/unio-stack/unio/provider/volume/internal/format"
)

// A member is a region the pool is made of, and its superblock.
type member struct {
	dev *unio.Device
	reg *unio.Region
	sb  *format.Superblock
}

// A medium reads and writes the members, for one goroutine, and waits for what
// it does.
type medium struct {
	members []*member
	chans   []*unio.Channel // one for each member
	done    [mediumDepth]unio.Completion
	buf     *unio.Buffer // a piece, for whoever needs one
}

const (
	mediumDepth = 32
	// pieceSize bytes are read or written at a time.
	pieceSize = 256 << 10
)

func newMedium(members []*member) (*medium, error) {
	m := &medium{members: members}
	for _, mb := range members {
		ch, err := mb.dev.NewChannel(unio.ChannelConfig{Depth: min(mediumDepth, mb.dev.Info().MaxDepth)})
		if err != nil {
			return nil, errors.Join(err, m.close())
		}
		m.chans = append(m.chans, ch)
	}
	var err error
	if m.buf, err = unio.NewBuffer(pieceSize); err != nil {
		return nil, errors.Join(fmt.Errorf("%w: %w", unio.ErrNoSpace, err), m.close())
	}
	return m, nil
}

func (m *medium) close() error {
	var errs []error
	for _, ch := range m.chans {
		errs = append(errs, ch.Close())
	}
	if m.buf != nil {
		errs = append(errs, m.buf.Free())
	}
	return errors.Join(errs...)
}

// run carries out requests of one member, in any order, and returns the first
// error.
func (m *medium) run(member int, reqs ...unio.Request) error {
	ch := m.chans[member]
	var first error
	for flying := 0; len(reqs) > 0 || flying > 0; {
		for len(reqs) > 0 {
			reqs[0].Region = m.members[member].reg
			n, err := ch.Post(reqs[0])
			if errors.Is(err, unio.ErrFull) {
				break
			}
			if reqs, flying = reqs[1:], flying+n; err != nil && first == nil {
				first = err
			}
		}
		if flying == 0 {
			continue
		}
		n, err := ch.Wait(context.Background(), m.done[:])
		if err != nil {
			return err // the channel was closed
		}
		for _, c := range m.done[:n] {
			if flying--; c.Err != nil && first == nil {
				first = c.Err
			}
		}
	}
	return first
}

func (m *medium) read(member int, off int64, p []byte) error {
	return m.run(member, unio.Request{Op: unio.OpRead, Offset: off, Data: p})
}

func (m *medium) write(member int, off int64, p []byte, flags unio.Flags) error {
	return m.run(member, unio.Request{Op: unio.OpWrite, Offset: off, Data: p, Flags: flags})
}

// flush makes durable what was written to all members.
func (m *medium) flush() error {
	for i := range m.members {
		if err := m.run(i, unio.Request{Op: unio.OpFlush}); err != nil {
			return err
		}
	}
	return nil
}

// each reads n bytes at off of a member, a piece at a time, and calls f with
// them.
func (m *medium) each(member int, off, n int64, f func(off int64, p []byte) error) error {
	for end := off + n; off < end; {
		p := m.buf.Bytes()[:min(end-off, pieceSize)]
		if err := m.read(member, off, p); err != nil {
			return err
		}
		if err := f(off, p); err != nil {
			return err
		}
		off += int64(len(p))
	}
	return nil
}
