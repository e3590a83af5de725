//go:build linux

package uring

import (
	"encoding/binary"
	"unsafe"

	"golang.org/x/sys/unix"
)

// SQE is one submission queue entry (struct io_uring_sqe), in the memory that the kernel reads. It is the
// caller's from [Ring.Next] until the next Submit, and must not be touched after that.
//
// Each preparing method fills a zeroed entry; setters follow it. A descriptor is a file descriptor, or with
// SQEFixedFile a slot of the registered files. Lengths and offsets are bytes; offset -1 is the file's
// own position. Memory that an entry names stays alive and in place until its completion is reaped.
type SQE struct {
	opcode      uint8
	flags       uint8
	ioprio      uint16
	fd          int32
	off         uint64
	addr        uint64
	len         uint32
	opFlags     uint32
	userData    uint64
	bufIndex    uint16
	personality uint16
	fileIndex   uint32
	addr3       uint64
	pad         uint64
}

// AtPosition is the offset of a file's own position, for pipes and other streams.
const AtPosition = int64(-1)

func (e *SQE) prepare(op uint8, fd int, addr unsafe.Pointer, n uint32, off int64) {
	e.opcode = op
	e.fd = int32(fd)
	e.addr = uint64(uintptr(addr))
	e.len = n
	e.off = uint64(off)
}

// Nop completes with result 0 and does nothing.
func (e *SQE) Nop() { e.prepare(opNop, -1, nil, 0, 0) }

// Read reads n bytes at off into p.
func (e *SQE) Read(fd int, p unsafe.Pointer, n uint32, off int64) { e.prepare(opRead, fd, p, n, off) }

// Write writes the n bytes at p to off.
func (e *SQE) Write(fd int, p unsafe.Pointer, n uint32, off int64) { e.prepare(opWrite, fd, p, n, off) }

// Readv reads at off into the n ranges that start at iov.
func (e *SQE) Readv(fd int, iov *unix.Iovec, n uint32, off int64) {
	e.prepare(opReadv, fd, unsafe.Pointer(iov), n, off)
}

// Writev writes the n ranges that start at iov to off.
func (e *SQE) Writev(fd int, iov *unix.Iovec, n uint32, off int64) {
	e.prepare(opWritev, fd, unsafe.Pointer(iov), n, off)
}

// ReadFixed is Read into memory inside registered buffer buf.
func (e *SQE) ReadFixed(fd int, p unsafe.Pointer, n uint32, off int64, buf uint16) {
	e.prepare(opReadFixed, fd, p, n, off)
	e.bufIndex = buf
}

// WriteFixed is Write from memory inside registered buffer buf.
func (e *SQE) WriteFixed(fd int, p unsafe.Pointer, n uint32, off int64, buf uint16) {
	e.prepare(opWriteFixed, fd, p, n, off)
	e.bufIndex = buf
}

// ReadvFixed is Readv into ranges that all lie inside registered buffer buf. Needs [FeatureVectoredFixed].
func (e *SQE) ReadvFixed(fd int, iov *unix.Iovec, n uint32, off int64, buf uint16) {
	e.prepare(opReadvFixed, fd, unsafe.Pointer(iov), n, off)
	e.bufIndex = buf
}

// WritevFixed is Writev from ranges that all lie inside registered buffer buf. Needs [FeatureVectoredFixed].
func (e *SQE) WritevFixed(fd int, iov *unix.Iovec, n uint32, off int64, buf uint16) {
	e.prepare(opWritevFixed, fd, unsafe.Pointer(iov), n, off)
	e.bufIndex = buf
}

// Fsync makes durable what was written and completed before it was submitted: with dataOnly as fdatasync(2)
// does, otherwise as fsync(2). It runs on a worker.
func (e *SQE) Fsync(fd int, dataOnly bool) {
	e.prepare(opFsync, fd, nil, 0, 0)
	if dataOnly {
		e.opFlags = fsyncDatasync
	}
}

// FsyncRange is Fsync of the n bytes at off; n = 0 is to the end of the file.
func (e *SQE) FsyncRange(fd int, dataOnly bool, off int64, n uint32) {
	e.Fsync(fd, dataOnly)
	e.off = uint64(off)
	e.len = n
}

// Fallocate is fallocate(2): mode is a set of unix.FALLOC_FL_*. It runs on a worker.
func (e *SQE) Fallocate(fd int, mode uint32, off, n int64) {
	e.prepare(opFallocate, fd, nil, mode, off)
	e.addr = uint64(n)
}

// AsyncCancel cancels a request by its user data, or with flags (CancelAny, CancelAll) more of them. Its own result is 0
// or, with CancelAll, the number cancelled; -ENOENT when nothing matched; -EALREADY when it was too late to stop.
// The cancelled request still completes, with -ECANCELED or whatever it had come to.
func (e *SQE) AsyncCancel(userData uint64, flags uint32) {
	e.prepare(opAsyncCancel, -1, nil, 0, 0)
	e.addr = userData
	e.opFlags = flags
}

// PollAdd completes once when the descriptor has one of events (unix.POLL*), with the events it has.
func (e *SQE) PollAdd(fd int, events uint32) {
	e.prepare(opPollAdd, fd, nil, 0, 0)
	e.opFlags = pollWord(events)
}

// MsgRing posts a completion with the given result and user data to the ring whose descriptor is fd, which
// wakes whoever waits there. Needs [FeatureMsgRing].
func (e *SQE) MsgRing(fd int, res int32, userData uint64) {
	e.prepare(opMsgRing, fd, nil, uint32(res), int64(userData))
}

// SetUserData sets the value that the completion brings back.
func (e *SQE) SetUserData(v uint64) { e.userData = v }

// SetFlags sets the entry's flags, a set of SQE* constants.
func (e *SQE) SetFlags(f uint8) { e.flags = f }

// SetRWFlags sets the flags of a read or write, a set of unix.RWF_* as in preadv2(2).
func (e *SQE) SetRWFlags(f uint32) { e.opFlags = f }

// SetIOPrio sets the priority of a read or write as in ioprio_set(2): class << 13 | level. Zero is the thread's own.
func (e *SQE) SetIOPrio(p uint16) { e.ioprio = p }

// SetBufIndex sets the registered buffer of a fixed read or write.
func (e *SQE) SetBufIndex(i uint16) { e.bufIndex = i }

var bigEndian = binary.NativeEndian.Uint16([]byte{0, 1}) == 1

// pollWord gives poll32_events, whose halves are swapped on big-endian machines.
func pollWord(events uint32) uint32 {
	if bigEndian {
		return events<<16 | events>>16
	}
	return events
}

// CQE is one completion (struct io_uring_cqe).
type CQE struct {
	UserData uint64 // what SetUserData gave the submission
	Res      int32  // the result: bytes moved or another count, or a negated errno
	Flags    uint32 // a set of CQE* constants
}

// Err is the completion's errno, or nil when it succeeded.
func (c *CQE) Err() error {
	if c.Res >= 0 {
		return nil
	}
	return unix.Errno(-c.Res)
}
