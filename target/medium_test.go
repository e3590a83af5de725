package target

import (
	"context"
	"encoding/binary"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/unio-stack/unio"
)

// A medium is a device that does nothing, successfully, when the test lets it, and counts what it was asked for.
type medium struct {
	// bytes, if there are any, are what is read and written.
	bytes []byte
	// fails, if it is not nil, says with what error an operation ends instead. Called with mu held.
	fails func(*unio.Op) error
	size  int64
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
	if m.size = max(m.size, int64(len(m.bytes))); m.size == 0 {
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
		q.m.carryOut(op)
	}
	q.ops = kept
}

// carryOut ends an operation.
func (m *medium) carryOut(op *unio.Op) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.fails != nil {
		if err := m.fails(op); err != nil {
			op.Complete(0, err)
			return
		}
	}
	if op.Op == unio.OpCompareSwap || op.Op == unio.OpFetchAdd {
		op.CompleteWord(m.word(op))
		return
	}
	if m.bytes != nil {
		m.transfer(op)
	}
	op.Complete(op.Size(), nil)
}

// word carries out an atomic, and returns the old value. mu is held.
func (m *medium) word(op *unio.Op) uint64 {
	if m.bytes == nil {
		return 0
	}
	p := m.bytes[op.Offset:][:8]
	old := binary.LittleEndian.Uint64(p)
	switch {
	case op.Op == unio.OpFetchAdd:
		binary.LittleEndian.PutUint64(p, old+op.Swap)
	case old == op.Compare:
		binary.LittleEndian.PutUint64(p, op.Swap)
	}
	return old
}

// transfer carries out what is about a range. mu is held.
func (m *medium) transfer(op *unio.Op) {
	p := m.bytes[op.Offset:][:op.Size()]
	pieces := op.Vec
	if pieces == nil {
		pieces = [][]byte{op.Data}
	}
	switch op.Op {
	case unio.OpRead:
		for _, d := range pieces {
			p = p[copy(d, p):]
		}
	case unio.OpWrite:
		for _, d := range pieces {
			p = p[copy(p, d):]
		}
	case unio.OpDiscard, unio.OpWriteZeroes:
		clear(p)
	}
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
