package uniotest

import (
	"slices"

	"github.com/unio-stack/unio"
)

// A pairQueue carries the operations of one side's channel. Its goroutine is
// the network of that side: it carries out what the side has submitted, and
// hands it what has arrived.
type pairQueue struct {
	end   *pairEnd
	depth int

	// What follows is guarded by Pair.mu.

	ops   []*unio.Op   // submitted and not carried out, in order; no receives
	recvs []*unio.Op   // receives, oldest first
	ended []pairResult // not reaped

	work    chan struct{} // there may be something to carry out
	wake    chan struct{} // ended is not empty, or Wake
	stop    chan struct{}
	stopped chan struct{} // closed when the goroutine has returned
}

// A pairResult is how an operation ended.
type pairResult struct {
	op    *unio.Op
	n     int64
	flags unio.Flags // of a message that was received
	value uint64     // of that, or of an atomic
	err   error
}

func newPairQueue(e *pairEnd, depth int) *pairQueue {
	return &pairQueue{
		end: e, depth: depth,
		ops:     make([]*unio.Op, 0, depth),
		recvs:   make([]*unio.Op, 0, depth),
		ended:   make([]pairResult, 0, depth),
		work:    make(chan struct{}, 1),
		wake:    make(chan struct{}, 1),
		stop:    make(chan struct{}),
		stopped: make(chan struct{}),
	}
}

// Submit implements unio.Queue.
func (q *pairQueue) Submit(ops []*unio.Op) {
	p := q.end.pair
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, op := range ops {
		if err := q.verify(op); err != nil {
			p.tb.Errorf("the core submitted what the peer cannot do: %v", err)
			op.Complete(0, err)
			continue
		}
		q.accept(op)
	}
	if n := len(q.ops) + len(q.recvs) + len(q.ended); n > q.depth {
		p.tb.Errorf("the core submitted operation %d to a queue of depth %d", n, q.depth)
	}
	signal(q.work)
}

// accept takes in one operation, and may carry it out at once.
func (q *pairQueue) accept(op *unio.Op) {
	e := q.end
	switch {
	case op.Op == unio.OpRecv && e.hopeful():
		q.recvs = append(q.recvs, op)
		return
	case !e.connected():
		op.Complete(0, e.disconnected())
		return
	}
	q.ops = append(q.ops, op)
	last := len(q.ops) - 1
	if k := e.pair.cfg.Inline; k > 0 && e.rng.IntN(k) == 0 && q.ready(last) {
		q.ops = q.ops[:last]
		q.perform(op).end()
	}
}

// end tells the core.
func (r pairResult) end() {
	switch {
	case r.err != nil:
		r.op.Complete(r.n, r.err)
	case r.op.Op == unio.OpRecv:
		r.op.CompleteMessage(r.n, r.flags, r.value)
	case r.op.Op == unio.OpCompareSwap || r.op.Op == unio.OpFetchAdd:
		r.op.CompleteWord(r.value)
	default:
		r.op.Complete(r.n, nil)
	}
}

// Reap implements unio.Queue.
func (q *pairQueue) Reap() {
	q.end.pair.mu.Lock()
	defer q.end.pair.mu.Unlock()
	for i := range q.ended {
		q.ended[i].end()
	}
	q.ended = q.ended[:0]
}

// Cancel implements unio.Queue. It succeeds with every message that has not
// been carried out, which might wait for ever, and half of the time with
// anything else.
func (q *pairQueue) Cancel(op *unio.Op) {
	e := q.end
	e.pair.mu.Lock()
	defer e.pair.mu.Unlock()
	if h := e.pair.hooks.cancel; h != nil && h(q, op) {
		return
	}
	if i := slices.Index(q.recvs, op); i >= 0 {
		q.recvs = slices.Delete(q.recvs, i, i+1)
		q.report(pairResult{op: op, err: unio.ErrCanceled})
	}
	i := slices.Index(q.ops, op)
	if i >= 0 && (isMessage(op.Op) || e.rng.IntN(2) == 0) {
		q.ops = slices.Delete(q.ops, i, i+1)
		q.report(pairResult{op: op, err: unio.ErrCanceled})
		signal(q.work) // what it held back may go
	}
}

// report makes a result reapable.
func (q *pairQueue) report(res pairResult) {
	if h := q.end.pair.hooks.report; h != nil {
		h(q, res)
		return
	}
	q.conclude(res)
}

func (q *pairQueue) conclude(res pairResult) {
	q.ended = append(q.ended, res)
	signal(q.wake)
}

// failSends ends what the peer was to see, because it never will.
func (q *pairQueue) failSends() {
	for _, op := range q.ops {
		q.report(pairResult{op: op, err: q.end.disconnected()})
	}
	q.ops = q.ops[:0]
}

// failUnservable ends the receives if no message can come any more.
func (q *pairQueue) failUnservable() {
	if q.end.hopeful() {
		return
	}
	for _, op := range q.recvs {
		q.report(pairResult{op: op, err: q.end.disconnected()})
	}
	q.recvs = q.recvs[:0]
}

func (q *pairQueue) failAll() {
	q.failSends()
	q.failUnservable()
}

// disconnected describes the end of the connection.
func (e *pairEnd) disconnected() error { return e.mishap(unio.ErrDisconnected) }

func (e *pairEnd) mishap(cause error) error {
	return &unio.OpError{Layer: "pair", Peer: e.peer.name, BadByte: -1, Err: cause}
}

// Sleep implements unio.Queue.
func (q *pairQueue) Sleep() {
	if h := q.end.pair.hooks.sleep; h != nil {
		h(q)
		return
	}
	<-q.wake
}

// Wake implements unio.Queue.
func (q *pairQueue) Wake() { signal(q.wake) }

// Counters implements unio.Queue.
func (q *pairQueue) Counters() unio.Counters { return unio.Counters{} }

// Close implements unio.Queue. It ends the connection.
func (q *pairQueue) Close() error {
	p := q.end.pair
	if h := p.hooks.close; h != nil {
		h(q)
	}
	close(q.stop)
	<-q.stopped
	p.mu.Lock()
	defer p.mu.Unlock()
	if n := len(q.ops) + len(q.recvs) + len(q.ended); n > 0 {
		p.tb.Errorf("the core closed a queue with %d operations in flight", n)
	}
	q.end.leave()
	return nil
}

// serve is the network at work.
func (q *pairQueue) serve() {
	defer close(q.stopped)
	for {
		select {
		case <-q.stop:
			return
		case <-q.work:
		}
		for q.step() {
		}
	}
}
