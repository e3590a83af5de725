package file

import (
	"errors"
	"sync/atomic"
	"unsafe"

	"github.com/unio-stack/unio"
	"github.com/unio-stack/unio/internal/eventfd"
	"github.com/unio-stack/unio/internal/uring"
	"golang.org/x/sys/unix"
)

// ringQueue is a channel's queue on a ring of its own.
type ringQueue struct {
	m       *medium
	ring    *uring.Ring
	inline  inliner
	buffers bufferTable
	ops     []*unio.Op     // in the ring, by tag
	entered []uint64       // user data of entries not submitted yet, in order
	stopped []bool         // by tag: the operation was cancelled
	flags   uint8          // of entries that are operations; immutable
	iovs    [][]unix.Iovec // of vectored operations, by tag; nil until one comes
	cqes    [64]uring.CQE
	fault   error // that the ring cannot be used any more
	// stuck: entries wait because the kernel takes none for now.
	stuck atomic.Bool

	event   *eventfd.Event
	pending func() bool // of Sleep, made once
	sqpoll  bool        // a kernel thread takes entries
	pinned  bool        // to one thread, which sleeps in the ring
	woken   bool        // pinned: Wake was called since Sleep last returned; owner's
	// enters are the system calls of a pinned ring as of the last Submit or
	// Reap: while its owner sleeps in it, others may ask.
	enters atomic.Int64

	// polled is set if the ring polls the device.
	polled *polled
}

// User data of entries that are not operations.
const (
	tagCancel = 1<<32 + iota
	tagWake
)

// newRingQueue makes a queue whose ring is as cfg says. What a polled ring
// cannot do goes to workers of p.
func newRingQueue(m *medium, p *pool, cfg uring.Config, qc unio.QueueConfig) (*ringQueue, error) {
	// Cancellations and the wake-up of a pinned ring need no entries of their
	// own: submitting what is there makes room for them.
	cfg.Entries = uint32(qc.Depth)
	if qc.Pinned && !cfg.SQPoll {
		cfg.SingleIssuer, cfg.DeferTaskrun = true, !cfg.IOPoll
	}
	ring, err := uring.New(cfg)
	if err != nil {
		return nil, err
	}
	event, err := eventfd.New()
	if err != nil {
		_ = ring.Close()
		return nil, err
	}
	q := &ringQueue{
		m: m, ring: ring, event: event, inline: newInliner(m),
		sqpoll: cfg.SQPoll, pinned: cfg.DeferTaskrun,
		ops:     make([]*unio.Op, qc.Depth),
		iovs:    make([][]unix.Iovec, qc.Depth),
		stopped: make([]bool, qc.Depth),
		entered: make([]uint64, 0, ring.SQEntries()),
	}
	if q.flags = uring.SQEFixedFile; m.blocks {
		q.flags |= uring.SQEAsync
	}
	if cfg.IOPoll {
		q.polled = newPolled(q, p, qc)
	}
	if err := q.register(); err != nil {
		_ = q.Close()
		return nil, err
	}
	return q, nil
}

// register gives the ring its file, its event and a table for Buffers.
func (q *ringQueue) register() error {
	if err := q.ring.RegisterFiles(1); err != nil {
		return err
	}
	if err := q.ring.UpdateFile(0, q.m.fd); err != nil {
		return err
	}
	q.buffers.init(q.ring, len(q.ops))
	switch {
	case q.pinned:
		q.armWake()
		return nil
	case q.polls():
		return nil
	}
	q.pending = func() bool { return q.stuck.Load() || q.ring.Pending() }
	if err := q.ring.RegisterEventfd(q.event.FD()); err != nil {
		return err
	}
	q.ring.SetEventfdEnabled(false)
	return nil
}

// Submit implements unio.Queue.
func (q *ringQueue) Submit(ops []*unio.Op) {
	q.inline.begin()
	for _, op := range ops {
		if !q.inline.try(op) && !q.polled.takes(op) {
			q.push(op)
		}
	}
	q.inline.end()
	q.flush()
	q.polled.start(q)
	q.tally()
}

// push prepares the entry of one operation.
func (q *ringQueue) push(op *unio.Op) {
	sqe := q.entry()
	if sqe == nil {
		op.Complete(0, q.refusal())
		return
	}
	q.ops[op.Tag()] = op
	q.stopped[op.Tag()] = false
	q.polled.count(1)
	switch op.Op {
	case unio.OpRead, unio.OpWrite:
		q.transfer(sqe, op)
	case unio.OpFlush:
		sqe.Fsync(0, true)
	case unio.OpDiscard:
		sqe.Fallocate(0, punchHole, op.Offset, op.Length)
	case unio.OpWriteZeroes:
		sqe.Fallocate(0, zeroFill, op.Offset, op.Length)
	}
	sqe.SetFlags(q.flags)
	sqe.SetUserData(uint64(op.Tag()))
	q.entered = append(q.entered, uint64(op.Tag()))
}

// entry returns a free entry, or nil if the ring is of no use any more or the
// kernel takes none for now. The queue has room for every operation of the
// channel; cancellations may have to be submitted first, and with a kernel
// thread, be taken by it.
func (q *ringQueue) entry() *uring.SQE {
	if q.fault != nil {
		return nil
	}
	if sqe := q.ring.Next(); sqe != nil {
		return sqe
	}
	q.flush()
	if q.sqpoll && q.fault == nil {
		if err := q.ring.WaitSQ(); err != nil {
			q.abandon(causeOf(err))
			return nil
		}
	}
	return q.ring.Next()
}

