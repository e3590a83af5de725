package file

import (
	"runtime"
	"sync/atomic"

	"github.com/unio-stack/unio"
	"github.com/unio-stack/unio/internal/eventfd"
)

// polled is what a queue has beside a ring that polls the device (IOPOLL). Such
// a ring takes reads and writes only; flushes and the like go to workers. And
// unless a kernel thread does the polling, nothing tells of completions: they
// are there when somebody enters the kernel to look. A nil polled is of a ring
// that is not.
type polled struct {
	side  *posixQueue // carries out what the ring cannot
	rest  []*unio.Op  // of Submit, for side; owner's
	alone bool        // nobody but the owner looks for completions

	inRing atomic.Int32 // operations that the ring holds; stored by the owner
	asleep atomic.Bool
	busy   func() bool // of sleep, made once
}

// newPolled makes what q needs beside its ring. p may be nil for a trial, which
// only reads.
func newPolled(q *ringQueue, p *pool, qc unio.QueueConfig) *polled {
	d := &polled{alone: !q.sqpoll}
	d.busy = func() bool { return d.inRing.Load() > 0 }
	if p != nil {
		d.side = p.newQueue(qc)
		d.side.notify = q.event.Raise
		d.rest = make([]*unio.Op, 0, qc.Depth)
	}
	return d
}

// polls reports whether nothing tells of the ring's completions.
func (q *ringQueue) polls() bool { return q.polled != nil && q.polled.alone }

// takes reports whether it has taken op, which the ring cannot carry out.
func (d *polled) takes(op *unio.Op) bool {
	if d == nil || op.Op == unio.OpRead || op.Op == unio.OpWrite {
		return false
	}
	d.rest = append(d.rest, op)
	return true
}

// start begins what was taken, and has a sleeper look at what the ring got.
func (d *polled) start(q *ringQueue) {
	if d == nil {
		return
	}
	if len(d.rest) > 0 {
		d.side.Submit(d.rest)
		d.rest = d.rest[:0]
	}
	if d.asleep.Load() && d.busy() {
		q.event.Raise()
	}
}

// count notes that the ring holds n more operations.
func (d *polled) count(n int32) {
	if d != nil {
		d.inRing.Add(n)
	}
}

// reap ends what the workers have done, and reports whether that is all: to
// look into an empty ring would cost a system call.
func (d *polled) reap() bool {
	if d == nil {
		return false
	}
	if d.side != nil {
		d.side.Reap()
	}
	return d.alone && !d.busy()
}

// cancel takes back what no worker has begun. The device is not asked to give
// up reads and writes: it is polled because they are short.
func (d *polled) cancel(op *unio.Op) {
	if op.Op != unio.OpRead && op.Op != unio.OpWrite {
		d.side.Cancel(op)
	}
}

// sleep returns at once while the ring holds operations: what polls, polls.
func (d *polled) sleep(e *eventfd.Event) {
	if d.busy() {
		runtime.Gosched()
		return
	}
	d.asleep.Store(true)
	e.Sleep(d.busy)
	d.asleep.Store(false)
}

// calls returns how many system calls the workers have made.
func (d *polled) calls() int64 {
	if d == nil || d.side == nil {
		return 0
	}
	return d.side.Counters().Syscalls
}
