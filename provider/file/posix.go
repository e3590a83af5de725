package file

import (
	"runtime"
	"sync"

	"github.com/unio-stack/unio"
)

// A pool carries out operations by blocking system calls on a bounded number
// of goroutines, started on demand. Queues take turns, so that a deep one does
// not starve another.
type pool struct {
	m     *medium
	limit int

	mu      sync.Mutex
	work    sync.Cond     // signalled when ready or closed changes
	ready   []*posixQueue // with pending operations, in turn; guarded by mu
	workers int           // guarded by mu
	idle    int           // workers waiting that were not signalled; guarded by mu
	closed  bool          // guarded by mu
	wg      sync.WaitGroup
}

func newPool(m *medium, limit int) *pool {
	if limit == 0 {
		limit = defaultWorkers
	}
	p := &pool{m: m, limit: limit}
	p.work.L = &p.mu
	return p
}

// close ends the workers. No operation is pending.
func (p *pool) close() {
	p.mu.Lock()
	p.closed = true
	p.work.Broadcast()
	p.mu.Unlock()
	p.wg.Wait()
}

// start hands over operations of a queue.
func (p *pool) start(q *posixQueue, ops []*unio.Op) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(q.pending) == 0 && len(ops) > 0 {
		p.ready = append(p.ready, q)
	}
	q.pending = append(q.pending, ops...)
	wake := min(len(ops), p.idle)
	p.idle -= wake // not by the workers when they run: the next start may come first
	for range wake {
		p.work.Signal()
	}
	for range min(len(ops)-wake, p.limit-p.workers) {
		p.workers++
		p.wg.Go(p.run)
	}
}

// run is a worker.
func (p *pool) run() {
	var w worker
	for {
		q, op := p.next()
		if op == nil {
			return
		}
		n, err := p.m.perform(&w, op)
		q.finish(op, n, err)
	}
}

// next waits for an operation; nil when the pool closes.
func (p *pool) next() (*posixQueue, *unio.Op) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for len(p.ready) == 0 {
		if p.closed {
			return nil, nil
		}
		p.idle++
		p.work.Wait()
	}
	q := p.ready[0]
	p.ready = append(p.ready[:0], p.ready[1:]...)
	op := q.pending[0]
	q.pending = append(q.pending[:0], q.pending[1:]...)
	if len(q.pending) > 0 {
		p.ready = append(p.ready, q)
	}
	return q, op
}

// withdraw takes back an operation that no worker has begun.
func (p *pool) withdraw(q *posixQueue, op *unio.Op) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	for i, o := range q.pending {
		if o != op {
			continue
		}
		q.pending = append(q.pending[:i], q.pending[i+1:]...)
		if len(q.pending) == 0 {
			for j, r := range p.ready {
				if r == q {
					p.ready = append(p.ready[:j], p.ready[j+1:]...)
					break
				}
			}
		}
		return true
	}
	return false
}

// posixQueue is a channel's queue on a pool.
type posixQueue struct {
	pool    *pool
	inline  inliner
	pending []*unio.Op // guarded by pool.mu
	rest    []*unio.Op // of Submit, for the pool; owner's
	reaped  []result   // owner's
	bell    chan struct{}
	pinned  bool   // the owner is locked to its thread; immutable
	sleeps  uint32 // owner's
	// notify tells the owner of a result. Called with mu held, so that whoever
	// has reaped the last result knows that no call of it is to come.
	notify func()

	mu    sync.Mutex
	done  []result // guarded by mu
	calls int64    // system calls made; guarded by mu
}

type result struct {
	op  *unio.Op
	n   int64
	err error
}

func (p *pool) newQueue(cfg unio.QueueConfig) *posixQueue {
	q := &posixQueue{
		pool: p, inline: newInliner(p.m),
		pending: make([]*unio.Op, 0, cfg.Depth),
		rest:    make([]*unio.Op, 0, cfg.Depth),
		reaped:  make([]result, 0, cfg.Depth),
		done:    make([]result, 0, cfg.Depth),
		bell:    make(chan struct{}, 1),
		pinned:  cfg.Pinned,
	}
	q.notify = q.Wake
	return q
}

// Submit implements unio.Queue.
func (q *posixQueue) Submit(ops []*unio.Op) {
	q.inline.begin()
	rest := q.rest[:0]
	for _, op := range ops {
		if !q.inline.try(op) {
			rest = append(rest, op)
		}
	}
	q.inline.end()
	if len(rest) > 0 {
		q.pool.start(q, rest)
	}
}

// finish is called by a worker.
func (q *posixQueue) finish(op *unio.Op, n int64, err error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.done = append(q.done, result{op, n, err})
	q.calls++
	q.notify()
}

// Reap implements unio.Queue.
func (q *posixQueue) Reap() {
	q.mu.Lock()
	q.done, q.reaped = q.reaped[:0], q.done
	q.mu.Unlock()
	for _, r := range q.reaped {
		r.op.Complete(r.n, r.err)
	}
}

// Cancel implements unio.Queue: what a worker has begun runs to its end.
func (q *posixQueue) Cancel(op *unio.Op) {
	if q.pool.withdraw(q, op) {
		op.Complete(0, unio.ErrCanceled)
	}
}

// Sleep implements unio.Queue.
func (q *posixQueue) Sleep() {
	// An owner that is locked to its thread and a worker that answers at once
	// would hand a lone processor to each other for ever.
	if q.sleeps++; q.pinned && q.sleeps%yieldEvery == 0 {
		runtime.Gosched()
	}
	<-q.bell
}

// yieldEvery: one Sleep in so many of a pinned owner lets others run.
const yieldEvery = 32

// Wake implements unio.Queue.
func (q *posixQueue) Wake() {
	select {
	case q.bell <- struct{}{}:
	default:
	}
}

// Counters implements unio.Queue.
func (q *posixQueue) Counters() unio.Counters {
	q.mu.Lock()
	defer q.mu.Unlock()
	return unio.Counters{Syscalls: q.calls + q.inline.calls, Inline: q.inline.done}
}

// Close implements unio.Queue.
func (q *posixQueue) Close() error { return nil }
