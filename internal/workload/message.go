package workload

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/unio-stack/unio"
)

// echoes are what a worker needs for messages that come back. Each slot has
// two requests in flight: the Recv, whose ID is the slot's and Depth, and the
// Send. Both queues keep their order, and so does the peer: what comes to a
// slot's Recv is what its Send has sent.
type echoes struct {
	memory [][]byte // to receive into, by slot
	halves []uint8  // how many of the two are in flight
}

// patience is how long a peer may leave a message unanswered.
const patience = 5 * time.Second

func (w *worker) prepareSend(id uint64) {
	r := w.next()
	r.ID, r.Op, r.Data = id, unio.OpSend, w.slots[id]
}

func (w *worker) prepareEcho(id uint64) {
	recv := w.next()
	recv.ID, recv.Op, recv.Data = id+uint64(w.cfg.Depth), unio.OpRecv, w.echo.memory[id]
	w.prepareSend(id)
	w.echo.halves[id] = 2
}

// settleEcho counts a round trip when the message is back.
func (w *worker) settleEcho(c *unio.Completion, now time.Duration) (id uint64, free bool) {
	id = c.ID
	back := id >= uint64(w.cfg.Depth)
	if back {
		id -= uint64(w.cfg.Depth)
	}
	w.echo.halves[id]--
	switch {
	case c.Err != nil:
		w.fail(c.Err)
	case back && c.N != int64(w.cfg.BlockSize):
		w.fail(fmt.Errorf("%w: %d bytes came back of a message of %d", unio.ErrInvalid, c.N, w.cfg.BlockSize))
	case back:
		w.tally.latency[kindOther].Record(int64(now - w.posted[id]))
	}
	return id, w.echo.halves[id] == 0
}

// bound returns a context that ends some time after the run should have, if a
// peer has to answer: it may take messages and never do.
func (w *worker) bound(ctx context.Context) (context.Context, context.CancelFunc) {
	if !w.cfg.Access.Messages() {
		return ctx, func() {}
	}
	return context.WithTimeout(ctx, w.cfg.Ramp+w.cfg.Time+patience)
}

// drainMessages is drain for a peer that may never answer: after a while, or
// at once, what is in flight is cancelled, and that is an error.
func (w *worker) drainMessages(ctx context.Context, settle func(*unio.Completion), wait bool) error {
	if wait {
		bounded, cancel := context.WithTimeout(ctx, patience)
		defer cancel()
		if err := w.drain(bounded, settle); !errors.Is(err, context.DeadlineExceeded) {
			return err
		}
	}
	if w.inFlight == 0 {
		return nil
	}
	w.ch.CancelAll()
	if err := w.drain(ctx, func(*unio.Completion) {}); err != nil {
		return err
	}
	return fmt.Errorf("%s: %w: the peer has left messages unanswered for %v", w.dev.Info().Name, unio.ErrTimeout, patience)
}
