//go:build linux

package uring

import (
	"sync/atomic"
	"unsafe"
)

// RegisterEventfd has the kernel add to the eventfd when completions arrive (on a DeferTaskrun ring: when entering would bring
// some). The descriptor stays the caller's. One per ring; EBUSY when there is one. From any goroutine.
//
// To sleep on it without losing a wake-up: SetEventfdEnabled(true), then ask Pending, and sleep only if it
// says false. Completions that overflowed raise no event, but leave Pending true. An IOPoll ring without SQPoll
// raises none for its polled requests: nobody looks for them but Reap.
func (r *Ring) RegisterEventfd(fd int) error {
	arg := new(int32)
	*arg = int32(fd)
	_, err := r.register("EVENTFD", Version{5, 2}, registerEventfd, unsafe.Pointer(arg), 1)
	return err
}

// UnregisterEventfd ends RegisterEventfd. From any goroutine.
func (r *Ring) UnregisterEventfd() error {
	_, err := r.register("UNREGISTER_EVENTFD", Version{5, 2}, unregisterEventfd, nil, 0)
	return err
}

// SetEventfdEnabled turns the events of the registered eventfd on or off, without a system call. On by default.
// For the owner, who typically has it on only while asleep. The store is sequentially consistent: a
// completion is either seen by a Pending that follows, or raises an event. Needs [FeatureEventfdDisable];
// without it events stay on.
func (r *Ring) SetEventfdEnabled(on bool) {
	var flags uint32
	if !on {
		flags = cqEventfdDisabled
	}
	atomic.StoreUint32(r.cq.flags, flags)
}
