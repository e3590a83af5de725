package crash

import (
	"sync"

	"github.com/unio-stack/unio"
)

// A queue is one of the queues that the controller runs.
type queue struct {
	c    *controller
	wake chan struct{} // ended is not empty, or Wake

	mu    sync.Mutex
	ended []*task // guarded by mu
}

func newQueue(c *controller) *queue { return &queue{c: c, wake: make(chan struct{}, 1)} }

// Submit implements unio.Queue.
func (q *queue) Submit(ops []*unio.Op) {
	q.c.mu.Lock()
	for _, op := range ops {
		q.c.submit(q, op)
	}
	q.c.start()
	q.c.mu.Unlock()
	q.c.ch.Wake() // the goroutine fetches what has ended already
}

// deliver makes the end of a task reapable.
func (q *queue) deliver(t *task) {
	q.mu.Lock()
	q.ended = append(q.ended, t)
	q.mu.Unlock()
	q.Wake()
}

// Reap implements unio.Queue.
func (q *queue) Reap() {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, t := range q.ended {
		if t.result.Err == nil && t.isAtomic() {
			t.op.CompleteWord(t.result.Value)
		} else {
			t.op.Complete(t.result.N, t.result.Err)
		}
	}
	clear(q.ended)
	q.ended = q.ended[:0]
}

// Cancel implements unio.Queue.
func (q *queue) Cancel(op *unio.Op) {
	q.c.mu.Lock()
	q.c.cancel(op)
	q.c.mu.Unlock()
	q.c.ch.Wake()
}

// Sleep implements unio.Queue.
func (q *queue) Sleep() { <-q.wake }

// Wake implements unio.Queue.
func (q *queue) Wake() {
	select {
	case q.wake <- struct{}{}:
	default:
	}
}

// Counters implements unio.Queue.
func (q *queue) Counters() unio.Counters { return unio.Counters{} }

// Close implements unio.Queue.
func (q *queue) Close() error { return nil }
