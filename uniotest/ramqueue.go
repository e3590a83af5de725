package uniotest

import (
	"math/rand/v2"
	"runtime"
	"slices"
	"sync"
	"time"

	"github.com/unio-stack/unio"
)

// A ramQueue carries the operations of one channel. Its goroutine is the disk.
type ramQueue struct {
	disk  *RAMDisk
	depth int

	mu      sync.Mutex
	rng     *rand.Rand  // guarded by mu
	pending []*unio.Op  // submitted, not begun; guarded by mu
	running int         // begun, not ended; guarded by mu
	ended   []ramResult // not reaped; guarded by mu

	work    chan struct{} // pending is not empty
	wake    chan struct{} // ended is not empty, or Wake
	stop    chan struct{}
	stopped chan struct{} // closed when the goroutine has returned
}

// A ramResult is how an operation ended.
type ramResult struct {
	op   *unio.Op
	n    int64
	word uint64 // of atomics
	err  error
}

// Submit implements unio.Queue.
func (q *ramQueue) Submit(ops []*unio.Op) {
	for _, op := range ops {
		if err := q.disk.verify(op); err != nil {
			q.disk.tb.Errorf("the core submitted what the disk cannot do: %v", err)
			op.Complete(0, err)
			continue
		}
		if k := q.disk.cfg.Inline; k > 0 && q.chance(k) {
			res := q.execute(op)
			finish(res)
			continue
		}
		q.enqueue(op)
	}
}

func (q *ramQueue) chance(oneIn int) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.rng.IntN(oneIn) == 0
}

func (q *ramQueue) enqueue(op *unio.Op) {
	q.mu.Lock()
	q.pending = append(q.pending, op)
	n := len(q.pending) + q.running + len(q.ended)
	q.mu.Unlock()
	if n > q.depth {
		q.disk.tb.Errorf("the core submitted operation %d to a queue of depth %d", n, q.depth)
	}
	signal(q.work)
}

// finish tells the core.
func finish(res ramResult) {
	if res.err == nil && (res.op.Op == unio.OpCompareSwap || res.op.Op == unio.OpFetchAdd) {
		res.op.CompleteWord(res.word)
		return
	}
	res.op.Complete(res.n, res.err)
}

// Reap implements unio.Queue.
func (q *ramQueue) Reap() {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, res := range q.ended {
		finish(res)
	}
	q.ended = q.ended[:0]
}

// Cancel implements unio.Queue. It succeeds half of the time with what has not
// begun.
func (q *ramQueue) Cancel(op *unio.Op) {
	if h := q.disk.hooks.cancel; h != nil && h(q, op) {
		return
	}
	q.mu.Lock()
	i := slices.Index(q.pending, op)
	if i >= 0 && q.rng.IntN(2) == 0 {
		q.pending = slices.Delete(q.pending, i, i+1)
		q.ended = append(q.ended, ramResult{op: op, err: unio.ErrCanceled})
	}
	q.mu.Unlock()
	signal(q.wake)
}

// Sleep implements unio.Queue.
func (q *ramQueue) Sleep() {
	if h := q.disk.hooks.sleep; h != nil {
		h(q)
		return
	}
	<-q.wake
}

// Wake implements unio.Queue.
func (q *ramQueue) Wake() { signal(q.wake) }

// Counters implements unio.Queue.
func (q *ramQueue) Counters() unio.Counters { return unio.Counters{} }

// Close implements unio.Queue.
func (q *ramQueue) Close() error {
	if h := q.disk.hooks.close; h != nil {
		h(q)
	}
	close(q.stop)
	<-q.stopped
	if n := len(q.pending) + len(q.ended); n > 0 {
		q.disk.tb.Errorf("the core closed a queue with %d operations in flight", n)
	}
	return nil
}

// signal leaves a token in ch unless there is one.
func signal(ch chan struct{}) {
	select {
	case ch <- struct{}{}:
	default:
	}
}

// serve is the disk at work.
func (q *ramQueue) serve() {
	defer close(q.stopped)
	for {
		select {
		case <-q.stop:
			return
		case <-q.work:
		}
		for op := q.pick(); op != nil; op = q.pick() {
			q.report(q.execute(op))
		}
	}
}

// pick takes an operation out of the queue after a random time, or returns nil.
func (q *ramQueue) pick() *unio.Op {
	q.mu.Lock()
	dice := q.rng.Uint32()
	q.mu.Unlock()
	dawdle(dice)
	q.mu.Lock()
	defer q.mu.Unlock()
	n := len(q.pending)
	if n == 0 {
		return nil
	}
	i := q.rng.IntN(n)
	op := q.pending[i]
	q.pending[i] = q.pending[n-1]
	q.pending = q.pending[:n-1]
	q.running++
	return op
}

// dawdle takes no time, a few turns of the scheduler, or some microseconds.
func dawdle(dice uint32) {
	switch dice % 64 {
	case 0:
		time.Sleep(time.Duration(dice>>8%20) * time.Microsecond)
	case 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12:
		for range dice >> 8 % 8 {
			runtime.Gosched()
		}
	}
}

// report makes a result reapable.
func (q *ramQueue) report(res ramResult) {
	if h := q.disk.hooks.report; h != nil {
		h(q, res)
		return
	}
	q.end(res)
}

func (q *ramQueue) end(res ramResult) {
	q.mu.Lock()
	q.running--
	q.ended = append(q.ended, res)
	q.mu.Unlock()
	signal(q.wake)
}
