package transfer

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/unio-stack/unio"
)

// read fills slots until the source ends, and then closes full.
func (j *job) read(ctx context.Context) error {
	defer close(j.full)
	if j.src.Region == nil {
		return j.readStream(ctx)
	}
	ch, err := j.src.Region.Device().NewChannel(unio.ChannelConfig{Depth: j.cfg.Depth})
	if err != nil {
		return err
	}
	err = (&regionReader{job: j, ch: ch, slots: make([]*slot, j.cfg.Depth)}).run(ctx)
	return errors.Join(err, ch.Close())
}

// first returns the chunk to begin with.
func (j *job) first() int64 {
	if j.cfg.Reread {
		return 0
	}
	return j.resumed / int64(j.cfg.Chunk)
}

// hand passes a filled slot on.
func (j *job) hand(ctx context.Context, s *slot) error {
	s.sum = Sum(s.data[:s.n])
	select {
	case j.full <- s:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (j *job) readStream(ctx context.Context) error {
	j.length = 0
	for chunk := int64(0); ; chunk++ {
		var s *slot
		select {
		case s = <-j.free:
		case <-ctx.Done():
			return ctx.Err()
		}
		n, err := io.ReadFull(j.src.Stream, s.data)
		s.chunk, s.n = chunk, n
		j.length += int64(n)
		if n > 0 {
			if err := j.hand(ctx, s); err != nil {
				return err
			}
		}
		switch {
		case err == io.EOF || err == io.ErrUnexpectedEOF:
			return nil
		case err != nil:
			return fmt.Errorf("read the source: %w", err)
		}
	}
}

// A regionReader keeps a channel busy with reads. It is owned by the reader
// goroutine.
type regionReader struct {
	*job
	ch       *unio.Channel
	slots    []*slot // in flight, by id
	inFlight int
	next     int64 // chunk to read next
	done     [64]unio.Completion
}

func (r *regionReader) run(ctx context.Context) error {
	end := r.chunks(r.src.Size)
	for r.next = r.first(); r.next < end || r.inFlight > 0; {
		s, err := r.take(ctx, end)
		if err == nil && s != nil {
			err = r.start(s)
		} else if err == nil {
			err = r.reap(ctx)
		}
		if err != nil {
			r.abandon()
			return err
		}
	}
	return nil
}

// take returns a free slot to read into, or nil if the next thing to do is to
// wait for the device.
func (r *regionReader) take(ctx context.Context, end int64) (*slot, error) {
	if r.next == end {
		return nil, nil
	}
	if r.inFlight > 0 {
		select {
		case s := <-r.free:
			return s, nil
		default:
			return nil, nil
		}
	}
	select {
	case s := <-r.free:
		return s, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// start begins to fill a slot with the next chunk.
func (r *regionReader) start(s *slot) error {
	at := r.offset(r.next)
	s.chunk, s.n = r.next, int(min(int64(r.cfg.Chunk), r.src.Size-at))
	r.next++
	r.slots[s.id] = s
	_, err := r.ch.Post(unio.Request{ID: s.id, Op: unio.OpRead, Region: r.src.Region, Offset: at, Data: s.data[:s.n]})
	if err == nil {
		r.inFlight++
	}
	return err
}

// reap waits for reads and hands their slots on.
func (r *regionReader) reap(ctx context.Context) error {
	n, err := r.ch.Wait(ctx, r.done[:])
	r.inFlight -= n
	for i := range r.done[:n] {
		c := &r.done[i]
		if c.Err != nil && err == nil {
			err = c.Err
		}
		if err == nil {
			err = r.hand(ctx, r.slots[c.ID])
		}
	}
	return err
}

// abandon waits until nothing is in flight: the memory is about to go.
func (r *regionReader) abandon() { drain(r.ch, &r.inFlight, r.done[:]) }

func drain(ch *unio.Channel, inFlight *int, done []unio.Completion) {
	ch.CancelAll()
	for *inFlight > 0 {
		n, err := ch.Wait(context.Background(), done)
		*inFlight -= n
		if err != nil {
			return // closed: nothing is in flight
		}
	}
}
