package transfer

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/unio-stack/unio"
	"github.com/unio-stack/unio/internal/bytesize"
)

// write empties slots until full is closed and everything is durable.
func (j *job) write(ctx context.Context) error {
	if j.dst.Region == nil {
		return j.writeStream(ctx)
	}
	// One more than the slots, for the flush.
	ch, err := j.dst.Region.Device().NewChannel(unio.ChannelConfig{Depth: j.cfg.Depth + 1})
	if err != nil {
		return err
	}
	w := &regionWriter{job: j, ch: ch, slots: make([]*slot, j.cfg.Depth)}
	err = w.run(ctx)
	if err != nil {
		drain(w.ch, &w.inFlight, w.done[:])
	}
	return errors.Join(err, ch.Close())
}

// writeStream writes chunks in their order.
func (j *job) writeStream(ctx context.Context) error {
	early := map[int64]*slot{}
	next := j.first()
	for {
		s, more := early[next], true
		if s == nil {
			if s, more = j.await(ctx); !more {
				return ctx.Err()
			}
			if s.chunk != next {
				early[s.chunk] = s
				continue
			}
		}
		delete(early, next)
		if _, err := j.dst.Stream.Write(s.data[:s.n]); err != nil {
			return fmt.Errorf("write the destination: %w", err)
		}
		next++
		j.finished(s)
		j.copied += int64(s.n)
		j.free <- s
	}
}

// await waits for a filled slot. It returns false when there will be none.
func (j *job) await(ctx context.Context) (*slot, bool) {
	select {
	case s, more := <-j.full:
		return s, more
	case <-ctx.Done():
		return nil, false
	}
}

func (j *job) finished(s *slot) {
	j.sums.set(s.chunk, s.sum)
	j.mon.advance(int64(s.n))
}

// A regionWriter keeps a channel busy with writes. It is owned by the writer
// goroutine.
type regionWriter struct {
	*job
	ch       *unio.Channel
	slots    []*slot // in flight, by id
	inFlight int
	saved    time.Time
	done     [64]unio.Completion
}

func (w *regionWriter) run(ctx context.Context) error {
	w.saved = time.Now()
	for more := true; more || w.inFlight > 0; {
		s, open, err := w.take(ctx, more)
		more = open
		switch {
		case err != nil:
		case s != nil:
			err = w.start(ctx, s)
		case w.inFlight > 0:
			err = w.reap(ctx)
		}
		if err == nil && w.cfg.State != nil && time.Since(w.saved) >= w.cfg.Checkpoint {
			err = w.checkpoint(ctx)
		}
		if err != nil {
			return w.interrupted(ctx, err)
		}
	}
	return w.checkpoint(ctx)
}

// interrupted notes what is done when ctx has ended, so that it need not be
// done again.
func (w *regionWriter) interrupted(ctx context.Context, err error) error {
	if ctx.Err() == nil {
		return err
	}
	for w.inFlight > 0 {
		if w.reap(context.WithoutCancel(ctx)) != nil {
			return err
		}
	}
	return errors.Join(err, w.checkpoint(context.WithoutCancel(ctx)))
}

// take returns a filled slot, or nil if the next thing to do is to wait for
// the device, and whether there may be more.
func (w *regionWriter) take(ctx context.Context, more bool) (*slot, bool, error) {
	if !more {
		return nil, false, ctx.Err()
	}
	if w.inFlight > 0 {
		select {
		case s, open := <-w.full:
			return s, open, nil
		default:
			return nil, true, nil
		}
	}
	s, open := w.await(ctx)
	return s, open, ctx.Err()
}

// start begins to write a slot's chunk, unless it is there already.
func (w *regionWriter) start(ctx context.Context, s *slot) error {
	if w.sums.holds(s.chunk, s.sum) {
		w.mon.advance(int64(s.n))
		w.free <- s
		return nil
	}
	at := w.offset(s.chunk)
	if err := w.makeRoom(ctx, at+int64(s.n)); err != nil {
		return err
	}
	r := unio.Request{ID: s.id, Op: unio.OpWrite, Region: w.dst.Region, Offset: at, Data: s.data[:w.padded(s, at)]}
	if w.cfg.Sparse && zero(s.data[:s.n]) && w.ch.Device().Info().Native.Has(unio.OpDiscard) {
		r.Op, r.Data, r.Length = unio.OpDiscard, nil, int64(s.n)
		w.zeroes += int64(s.n)
	} else {
		w.copied += int64(s.n)
	}
	w.slots[s.id] = s
	_, err := w.ch.Post(r)
	if err == nil {
		w.inFlight++
	}
	return err
}

// padded returns how much of a slot to write: a target that can grow, and will
// be cut to its length in the end, takes whole pages.
func (w *regionWriter) padded(s *slot, at int64) int {
	n := (s.n + pageSize - 1) / pageSize * pageSize
	if !w.dst.Grows || at+int64(n) > w.dst.Region.Size() {
		return s.n
	}
	clear(s.data[s.n:n])
	return n
}

// Bounds of how much a target grows at a time, in bytes.
const (
	minGrowth = 64 << 20
	maxGrowth = 1 << 30
)

// makeRoom sees to it that the target has so many bytes.
func (w *regionWriter) makeRoom(ctx context.Context, size int64) error {
	reg := w.dst.Region
	have := reg.Size()
	if size <= have {
		return nil
	}
	if !w.dst.Grows {
		return fmt.Errorf("%w: the source has more bytes than %s, which has %s",
			unio.ErrNoSpace, reg.Device().Info().Name, bytesize.Format(have))
	}
	more := min(max(have, minGrowth), maxGrowth)
	return reg.Resize(ctx, max(have+more, (size+pageSize-1)/pageSize*pageSize))
}

// reap waits for writes and frees their slots.
func (w *regionWriter) reap(ctx context.Context) error {
	n, err := w.ch.Wait(ctx, w.done[:])
	w.inFlight -= n
	for i := range w.done[:n] {
		c := &w.done[i]
		s := w.slots[c.ID]
		if c.Err != nil {
			err = errors.Join(err, c.Err)
			continue
		}
		w.finished(s)
		w.free <- s
	}
	return err
}

// checkpoint makes what is complete durable, and then notes it. Writes that
// complete meanwhile are left for the next time.
func (w *regionWriter) checkpoint(ctx context.Context) error {
	done := w.sums.low
	if err := w.ch.Do(ctx, unio.Request{Op: unio.OpFlush, Region: w.dst.Region}); err != nil {
		return err
	}
	w.saved = time.Now()
	if w.cfg.State == nil {
		return nil
	}
	return w.cfg.State.Advance(w.sums.sums[:done])
}

// zero reports whether all bytes are 0: the first is, and each is like the one
// before it.
func zero(b []byte) bool {
	return len(b) == 0 || b[0] == 0 && bytes.Equal(b[1:], b[:len(b)-1])
}
