//go:build linux

package uring

import (
	"runtime"
	"sync/atomic"
	"unsafe"

	"golang.org/x/sys/unix"
)

// mapQueues maps what io_uring_setup described in p and points the ring's queues into it.
func (r *Ring) mapQueues(p *params) error {
	const needed = featSingleMmap | featNoDrop
	if p.features&needed != needed {
		return &Error{Op: "io_uring_setup", Errno: unix.ENOSYS, Detail: "the kernel is older than Linux 5.6"}
	}
	var err error
	if r.ringMem, err = mapRing(r.fd, offSQRing, ringBytes(p)); err != nil {
		return err
	}
	if r.sqesMem, err = mapRing(r.fd, offSQEs, int(p.sqEntries)*sqeSize); err != nil {
		return err
	}
	base := unsafe.Pointer(unsafe.SliceData(r.ringMem))
	word := func(off uint32) *uint32 { return (*uint32)(unsafe.Add(base, off)) }
	r.sq = queue{
		head: word(p.sqOff.head), tail: word(p.sqOff.tail), flags: word(p.sqOff.flags),
		mask: *word(p.sqOff.ringMask), entries: *word(p.sqOff.ringEntries),
	}
	r.cq = queue{
		head: word(p.cqOff.head), tail: word(p.cqOff.tail), flags: word(p.cqOff.flags),
		mask: *word(p.cqOff.ringMask), entries: *word(p.cqOff.ringEntries),
	}
	r.sqes = unsafe.Pointer(unsafe.SliceData(r.sqesMem))
	r.cqes = unsafe.Slice((*CQE)(unsafe.Add(base, p.cqOff.cqes)), r.cq.entries)
	r.sqTail = atomic.LoadUint32(r.sq.tail)
	r.sqPublished = r.sqTail
	r.cqHead = atomic.LoadUint32(r.cq.head)
	if p.flags&setupNoSQArray == 0 {
		identity(unsafe.Slice(word(p.sqOff.array), r.sq.entries))
	}
	r.cqFlagsMapped = p.cqOff.flags != 0
	if !r.cqFlagsMapped { // Linux 5.7 and older: nowhere to write it, and nobody to read it
		r.cq.flags = new(uint32)
	}
	return nil
}

// ringBytes is the size of the mapping that holds both queues.
func ringBytes(p *params) int {
	sq := int(p.sqOff.array) + int(p.sqEntries)*4
	cq := int(p.cqOff.cqes) + int(p.cqEntries)*int(unsafe.Sizeof(CQE{}))
	return max(sq, cq)
}

func mapRing(fd int, off int64, size int) ([]byte, error) {
	mem, err := unix.Mmap(fd, off, size, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED|unix.MAP_POPULATE)
	if err != nil {
		return nil, newError("mmap of the ring", err)
	}
	return mem, nil
}

// identity makes the index array of older kernels invisible: entry i is always SQE i.
func identity(array []uint32) {
	for i := range array {
		array[i] = uint32(i)
	}
}

// Close unmaps the ring and closes its descriptor. It is idempotent. It does not wait for
// requests in flight: the kernel cancels those that can be, and the others may still touch their memory.
// Afterwards Next gives nil, Reap 0, and every other call ErrClosed. The package comment says who may call it.
func (r *Ring) Close() error {
	runtime.LockOSThread() // one thread from the check in leaveThread to its use
	defer runtime.UnlockOSThread()
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		return nil
	}
	r.closed = true
	if r.enterFlags&enterRegisteredRing != 0 {
		_ = r.leaveThread() // refused on another thread, as UnregisterRingFD says
	}
	r.fault = ErrClosed
	r.detach()
	err := unmap(r.sqesMem)
	if e := unmap(r.ringMem); err == nil {
		err = e
	}
	r.sqesMem, r.ringMem = nil, nil
	if e := unix.Close(r.fd); e != nil && err == nil {
		err = newError("close", e)
	}
	r.fd, r.enterFD, r.enterFlags = -1, -1, 0
	return err
}

// detach points the queues at a zero word, so that late use by the owner finds them full and empty, not unmapped.
func (r *Ring) detach() {
	zero := &r.detached[0]
	r.sq = queue{head: zero, tail: new(uint32), flags: zero}
	r.cq = queue{head: new(uint32), tail: zero, flags: new(uint32)}
	r.sqes, r.cqes = nil, make([]CQE, 1)
	r.sqTail, r.sqPublished, r.cqHead = 0, 0, 0
	r.syscallPolls = false
}

func unmap(mem []byte) error {
	if mem == nil {
		return nil
	}
	if err := unix.Munmap(mem); err != nil {
		return newError("munmap", err)
	}
	return nil
}
