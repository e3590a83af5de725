//go:build linux

package uring

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

var ringFDSince = Version{5, 18}

// RegisterRingFD gives the ring a place in the calling thread's own table of rings (16 places), so that entering
// the kernel need not look up and reference the descriptor. Only for an owner that is locked to its thread: from
// then on the ring can be driven from that thread alone. Needs [FeatureRingFD].
func (r *Ring) RegisterRingFD() error {
	if r.fault != nil {
		return r.fault
	}
	if r.enterFlags&enterRegisteredRing != 0 {
		return nil
	}
	arg := &rsrcUpdate{offset: ^uint32(0), data: uint64(r.FD())}
	_, err := r.register("RING_FDS", ringFDSince, registerRingFDs, unsafe.Pointer(arg), 1)
	if err == nil {
		r.enterFD, r.enterFlags, r.ringThread = int(arg.offset), enterRegisteredRing, unix.Gettid()
	}
	return err
}

// UnregisterRingFD undoes RegisterRingFD, from the same thread. Close does it too when called on that thread;
// called on another, it leaves the place taken, and the ring alive, until the thread ends.
func (r *Ring) UnregisterRingFD() error {
	r.mu.RLock()
	defer r.mu.RUnlock()
	if r.closed || r.enterFlags&enterRegisteredRing == 0 {
		return r.fault
	}
	return r.leaveThread()
}

// leaveThread gives up the ring's place in the calling thread's table. On another thread it must not try: the
// same number there may be another ring's. The caller holds mu.
func (r *Ring) leaveThread() error {
	const name = "UNREGISTER_RING_FDS"
	if unix.Gettid() != r.ringThread {
		return &Error{
			Op: "io_uring_register " + name, Errno: unix.EEXIST,
			Detail: "the ring is registered with another thread: call this from there",
		}
	}
	arg := &rsrcUpdate{offset: uint32(r.enterFD)}
	_, err := registerCall(r.fd, name, ringFDSince, unregisterRingFDs, unsafe.Pointer(arg), 1)
	if err == nil {
		r.enterFD, r.enterFlags = r.fd, 0
	}
	return err
}
