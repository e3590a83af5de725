package mem

import (
	"github.com/unio-stack/unio"
	"github.com/unio-stack/unio/internal/memory"
)

// queue carries out the operations of one channel, all inside Submit.
type queue struct {
	d *device // immutable
	// wake holds a token while a Wake has not been seen by Sleep.
	wake chan struct{}

	next int   // the operation of the batch that is under way; owned by Submit
	done int64 // bytes of it that are certainly done; owned by Submit

	counts unio.Counters // under the mutual exclusion of Submit and Counters
}

func newQueue(d *device) *queue { return &queue{d: d, wake: make(chan struct{}, 1)} }

// Submit implements unio.Queue. One guard covers all operations up to the one
// that faults; after that one, another covers the rest.
func (q *queue) Submit(ops []*unio.Op) {
	q.counts.Inline += int64(len(ops))
	for q.next = 0; q.next < len(ops); q.next++ {
		if fault := memory.Guard(func() { q.run(ops) }); fault != nil {
			q.fail(ops[q.next], fault)
		}
	}
}

// run carries out the operations from q.next on.
func (q *queue) run(ops []*unio.Op) {
	for ; q.next < len(ops); q.next++ {
		q.done = 0
		q.execute(ops[q.next])
	}
}

// Reap implements unio.Queue: nothing is in flight.
func (q *queue) Reap() {}

// Cancel implements unio.Queue: nothing is in flight.
func (q *queue) Cancel(*unio.Op) {}

// Sleep implements unio.Queue.
func (q *queue) Sleep() { <-q.wake }

// Wake implements unio.Queue.
func (q *queue) Wake() {
	select {
	case q.wake <- struct{}{}:
	default:
	}
}

// Counters implements unio.Queue. System calls are those of Flush, Durable and
// Discard; those that fetch pages are not counted.
func (q *queue) Counters() unio.Counters {
	return q.counts
}

// Close implements unio.Queue.
func (q *queue) Close() error { return nil }
