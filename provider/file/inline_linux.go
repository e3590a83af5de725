package file

import (
	"time"
	"unsafe"

	"github.com/unio-stack/unio"
	"github.com/unio-stack/unio/internal/memory"
	"golang.org/x/sys/unix"
)

// An inliner answers inside Post what needs no waiting: reads that the page
// cache holds, writes that it takes, anything on a file system in memory. A
// system call of its own costs less than a request that the engine hands to a
// worker, and no more than one that the ring completes at once; a file in
// memory is mapped, and costs a copy.
//
// What would wait goes to the engine. Reads of a disk's file ask the kernel not
// to wait (RWF_NOWAIT). Most file systems cannot say that of a write, so those
// are timed now and then, and left to the engine for a while when they stall.
type inliner struct {
	m     *medium
	kind  inlining
	reads gate
	// writes is also for the reads of files in memory, which swap may delay.
	writes gate
	batch  uint32 // number of this batch
	timed  int    // operations of this batch that may have stalled
	began  time.Time

	done  int64 // operations answered
	calls int64 // system calls made
}

type inlining uint8

const (
	inlineNothing inlining = iota // every transfer waits for the medium
	inlineCached                  // the page cache may answer
	inlineMemory                  // nothing waits, but for swap
)

const (
	// inlineMax bytes are copied at most inside Post at a time.
	inlineMax = 256 << 10
	// stall is what an operation that waits for nothing does not take on
	// average. (A write into a large folio of ext4 takes 60 µs of work.)
	stall = time.Millisecond
	// timedBatches: one batch in so many is timed.
	timedBatches = 16
)

func newInliner(m *medium) inliner {
	i := inliner{m: m}
	switch {
	case m.inMemory:
		i.kind = inlineMemory
	case !m.direct:
		i.kind = inlineCached
	}
	return i
}

// begin and end enclose a batch.
func (i *inliner) begin() {
	if i.kind == inlineNothing {
		return
	}
	i.timed = 0
	if i.batch++; i.batch%timedBatches == 0 {
		i.began = time.Now()
	}
}

func (i *inliner) end() {
	if i.timed == 0 || i.batch%timedBatches != 0 {
		return
	}
	if time.Since(i.began) > stall*time.Duration(i.timed) {
		i.writes.failed()
	} else {
		i.writes.worked()
	}
}

// try carries out op if it needs no waiting, and reports whether it did.
func (i *inliner) try(op *unio.Op) bool {
	if i.kind == inlineNothing || (op.Op != unio.OpRead && op.Op != unio.OpWrite) || op.Vec != nil || len(op.Data) > inlineMax {
		return false
	}
	if op.Op == unio.OpRead && i.kind == inlineCached {
		return i.reads.open() && i.readCached(op)
	}
	return i.copyMapped(op) || op.Flags&unio.Durable == 0 && i.writes.open() && i.transfer(op)
}

// copyMapped reads or writes the mapping of a file in memory. What faults (the
// file shrank, the file system is full) is left to a system call to explain.
func (i *inliner) copyMapped(op *unio.Op) bool {
	mapped := i.m.mapped.Load()
	if mapped == nil {
		return false
	}
	n, write := int64(len(op.Data)), op.Op == unio.OpWrite
	if op.Offset+n > mapped.Size() || mapped.Touch(op.Offset, n, write) != nil {
		return false
	}
	dst, src := op.Data, mapped.Bytes()[op.Offset:op.Offset+n]
	if write {
		dst, src = src, dst
	}
	if _, err := memory.CopyGuarded(dst, src); err != nil {
		return false
	}
	i.done++
	op.Complete(n, nil)
	return true
}

// readCached reads what the page cache holds. The call does not wait, so the
// scheduler need not know of it.
func (i *inliner) readCached(op *unio.Op) bool {
	iov := unix.Iovec{Base: unsafe.SliceData(op.Data)}
	iov.SetLen(len(op.Data))
	n, _, errno := unix.RawSyscall6(unix.SYS_PREADV2, uintptr(i.m.fd), uintptr(unsafe.Pointer(&iov)), 1,
		uintptr(op.Offset), 0, unix.RWF_NOWAIT)
	i.calls++
	if errno != 0 || int(n) < len(op.Data) {
		i.reads.failed()
		return false
	}
	i.reads.worked()
	i.done++
	op.Complete(int64(n), nil)
	return true
}

// transfer reads or writes at once.
func (i *inliner) transfer(op *unio.Op) bool {
	call := uintptr(unix.SYS_PREAD64)
	if op.Op == unio.OpWrite {
		call = unix.SYS_PWRITE64
	}
	i.timed++
	i.calls++
	n, _, errno := unix.Syscall6(call, uintptr(i.m.fd), uintptr(unsafe.Pointer(unsafe.SliceData(op.Data))), uintptr(len(op.Data)),
		uintptr(op.Offset), 0, 0)
	if errno == unix.EINTR {
		return false
	}
	i.done++
	var err error
	if errno != 0 {
		n, err = 0, errno
	}
	op.Complete(i.m.outcome(op, int64(n), err))
	return true
}

// A gate shuts for a while after failures: 8 attempts after the first, twice
// as many after each that follows, 1024 at most.
type gate struct{ shut, penalty uint32 }

func (g *gate) open() bool {
	if g.shut == 0 {
		return true
	}
	g.shut--
	return false
}

func (g *gate) worked() { g.penalty = 0 }

func (g *gate) failed() {
	g.penalty = min(max(2*g.penalty, 8), 1024)
	g.shut = g.penalty
}
