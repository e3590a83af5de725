package volume

import (
	"errors"
	"sync"

	"github.com/unio-stack/unio"
)

// A queue carries the operations of one channel over a channel of each member.
// Its owner of the moment calls Submit, Reap and Cancel; the keeper may settle
// what has ended on the members, so that what an owner has left lying holds
// nobody up.
type queue struct {
	p *pool

	mu       sync.Mutex
	lanes    []lane   // one for each member; guarded by mu
	states   []*state // by tag, made when first used; guarded by mu
	ended    []ended  // to be completed in Submit, Reap or Cancel; guarded by mu
	returned []*state // guarded by mu
	counts   unio.Counters
	again    bool // a read has to be done once more; guarded by mu

	resumeMu sync.Mutex // after mu
	resumed  []*state   // given back by the keeper; guarded by resumeMu

	sleep *sleeper // nil where one lane can sleep for all
}

// A lane is the way to one member.
type lane struct {
	ch     *unio.Channel
	batch  []unio.Request // to be posted
	flying int            // posted and not ended
	done   [32]unio.Completion
}

// ended is how an operation ends.
type ended struct {
	op    *unio.Op
	n     int64
	err   error
	at    int64 // of an Append
	whole bool
}

const (
	maxDepth = 1 << 13
	// maxPieces bounds the inner requests of an operation. Their IDs are the
	// operation's tag and the number of their first piece.
	maxPieces  = 16
	pieceShift = 8
)

func newQueue(p *pool, cfg unio.QueueConfig) (*queue, error) {
	q := &queue{p: p, states: make([]*state, cfg.Depth), lanes: make([]lane, len(p.members))}
	for i, m := range p.members {
		ch, err := m.dev.NewChannel(unio.ChannelConfig{Depth: min(2*cfg.Depth, m.dev.Info().MaxDepth), Spin: -1})
		if err != nil {
			for _, l := range q.lanes[:i] {
				err = errors.Join(err, l.ch.Close())
			}
			return nil, err
		}
		q.lanes[i].ch = ch
	}
	if len(q.lanes) > 1 {
		q.sleep = newSleeper(q.lanes)
	}
	return q, nil
}

// Submit implements unio.Queue.
func (q *queue) Submit(ops []*unio.Op) {
	q.mu.Lock()
	for _, op := range ops {
		q.take(op)
	}
	q.turn()
	q.counts.Inline += int64(len(q.ended))
	q.deliver()
	q.mu.Unlock()
}

// Reap implements unio.Queue.
func (q *queue) Reap() {
	q.mu.Lock()
	q.turn()
	q.deliver()
	q.mu.Unlock()
}

// take begins an operation.
func (q *queue) take(op *unio.Op) {
	st := q.states[op.Tag()]
	if st == nil {
		st = &state{q: q}
		q.states[op.Tag()] = st
	}
	st.op, st.vol = op, op.Handle().(*volume)
	switch op.Op {
	case unio.OpRead, unio.OpWrite, unio.OpWriteZeroes:
		q.begin(st)
	case unio.OpFlush:
		q.flush(st)
	default:
		q.park(st)
	}
}

// turn does what there is to do until nothing changes any more.
func (q *queue) turn() {
	for progress := true; progress; {
		q.takeResumed()
		progress = q.post()
		progress = q.poll() || progress || q.again
		q.again = false
	}
}

// post hands the batches to the members, and reports whether they took any.
// What a member has no room for waits.
func (q *queue) post() (some bool) {
	for i := range q.lanes {
		l := &q.lanes[i]
		if len(l.batch) == 0 {
			continue
		}
		left := l.batch
		for len(left) > 0 {
			n, err := l.ch.Post(left...)
			l.flying += n
			left, some = left[n:], some || n > 0
			if errors.Is(err, unio.ErrFull) {
				break
			}
			if err != nil && len(left) > 0 {
				q.ended1(unio.Completion{ID: left[0].ID, Err: err})
				left, some = left[1:], true
			}
		}
		n := copy(l.batch, left)
		clear(l.batch[n:])
		l.batch = l.batch[:n]
	}
	return some
}