func (q *ringQueue) refusal() error {
	if q.fault != nil {
		return q.fault
	}
	return unio.ErrBusy
}

// transfer prepares a read or a write.
func (q *ringQueue) transfer(sqe *uring.SQE, op *unio.Op) {
	if op.Vec != nil {
		q.vectored(sqe, op)
	} else {
		p, n := unsafe.Pointer(unsafe.SliceData(op.Data)), uint32(len(op.Data))
		slot, registered := q.buffers.use(op.Tag(), p, len(op.Data))
		switch {
		case registered && op.Op == unio.OpRead:
			sqe.ReadFixed(0, p, n, op.Offset, slot)
		case registered:
			sqe.WriteFixed(0, p, n, op.Offset, slot)
		case op.Op == unio.OpRead:
			sqe.Read(0, p, n, op.Offset)
		default:
			sqe.Write(0, p, n, op.Offset)
		}
	}
	if op.Flags&unio.Durable != 0 {
		sqe.SetRWFlags(unix.RWF_DSYNC)
	}
}

func (q *ringQueue) vectored(sqe *uring.SQE, op *unio.Op) {
	iov := iovecs(q.iovs[op.Tag()][:0], op.Vec)
	q.iovs[op.Tag()] = iov
	if op.Op == unio.OpRead {
		sqe.Readv(0, &iov[0], uint32(len(iov)), op.Offset)
	} else {
		sqe.Writev(0, &iov[0], uint32(len(iov)), op.Offset)
	}
}

// flush rings the doorbell, if there is anything to submit.
func (q *ringQueue) flush() {
	if len(q.entered) == 0 || q.fault != nil {
		return
	}
	n, err := q.ring.Submit()
	if err == nil {
		q.entered = q.entered[:0]
		q.stuck.Store(false)
		return
	}
	q.entered = append(q.entered[:0], q.entered[min(n, len(q.entered)):]...)
	if errors.Is(err, uring.ErrBackpressure) {
		q.stuck.Store(true)
		return
	}
	q.abandon(causeOf(err))
}

// abandon fails the operations that a broken ring never took; it is not entered
// again. Those it took still complete.
func (q *ringQueue) abandon(err error) {
	q.fault = err
	for _, tag := range q.entered {
		if tag < uint64(len(q.ops)) {
			q.buffers.done(int(tag))
			q.polled.count(-1)
			q.ops[tag].Complete(0, err)
		}
	}
	q.entered = q.entered[:0]
}

// Reap implements unio.Queue.
func (q *ringQueue) Reap() {
	q.flush() // what was stuck
	if q.polled.reap() {
		return
	}
	for {
		n := q.ring.Reap(q.cqes[:])
		for i := range n {
			q.finish(&q.cqes[i])
		}
		if n < len(q.cqes) {
			break
		}
	}
	q.flush() // what is to be tried again
	q.tally()
}

// finish ends the operation a completion is for.
func (q *ringQueue) finish(cqe *uring.CQE) {
	switch cqe.UserData {
	case tagCancel:
		return
	case tagWake:
		q.woken = true
		q.armWake()
		return
	}
	op := q.ops[cqe.UserData]
	q.buffers.done(op.Tag())
	q.polled.count(-1)
	n, err := int64(cqe.Res), error(nil)
	if cqe.Res < 0 {
		errno := unix.Errno(-cqe.Res)
		if interrupted(errno) {
			if !q.stopped[op.Tag()] {
				q.push(op)
				return
			}
			errno = unix.ECANCELED
		}
		n, err = 0, errno
	}
	op.Complete(q.m.outcome(op, n, err))
}

// interrupted reports whether an operation ended undone and may be tried again.
// The kernel cancels by itself what the workers of a thread have not begun when
// the thread exits.
func interrupted(e unix.Errno) bool {
	return e == unix.EAGAIN || e == unix.EINTR || e == unix.ECANCELED
}

// Cancel implements unio.Queue. The kernel stops what a worker has not begun;
// what the medium has begun runs to its end.
func (q *ringQueue) Cancel(op *unio.Op) {
	if q.polled != nil {
		q.polled.cancel(op)
		return
	}
	if q.stuck.Load() { // what waits for the kernel needs the entries
		return
	}
	q.stopped[op.Tag()] = true
	if sqe := q.entry(); sqe != nil {
		sqe.AsyncCancel(uint64(op.Tag()), 0)
		sqe.SetUserData(tagCancel)
		q.entered = append(q.entered, tagCancel)
		q.flush()
	}
}

// Counters implements unio.Queue.
func (q *ringQueue) Counters() unio.Counters {
	enters := q.enters.Load()
	if !q.pinned {
		enters = int64(q.ring.Stats().Enters)
	}
	return unio.Counters{
		Syscalls: enters + q.inline.calls + q.polled.calls(),
		Inline:   q.inline.done,
	}
}

// tally notes how often a pinned ring was entered.
func (q *ringQueue) tally() {
	if !q.pinned {
		return
	}
	if n := int64(q.ring.Stats().Enters); n != q.enters.Load() {
		q.enters.Store(n)
	}
}

// Close implements unio.Queue.
func (q *ringQueue) Close() error {
	q.buffers.close()
	// The kernel takes a closed ring down in the background; meanwhile nobody
	// could unmount what the file is on. (A pinned ring refuses other threads.)
	_ = q.ring.UnregisterFiles()
	err := q.ring.Close()
	if e := q.event.Close(); err == nil {
		err = e
	}
	return err
}
