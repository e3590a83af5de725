package file

import (
	"unsafe"

	"github.com/unio-stack/unio"
	"golang.org/x/sys/unix"
)

const (
	punchHole = unix.FALLOC_FL_PUNCH_HOLE | unix.FALLOC_FL_KEEP_SIZE
	zeroFill  = unix.FALLOC_FL_ZERO_RANGE | unix.FALLOC_FL_KEEP_SIZE
)

// A worker's own memory, kept from one operation to the next.
type worker struct{ iov []unix.Iovec }

// perform carries out one operation by a blocking system call.
func (m *medium) perform(w *worker, op *unio.Op) (n int64, err error) {
	for {
		n, err = m.call(w, op)
		if err != unix.EINTR {
			break
		}
	}
	return m.outcome(op, n, err)
}

// outcome turns what the kernel answered into what the core expects.
func (m *medium) outcome(op *unio.Op, n int64, err error) (int64, error) {
	switch {
	case op.Op == unio.OpFlush:
		if err != nil {
			return 0, m.fail(causeOf(err))
		}
		return 0, m.flushed()
	case err != nil:
		return 0, m.failed(op, causeOf(err))
	case op.Op == unio.OpRead && n < op.Size() && (n == 0 || m.endsBy(op.Offset+n)):
		return n, m.errShort(op)
	case op.Op == unio.OpDiscard, op.Op == unio.OpWriteZeroes:
		return op.Size(), nil
	case op.Flags&unio.Durable != 0:
		return n, m.flushed()
	}
	return n, nil
}

// call makes the system call, and tells the scheduler that it may block.
func (m *medium) call(w *worker, op *unio.Op) (int64, error) {
	switch op.Op {
	case unio.OpRead:
		return m.transfer(w, op, unix.SYS_PREADV2, 0)
	case unio.OpWrite:
		return m.transfer(w, op, unix.SYS_PWRITEV2, rwFlags(op))
	case unio.OpFlush:
		return 0, unix.Fdatasync(m.fd)
	case unio.OpDiscard:
		return 0, unix.Fallocate(m.fd, punchHole, op.Offset, op.Length)
	case unio.OpWriteZeroes:
		return 0, unix.Fallocate(m.fd, zeroFill, op.Offset, op.Length)
	}
	return 0, unix.EOPNOTSUPP
}

// transfer reads or writes by preadv2(2) or pwritev2(2).
func (m *medium) transfer(w *worker, op *unio.Op, call uintptr, flags int) (int64, error) {
	if op.Vec == nil {
		one := [1][]byte{op.Data}
		w.iov = iovecs(w.iov[:0], one[:])
	} else {
		w.iov = iovecs(w.iov[:0], op.Vec)
	}
	n, _, errno := unix.Syscall6(call, uintptr(m.fd), uintptr(unsafe.Pointer(&w.iov[0])), uintptr(len(w.iov)),
		uintptr(op.Offset), 0, uintptr(flags))
	clear(w.iov) // keeps nobody's memory alive
	if errno != 0 {
		return 0, errno
	}
	return int64(n), nil
}

// rwFlags returns the RWF flags of an operation.
func rwFlags(op *unio.Op) int {
	if op.Flags&unio.Durable != 0 {
		return unix.RWF_DSYNC
	}
	return 0
}

// iovecs appends the pieces of vec to iov.
func iovecs(iov []unix.Iovec, vec [][]byte) []unix.Iovec {
	for _, p := range vec {
		v := unix.Iovec{Base: unsafe.SliceData(p)}
		v.SetLen(len(p))
		iov = append(iov, v)
	}
	return iov
}
