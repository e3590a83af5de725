//go:build linux

package uring

import (
	"sync"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Ring is one io_uring: a submission queue and a completion queue in memory shared with the kernel.
// The package comment says who may call what. Make one with New; the zero value is not usable.
type Ring struct {
	sq   queue          // head: kernel's; tail, array: ours; flags: kernel's
	sqes unsafe.Pointer // the SQE array, sq.entries long
	cq   queue          // head, flags: ours; tail: kernel's
	cqes []CQE          // kernel's between head and tail; len is a power of two

	sqTail      uint32 // next entry that Next gives; ahead of *sq.tail by what is prepared
	sqPublished uint32 // SQPoll: *sq.tail at the last Submit
	cqHead      uint32 // equals *cq.head

	enterFD      int    // descriptor or registered index for io_uring_enter
	enterFlags   uint32 // enterRegisteredRing with a registered index
	sqpoll       bool   // immutable after New
	syscallPolls bool   // immutable after New: completions are found only by entering (IOPoll without SQPoll)
	hybrid       bool   // immutable after New: polling sleeps

	stats    Stats
	fault    error          // once set, stays
	waitArg  getEventsArg   // argument of SubmitAndWait, here because it must not be on a stack
	waitTime kernelTimespec // pointed to by waitArg

	setupFlags uint32 // immutable after New: what io_uring_setup accepted
	features   uint32 // immutable after New: params.features

	cqFlagsMapped bool // immutable after New: the kernel reads *cq.flags
	ringThread    int  // thread whose table holds the ring; valid with enterRegisteredRing

	mu       sync.RWMutex // read-held by register calls, held by Close: keeps fd open under them
	fd       int          // guarded by mu
	closed   bool         // guarded by mu
	ringMem  []byte       // both queues; guarded by mu
	sqesMem  []byte       // guarded by mu
	detached [1]uint32    // what the queues point at after Close; always 0
}

// queue is one mapped ring. The pointers lead into the mapping.
type queue struct {
	head, tail, flags *uint32
	mask, entries     uint32
}

// New makes a ring. It belongs to the caller, who must Close it. It may block for some 100 ms where memory is short: without
// CAP_IPC_LOCK rings count against the user's RLIMIT_MEMLOCK (before Linux 5.12 and again since 6.14), closed ones
// until the kernel has taken them down.
//
// A refusal is an *Error that names its cause: for errors.Is it is errors.ErrUnsupported when this system does not
// allow io_uring or lacks a flag asked for, and the system's errno in every case. Contradicting settings are os.ErrInvalid.
func New(c Config) (*Ring, error) { return open(c, helpfulFlags) }

// helpfulFlags are tried in turn beside what the Config asks for: kernels that do not know them do without.
var helpfulFlags = []uint32{setupSubmitAll | setupNoSQArray, setupSubmitAll, 0}

// open is New with the helpful flags as the kernel would have them.
func open(c Config, helpful []uint32) (*Ring, error) {
	p, err := c.params()
	if err != nil {
		return nil, err
	}
	if c.AttachTo != nil { // its descriptor stays open while ours is made
		c.AttachTo.mu.RLock()
		defer c.AttachTo.mu.RUnlock()
		if c.AttachTo.closed {
			return nil, &Error{Op: "attach", Errno: unix.EBADF, Detail: "the ring to attach to is closed"}
		}
		p.wqFD = uint32(c.AttachTo.fd)
	}
	fd, err := setup(c.entries(), &p, helpful)
	if err != nil {
		return nil, err
	}
	r := &Ring{fd: fd, enterFD: fd, setupFlags: p.flags, features: p.features}
	if err := r.mapQueues(&p); err != nil {
		_ = r.Close()
		return nil, err
	}
	r.sqpoll = p.flags&setupSQPoll != 0
	r.syscallPolls = p.flags&setupIOPoll != 0 && !r.sqpoll
	r.hybrid = r.syscallPolls && p.flags&setupHybridIOPoll != 0
	return r, nil
}

// FD is the ring's descriptor, for MsgRing and for tools. It is -1 after Close. From any goroutine.
func (r *Ring) FD() int {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return r.fd
}

// setup calls io_uring_setup, with the flags asked for and the first of the helpful sets that the kernel takes.
// The descriptor is close-on-exec, as the kernel makes it.
func setup(entries uint32, p *params, helpful []uint32) (int, error) {
	asked := *p
	for _, flags := range helpful {
		*p = asked
		p.flags |= flags
		fd, errno := setupPatiently(entries, p)
		switch errno {
		case 0:
			return fd, nil
		case unix.EINVAL:
		default:
			return -1, setupError(errno, asked.flags, runningKernel())
		}
	}
	return -1, setupError(unix.EINVAL, asked.flags, runningKernel())
}

// setupPatience is how long New waits for the memory of closed rings: the kernel gives it back to
// RLIMIT_MEMLOCK in the background, up to some 20 ms after the close.
const setupPatience = 100 * time.Millisecond

// setupPatiently is io_uring_setup, tried again while it may only be short of the memory of closed rings.
func setupPatiently(entries uint32, p *params) (int, unix.Errno) {
	for pause := time.Millisecond; ; pause *= 2 {
		fd, errno := setupCall(entries, p)
		if errno != unix.ENOMEM || pause > setupPatience {
			return fd, errno
		}
		time.Sleep(pause)
	}
}

// setupCall is io_uring_setup.
func setupCall(entries uint32, p *params) (int, unix.Errno) {
	for {
		fd, _, errno := unix.Syscall(unix.SYS_IO_URING_SETUP, uintptr(entries), uintptr(unsafe.Pointer(p)), 0)
		if errno == 0 {
			return int(fd), 0
		}
		if errno != unix.EINTR {
			return -1, errno
		}
	}
}
