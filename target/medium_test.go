package target

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/unio-stack/unio"
)

// A medium is a device that does nothing, successfully, when the test lets it, and counts what it was asked for.
type medium struct {
	size int64
	// blocks makes Submit wait, as a mapped file's may.
	blocks bool
	name   string

	mu       sync.Mutex
	held     unio.OpSet // these do not end; guarded by mu
	queues   map[*mediumQueue]struct{}
	counts   [16]int // by operation; guarded by mu
	inFlight atomic.Int64
	stubborn bool // nothing can be cancelled; immutable
	gate     chan struct{}
}

func (m *medium) open(t testing.TB) *unio.Device {
	t.Helper()
	m.queues = map[*mediumQueue]struct{}{}
	if m.size == 0 {
		m.size = 1 << 30
	}
	if m.name == "" {
		m.name = "medium"
	}
	return closing(t, unio.NewDevice(m))
}

// hold lets operations of the set not end any more, and those that are not in it end.
func (m *medium) hold(ops unio.OpSet) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.held = ops
	for q := range m.queues {
		q.Wake()
	}
}

func (m *medium) holds(op unio.Opcode) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.held.Has(op)
}

func (m *medium) count(op unio.Opcode) int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.counts[op]
}

func (m *medium) Info() unio.Info {
	return unio.Info{Provider: m.name, Name: m.name, Native: unio.AllOps, Persistence: unio.Power}
}

func (m *medium) Attach(context.Context, string, unio.Rights) (unio.Handle, error) { return m, nil }
func (m *medium) Size() int64                                                      { return m.size }
func (m *medium) Close() error                                                     { return nil }

func (m *medium) NewQueue(unio.QueueConfig) (unio.Queue, error) {
	q := &mediumQueue{m: m, wake: make(chan struct{}, 1)}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.queues[q] = struct{}{}
	return q, nil
}

type mediumQueue struct {
	m    *medium
	ops  []*unio.Op
	wake chan struct{}
}

func (q *mediumQueue) Submit(ops []*unio.Op) {
	if q.m.blocks {
		<-q.m.gate
	}
	q.m.mu.Lock()
	for _, op := range ops {
		q.m.counts[op.Op]++
	}
	q.m.mu.Unlock()
	q.m.inFlight.Add(int64(len(ops)))
	q.ops = append(q.ops, ops...)
	q.Reap()
}

func (q *mediumQueue) Reap() {
	kept := q.ops[:0]
	for _, op := range q.ops {
		if q.m.holds(op.Op) {
			kept = append(kept, op)
			continue
		}
		q.m.inFlight.Add(-1)
		if op.Op == unio.OpCompareSwap || op.Op == unio.OpFetchAdd {
			op.CompleteWord(0)
		} else {
			op.Complete(op.Size(), nil)
		}
	}
	q.ops = kept
}

func (q *mediumQueue) Cancel(op *unio.Op) {
	if q.m.stubborn {
		return
	}
	for i, o := range q.ops {
		if o == op {
			q.ops = append(q.ops[:i], q.ops[i+1:]...)
			q.m.inFlight.Add(-1)
			op.Complete(0, unio.ErrCanceled)
			return
		}
	}
}

func (q *mediumQueue) Sleep() { <-q.wake }

func (q *mediumQueue) Wake() {
	select {
	case q.wake <- struct{}{}:
	default:
	}
}

func (q *mediumQueue) Counters() unio.Counters { return unio.Counters{} }

func (q *mediumQueue) Close() error {
	q.m.mu.Lock()
	defer q.m.mu.Unlock()
	delete(q.m.queues, q)
	return nil
}
