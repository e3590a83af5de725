package rdma

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/unio-stack/unio"
)

// A session is the Queue of a channel to a target: a connection, and the next one when that has ended. What is in flight on
// a connection that ends fails with [unio.ErrDisconnected]; what is Idempotent is kept for the next.
type session struct {
	storage *storage
	wakeUp  chan struct{} // of all its connections
	ctx     context.Context
	cancel  context.CancelFunc
	dialing sync.WaitGroup

	// Owned by the channel's owner, as Submit and Reap are.
	kept    []*unio.Op // to be carried out by the next connection
	seen    uint32     // storage.instances as of the last Flush that failed because of it
	flushes []flush    // in flight
	acked   int64      // mutations that have ended, not in storage.acked yet
	passed  []*unio.Op // scratch of Submit
	past    unio.Counters

	cur atomic.Pointer[queuePair] // changed by the owner

	mu     sync.Mutex
	next   *queuePair // guarded by mu; nil until there is one
	closed bool       // guarded by mu
}

// The time between two attempts to connect, which doubles from one to the next.
const (
	firstRetry = 10 * time.Millisecond
	lastRetry  = 5 * time.Second
)

func newSession(s *storage, q *queuePair) *session {
	n := &session{storage: s, wakeUp: make(chan struct{}, 1), seen: s.instances.Load()}
	n.ctx, n.cancel = context.WithCancel(context.Background())
	n.adopt(q)
	n.cur.Store(q)
	return n
}

// A flush knows how many mutations had ended when it was posted: these it makes durable.
type flush struct {
	op    *unio.Op
	acked int64
}

// observe is told of what has succeeded.
func (n *session) observe(op *unio.Op) {
	switch op.Op {
	case unio.OpRead:
	case unio.OpFlush:
		i := slices.IndexFunc(n.flushes, func(f flush) bool { return f.op == op })
		n.storage.flushedUpTo(n.flushes[i].acked)
	default:
		n.acked++
	}
}

// publish lets the Flush of any channel know what has ended on this one. Called before the channel's owner can know it.
func (n *session) publish() {
	if n.acked > 0 {
		n.storage.acked.Add(n.acked)
		n.acked = 0
	}
}

// adopt makes q one of the session's connections.
func (n *session) adopt(q *queuePair) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.wakeUp, q.keep, q.observe, q.onEnd = n.wakeUp, n.keep, n.observe, n.ended
	q.report = func(err error) {
		if r := n.storage.report.Load(); r != nil {
			r.report(err)
		}
	}
	if q.goodbye.over { // meanwhile
		n.ended()
	}
}

// keep keeps what may be carried out again.
func (n *session) keep(op *unio.Op, err error) bool {
	if op.Flags&unio.Idempotent == 0 || !errors.Is(err, unio.ErrDisconnected) || n.ctx.Err() != nil {
		return false
	}
	n.kept = append(n.kept, op)
	return true
}

// ended begins to look for another connection.
func (n *session) ended() {
	n.mu.Lock()
	defer n.mu.Unlock()
	if !n.closed {
		n.dialing.Go(n.dial)
	}
}

// dial connects again, however long that takes.
func (n *session) dial() {
	for pause := firstRetry; ; pause = min(2*pause, lastRetry) {
		select {
		case <-time.After(pause/2 + rand.N(pause)):
		case <-n.ctx.Done():
			return
		}
		q, err := n.storage.connect(n.ctx)
		if err == nil {
			n.adopt(q)
			n.offer(q)
			return
		}
		if r := n.storage.report.Load(); r != nil && n.ctx.Err() == nil {
			r.report(fmt.Errorf("connect again: %w", err))
		}
	}
}

// offer hands a connection to the owner.
func (n *session) offer(q *queuePair) {
	n.mu.Lock()
	old, closed := n.next, n.closed
	if !closed {
		n.next = q
	}
	n.mu.Unlock()
	if closed {
		old = q
	}
	if old != nil {
		_ = old.Close() // never fails
	}
	n.Wake()
}

// turn goes over to the next connection if there is one and the last has nothing more to say.
func (n *session) turn() {
	cur := n.cur.Load()
	if !cur.over() {
		return
	}
	n.mu.Lock()
	q := n.next
	n.next = nil
	n.mu.Unlock()
	if q == nil {
		return
	}
	n.past.Syscalls += cur.Counters().Syscalls
	n.cur.Store(q)
	if kept := n.kept; len(kept) > 0 {
		n.kept = nil
		n.pass(kept)
	}
}

// over reports whether a connection has ended and all its operations have been handed to the channel.
func (q *queuePair) over() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.goodbye.over && q.finished.len() == 0
}

// Submit implements unio.Queue.
func (n *session) Submit(ops []*unio.Op) {
	n.turn()
	n.pass(ops)
	n.publish()
}

// pass hands operations to the connection, but for a Flush that has failed already.
func (n *session) pass(ops []*unio.Op) {
	n.passed = n.passed[:0]
	for _, op := range ops {
		if op.Op == unio.OpFlush {
			if n.lost() {
				op.Complete(0, n.lostError())
				continue
			}
			n.flushes = slices.DeleteFunc(n.flushes, func(f flush) bool { return f.op == op })
			n.flushes = append(n.flushes, flush{op, n.storage.acked.Load()})
		}
		n.passed = append(n.passed, op)
	}
	n.cur.Load().Submit(n.passed)
	clear(n.passed)
}

// lost reports, once, whether the target has been replaced by another while Writes were not flushed.
func (n *session) lost() bool {
	now := n.storage.instances.Load()
	if now == n.seen {
		return false
	}
	n.seen = now
	return true
}

func (n *session) lostError() error {
	return &unio.OpError{
		Layer: Layer, BadByte: -1, Peer: n.storage.addr, Err: unio.ErrDisconnected,
		Detail: "the target was started anew before what it had acknowledged was flushed: write it again",
	}
}

// Reap implements unio.Queue.
func (n *session) Reap() {
	n.turn()
	n.cur.Load().Reap()
	n.publish()
}

// Cancel implements unio.Queue.
func (n *session) Cancel(op *unio.Op) {
	if i := slices.Index(n.kept, op); i >= 0 {
		n.kept = slices.Delete(n.kept, i, i+1)
		op.Complete(0, unio.ErrCanceled)
		return
	}
	n.cur.Load().Cancel(op)
	n.publish()
}

// Sleep implements unio.Queue.
func (n *session) Sleep() { n.cur.Load().Sleep() }

// Wake implements unio.Queue.
func (n *session) Wake() {
	select {
	case n.wakeUp <- struct{}{}:
	default:
	}
}

// Counters implements unio.Queue.
func (n *session) Counters() unio.Counters {
	c := n.cur.Load().Counters()
	c.Syscalls += n.past.Syscalls
	return c
}

// Close implements unio.Queue.
func (n *session) Close() error {
	n.cancel()
	n.mu.Lock()
	n.closed = true
	q := n.next
	n.next = nil
	n.mu.Unlock()
	if q != nil {
		_ = q.Close() // never fails
	}
	err := n.cur.Load().Close()
	n.dialing.Wait()
	return err
}
