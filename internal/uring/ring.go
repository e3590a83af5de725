//go:build linux

package uring

import (
	"sync/atomic"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Next gives the next free submission entry, zeroed, or nil when the submission queue is full: Submit
// makes room. The entry is the caller's to fill until Submit.
func (r *Ring) Next() *SQE {
	if r.sqTail-atomic.LoadUint32(r.sq.head) >= r.sq.entries {
		return nil
	}
	sqe := (*SQE)(unsafe.Add(r.sqes, uintptr(r.sqTail&r.sq.mask)*sqeSize))
	r.sqTail++
	*sqe = SQE{}
	return sqe
}

// Submit hands every prepared entry to the kernel with one system call (with SQPoll none, while the kernel thread is
// awake) and returns how many the kernel took now. Entries not taken stay queued, in order, for the next
// Submit; SQReady counts them.
//
// Errors: [ErrBackpressure] when the kernel takes no more until completions are reaped; [ErrClosed]; an *[Error] otherwise.
// Errors of single requests come as their completions.
func (r *Ring) Submit() (int, error) {
	if r.fault != nil {
		return 0, r.fault
	}
	atomic.StoreUint32(r.sq.tail, r.sqTail)
	if r.sqpoll {
		return r.submitPolled()
	}
	taken, stalls := 0, 0
	for pending := r.SQReady(); pending > 0; pending = r.SQReady() {
		n, errno := r.enter(pending, 0, 0)
		if errno == 0 && n > 0 {
			taken, stalls = taken+n, 0
			continue
		}
		if err := r.stalled(errno, &stalls); err != nil {
			return taken, err
		}
	}
	return taken, nil
}

// Reap copies up to len(into) completions and frees their places in the queue. It makes no system call
// while completions are in the mapped queue. When none is, it enters the kernel, without blocking, if
// the ring's flags or mode say that this may bring some (overflow, deferred work, IOPoll).
func (r *Ring) Reap(into []CQE) int {
	n := r.CQReady()
	if n == 0 {
		if !r.enterBrings() {
			return 0
		}
		r.noteFault(r.GetEvents())
		n = r.CQReady()
	}
	n = min(n, uint32(len(into)))
	first := r.cqHead & r.cq.mask
	run := min(n, r.cq.mask+1-first)
	copy(into, r.cqes[first:first+run])
	copy(into[run:], r.cqes[:n-run])
	r.cqHead += n
	atomic.StoreUint32(r.cq.head, r.cqHead)
	return int(n)
}

// CQReady is the number of completions in the mapped queue. From any goroutine.
func (r *Ring) CQReady() uint32 { return atomic.LoadUint32(r.cq.tail) - atomic.LoadUint32(r.cq.head) }

// Pending tells whether Reap would find completions, now or by entering the kernel. It is what to ask
// between SetEventfdEnabled(true) and sleeping on the eventfd. On an IOPoll ring, which finds completions
// only by entering, it tells of what was found already.
func (r *Ring) Pending() bool {
	return r.CQReady() > 0 || atomic.LoadUint32(r.sq.flags)&(sqCQOverflow|sqTaskrun) != 0
}

// enterBrings tells whether entering the kernel may bring completions that the mapped queue does not show.
func (r *Ring) enterBrings() bool {
	return r.syscallPolls || atomic.LoadUint32(r.sq.flags)&(sqCQOverflow|sqTaskrun) != 0
}

// enter is io_uring_enter without waiting. The raw system call keeps the Go scheduler out of it, which
// is right for a call that does not block.
func (r *Ring) enter(submit, minComplete, flags uint32) (int, unix.Errno) {
	r.stats.Enters++
	n, _, errno := unix.RawSyscall6(unix.SYS_IO_URING_ENTER, uintptr(r.enterFD),
		uintptr(submit), uintptr(minComplete), uintptr(flags|r.enterFlags), 0, 0)
	return int(n), errno
}
