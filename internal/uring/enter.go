//go:build linux

package uring

import (
	"runtime"
	"sync/atomic"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Stats counts what a ring has done. Its fields only grow.
type Stats struct {
	Enters  uint64 // io_uring_enter system calls, whatever for
	Wakeups uint64 // of those, to wake the SQPoll thread
	Flushes uint64 // of those, to fetch completions without waiting
	Waits   uint64 // of those, to wait for completions
}

// Stats returns the ring's counters. For the owner.
func (r *Ring) Stats() Stats { return r.stats }

// SQReady is the number of prepared entries that the kernel has not taken yet.
func (r *Ring) SQReady() uint32 { return r.sqTail - atomic.LoadUint32(r.sq.head) }

// SQSpace is the number of entries that Next can still give.
func (r *Ring) SQSpace() uint32 { return r.sq.entries - r.SQReady() }

// SQEntries is the size of the submission queue.
func (r *Ring) SQEntries() uint32 { return r.sq.entries }

// CQEntries is the size of the completion queue.
func (r *Ring) CQEntries() uint32 { return r.cq.entries }

// Err is the fault that ended the ring's use, or nil: ErrClosed, or an *Error after which completions were
// lost (EBADR: the kernel had no memory to keep one). Submit returns it too.
func (r *Ring) Err() error { return r.fault }

// submitPolled publishes to the SQPoll thread. The store to the tail and the load of the flags are both
// sequentially consistent, so either the thread sees the tail or we see that it sleeps.
func (r *Ring) submitPolled() (int, error) {
	n := int(r.sqTail - r.sqPublished)
	r.sqPublished = r.sqTail
	if atomic.LoadUint32(r.sq.flags)&sqNeedWakeup == 0 || r.SQReady() == 0 {
		return n, nil
	}
	r.stats.Wakeups++
	for {
		_, errno := r.enter(0, 0, enterSQWakeup)
		switch errno {
		case 0:
			return n, nil
		case unix.EINTR:
		default:
			return n, enterError(errno)
		}
	}
}

// WaitSQ blocks until the SQPoll thread has made room in the submission queue. On other rings there is
// nothing to wait for: Submit makes room.
func (r *Ring) WaitSQ() error {
	if r.fault != nil || !r.sqpoll {
		return r.fault
	}
	for r.SQSpace() == 0 {
		if _, err := r.Submit(); err != nil { // the thread may sleep
			return err
		}
		_, errno := r.enterBlocking(0, 0, enterSQWait, nil, 0)
		if errno != 0 && errno != unix.EINTR {
			return enterError(errno)
		}
	}
	return nil
}

// stalled decides about a submission that took nothing: try again (nil) or give up. The kernel refuses when it is short of
// memory (EAGAIN) or, before Linux 5.19, when completions have overflowed (EBUSY): fetching completions may help, once.
func (r *Ring) stalled(errno unix.Errno, stalls *int) error {
	switch errno {
	case unix.EINTR:
		return nil
	case 0, unix.EAGAIN, unix.EBUSY:
		if *stalls++; *stalls > 1 {
			return ErrBackpressure
		}
		return r.GetEvents()
	default:
		return enterError(errno)
	}
}

// GetEvents enters the kernel, without waiting, to move completions into the mapped queue: those that overflowed,
// those whose finishing was deferred (DeferTaskrun), and on an IOPoll ring those the device has finished.
// Reap calls it when needed. A full completion queue is no error: reap, and the rest follows.
func (r *Ring) GetEvents() error {
	if r.fault != nil {
		return r.fault
	}
	r.stats.Flushes++
	var errno unix.Errno
	if r.hybrid { // sleeps for part of the device's latency
		_, errno = r.enterBlocking(0, 0, enterGetEvents, nil, 0)
	} else {
		_, errno = r.enter(0, 0, enterGetEvents)
	}
	return r.waitError(errno)
}

// SubmitAndWait submits as Submit does and, in the same system call, waits until minComplete completions are in the mapped
// queue or timeout has passed; a negative timeout waits without end. It returns early on a signal, which Go's own preemption
// sends too, and when the kernel did not take everything at once, so the caller looks at CQReady and comes again.
// Passing of the timeout is no error.
//
// It blocks the thread and tells the scheduler so. Timeouts need [FeatureExtArg].
func (r *Ring) SubmitAndWait(minComplete uint32, timeout time.Duration) (int, error) {
	if r.fault != nil {
		return 0, r.fault
	}
	atomic.StoreUint32(r.sq.tail, r.sqTail)
	submit, flags := r.SQReady(), uint32(enterGetEvents)
	if r.sqpoll {
		n, err := r.submitPolled()
		if err != nil {
			return n, err
		}
		_, errno := r.enterWait(0, minComplete, flags, timeout)
		return n, r.waitError(errno)
	}
	n, errno := r.enterWait(submit, minComplete, flags, timeout)
	if err := r.waitError(errno); err != nil {
		return 0, err
	}
	if errno != 0 {
		n = 0
	}
	if n < int(submit) && errno != unix.EINTR { // the kernel does not wait after a partial submission
		more, err := r.Submit()
		return n + more, err
	}
	return n, nil
}

// enterWait is io_uring_enter with a timeout, relative and on the monotonic clock.
func (r *Ring) enterWait(submit, minComplete, flags uint32, timeout time.Duration) (int, unix.Errno) {
	r.stats.Waits++
	if timeout < 0 {
		return r.enterBlocking(submit, minComplete, flags, nil, 0)
	}
	r.waitTime = kernelTimespec{int64(timeout / time.Second), int64(timeout % time.Second)}
	r.waitArg.ts = uint64(uintptr(unsafe.Pointer(&r.waitTime)))
	n, errno := r.enterBlocking(submit, minComplete, flags|enterExtArg,
		unsafe.Pointer(&r.waitArg), unsafe.Sizeof(r.waitArg))
	runtime.KeepAlive(r)
	return n, errno
}

// enterBlocking is io_uring_enter for calls that may sleep.
func (r *Ring) enterBlocking(submit, minComplete, flags uint32, arg unsafe.Pointer, size uintptr) (int, unix.Errno) {
	r.stats.Enters++
	n, _, errno := unix.Syscall6(unix.SYS_IO_URING_ENTER, uintptr(r.enterFD),
		uintptr(submit), uintptr(minComplete), uintptr(flags|r.enterFlags), uintptr(arg), size)
	return int(n), errno
}

// waitError sorts what a wait or fetch returned: only what the caller must act on is an error.
func (r *Ring) waitError(errno unix.Errno) error {
	switch errno {
	case 0, unix.ETIME, unix.EINTR, unix.EAGAIN, unix.EBUSY:
		return nil
	}
	err := enterError(errno)
	if errno == unix.EBADR {
		r.fault = err
	}
	return err
}

// noteFault keeps an error of a fetch that Reap made, for Submit and Err to tell.
func (r *Ring) noteFault(err error) {
	if err != nil && r.fault == nil {
		r.fault = err
	}
}