// poll settles what has ended on the members, and reports whether anything has.
func (q *queue) poll() (some bool) {
	for i := range q.lanes {
		l := &q.lanes[i]
		for l.flying > 0 {
			n := l.ch.Poll(l.done[:])
			l.flying -= n
			for _, c := range l.done[:n] {
				q.ended1(c)
			}
			if some = some || n > 0; n < len(l.done) {
				break
			}
		}
	}
	return some
}

// deliver completes what has ended. Called inside Submit, Reap or Cancel.
func (q *queue) deliver() {
	for i := range q.ended {
		e := &q.ended[i]
		if e.whole {
			e.op.CompleteAppend(e.at)
		} else {
			e.op.Complete(e.n, e.err)
		}
		e.op, e.err = nil, nil
	}
	q.ended = q.ended[:0]
}

// finish ends an operation: nothing touches its memory any more.
func (q *queue) finish(st *state, n int64, err error) {
	e := ended{op: st.op, n: n, err: err}
	if err == nil && st.op.Op == unio.OpAppend {
		e.whole, e.at = true, st.value
	}
	q.ended = append(q.ended, e)
	st.reset()
}

// park hands an operation to the keeper.
func (q *queue) park(st *state) { q.p.keep.park(st) }

// resume gives an operation back. Called by the keeper.
func (q *queue) resume(st *state) {
	q.resumeMu.Lock()
	q.resumed = append(q.resumed, st)
	q.resumeMu.Unlock()
	q.Wake()
}

// takeResumed goes on with what the keeper has given back.
func (q *queue) takeResumed() {
	q.resumeMu.Lock()
	q.returned, q.resumed = q.resumed, q.returned[:0]
	q.resumeMu.Unlock()
	for i, st := range q.returned {
		q.returned[i] = nil
		switch {
		case st.err != nil:
			q.finish(st, 0, st.err)
		case st.done:
			q.finish(st, st.op.Size(), nil)
		default:
			q.begin(st)
		}
	}
}

// help settles what has ended on the members, for the keeper, and does what
// follows from it. Completions wait for the owner.
func (q *queue) help() {
	if !q.mu.TryLock() {
		return // the owner is at it
	}
	before := len(q.ended)
	q.turn()
	more := len(q.ended) > before
	q.mu.Unlock()
	if more {
		q.Wake()
	}
}

// Cancel implements unio.Queue.
func (q *queue) Cancel(op *unio.Op) {
	q.mu.Lock()
	st := q.states[op.Tag()]
	if st != nil && st.op == op {
		if st.left == 0 {
			st.canceled.Store(true)
			q.p.keep.poke()
		}
		for i := range q.lanes {
			for k := range maxPieces + 1 {
				if st.left > 0 {
					q.lanes[i].ch.Cancel(requestID(op, k))
				}
			}
		}
	}
	q.turn()
	q.deliver()
	q.mu.Unlock()
}

// requestID is the ID of the inner request that begins with a piece.
func requestID(op *unio.Op, piece int) uint64 { return uint64(op.Tag())<<pieceShift | uint64(piece) }

// Sleep implements unio.Queue.
func (q *queue) Sleep() {
	if q.sleep != nil {
		q.sleep.sleep()
		return
	}
	q.lanes[0].ch.Sleep()
}

// Wake implements unio.Queue.
func (q *queue) Wake() {
	if q.sleep != nil {
		q.sleep.wake()
		return
	}
	q.lanes[0].ch.Wake()
}

// Counters implements unio.Queue.
func (q *queue) Counters() unio.Counters {
	q.mu.Lock()
	defer q.mu.Unlock()
	c := q.counts
	for i := range q.lanes {
		c.Syscalls += q.lanes[i].ch.Stats().Syscalls
	}
	return c
}

// Close implements unio.Queue.
func (q *queue) Close() error {
	q.p.forget(q)
	q.mu.Lock() // the keeper may be helping
	defer q.mu.Unlock()
	var errs []error
	if q.sleep != nil {
		q.sleep.close()
	}
	for i := range q.lanes {
		errs = append(errs, q.lanes[i].ch.Close())
	}
	return errors.Join(errs...)
}
