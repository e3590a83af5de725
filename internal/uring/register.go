//go:build linux

package uring

import (
	"fmt"
	"runtime"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// register is io_uring_register on the open ring. What arg points at is on the heap where it holds addresses itself.
func (r *Ring) register(name string, since Version, op uintptr, arg unsafe.Pointer, n uintptr) (int, error) {
	r.mu.RLock()
	defer r.mu.RUnlock()
	if r.closed {
		return 0, ErrClosed
	}
	return registerCall(r.fd, name, since, op, arg, n)
}

// registerCall is io_uring_register.
func registerCall(fd int, name string, since Version, op uintptr, arg unsafe.Pointer, n uintptr) (int, error) {
	for {
		got, _, errno := unix.Syscall6(unix.SYS_IO_URING_REGISTER, uintptr(fd), op, uintptr(arg), n, 0, 0)
		switch errno {
		case 0:
			return int(got), nil
		case unix.EINTR:
		default:
			return 0, registerError(name, errno, since)
		}
	}
}

// RegisterFiles makes a table of n empty file slots (at most RLIMIT_NOFILE). Requests with SQEFixedFile name a slot.
// From any goroutine.
func (r *Ring) RegisterFiles(n uint32) error {
	reg := &rsrcRegister{nr: n, flags: rsrcRegisterSparse}
	_, err := r.register("FILES2", Version{5, 19}, registerFiles2, unsafe.Pointer(reg), unsafe.Sizeof(*reg))
	if e, ok := err.(*Error); !ok || !e.unsupported {
		return err
	}
	return r.registerFilesWhole(n)
}

// registerFilesWhole gives the empty table whole, as kernels before Linux 5.19 want it.
func (r *Ring) registerFilesWhole(n uint32) error {
	empty := make([]int32, n)
	for i := range empty {
		empty[i] = -1
	}
	_, err := r.register("FILES", Version{5, 5}, registerFiles, unsafe.Pointer(unsafe.SliceData(empty)), uintptr(n))
	return err
}

// UnregisterFiles drops the file table; files leave it when the requests that use them have completed. From any goroutine.
func (r *Ring) UnregisterFiles() error {
	_, err := r.register("UNREGISTER_FILES", Version{5, 1}, unregisterFiles, nil, 0)
	return err
}

// UpdateFile puts fd into a slot, or empties the slot when fd is -1. The ring holds its own reference to the file: fd may be
// closed. Requests in flight keep the file they started with. From any goroutine.
func (r *Ring) UpdateFile(slot uint32, fd int) error {
	arg := &struct {
		rsrcUpdate
		fd int32
	}{fd: int32(fd)}
	arg.offset = slot
	arg.data = uint64(uintptr(unsafe.Pointer(&arg.fd)))
	pinned := newPin(arg)
	defer pinned.Unpin()
	_, err := r.register("FILES_UPDATE", Version{5, 5}, registerFilesUpdate, unsafe.Pointer(arg), 1)
	return err
}

// RegisterBuffersSparse makes a table of n empty buffer slots (at most 16384). From any goroutine.
func (r *Ring) RegisterBuffersSparse(n uint32) error {
	reg := &rsrcRegister{nr: n, flags: rsrcRegisterSparse}
	_, err := r.register("BUFFERS2", Version{5, 19}, registerBuffers2, unsafe.Pointer(reg), unsafe.Sizeof(*reg))
	if e, ok := err.(*Error); !ok || !e.unsupported {
		return err
	}
	return r.registerBuffersWhole(n)
}

// registerBuffersWhole gives the empty table whole, as Linux 5.13 to 5.18 want it.
func (r *Ring) registerBuffersWhole(n uint32) error {
	empty := make([]unix.Iovec, n)
	tags := make([]uint64, n)
	reg := &rsrcRegister{nr: n}
	reg.data = uint64(uintptr(unsafe.Pointer(unsafe.SliceData(empty))))
	reg.tags = uint64(uintptr(unsafe.Pointer(unsafe.SliceData(tags))))
	_, err := r.register("BUFFERS2", Version{5, 13}, registerBuffers2, unsafe.Pointer(reg), unsafe.Sizeof(*reg))
	runtime.KeepAlive(empty)
	runtime.KeepAlive(tags)
	return err
}

// UnregisterBuffers drops the buffer table; memory is unpinned when the requests that use it have completed. From any goroutine.
func (r *Ring) UnregisterBuffers() error {
	_, err := r.register("UNREGISTER_BUFFERS", Version{5, 1}, unregisterBuffers, nil, 0)
	return err
}

// UpdateBuffer pins the memory of b, at most 1 GiB, and puts it into a slot, replacing what was there. b is outside the Go
// heap or stays alive while registered. Requests in flight keep the memory they started with. From any goroutine.
//
// Clear the slots before Close: the memory is then unpinned at once, and not in the background.
//
// Errors: ENOMEM when RLIMIT_MEMLOCK does not allow pinning that much; EFAULT when b is not mapped readable and
// writable; EOPNOTSUPP for mappings of ordinary files.
func (r *Ring) UpdateBuffer(slot uint32, b []byte) error {
	if len(b) == 0 || len(b) > maxRegisteredBufferLength {
		return &Error{
			Op: "io_uring_register BUFFERS_UPDATE", Errno: unix.EINVAL,
			Detail: fmt.Sprintf("buffer of %d bytes: a registered buffer has 1 to %d", len(b), maxRegisteredBufferLength),
		}
	}
	return r.updateBuffer(slot, b)
}

// ClearBuffer empties a slot. The memory stays pinned until the requests that use it have completed. From any goroutine.
func (r *Ring) ClearBuffer(slot uint32) error { return r.updateBuffer(slot, nil) }

func (r *Ring) updateBuffer(slot uint32, b []byte) error {
	arg := &struct {
		rsrcUpdate2
		iov unix.Iovec
		tag uint64
	}{}
	if len(b) > 0 {
		arg.iov.Base = unsafe.SliceData(b)
		arg.iov.SetLen(len(b))
	}
	arg.offset, arg.nr = slot, 1
	arg.data = uint64(uintptr(unsafe.Pointer(&arg.iov)))
	arg.tags = uint64(uintptr(unsafe.Pointer(&arg.tag)))
	pinned := newPin(arg)
	defer pinned.Unpin()
	_, err := r.register("BUFFERS_UPDATE", Version{5, 13}, registerBuffersUpdate,
		unsafe.Pointer(arg), unsafe.Sizeof(arg.rsrcUpdate2))
	return err
}

// newPin puts arg on the heap and keeps it there: it holds its own address, which the compiler cannot see.
func newPin[T any](arg *T) *runtime.Pinner {
	p := new(runtime.Pinner)
	p.Pin(arg)
	return p
}

// RegisterIOWQMaxWorkers limits the workers of each thread that submits to this ring: bounded ones for
// files and disks, unbounded ones for the rest. Zero leaves a limit as it is. It returns the previous limits. From any goroutine.
func (r *Ring) RegisterIOWQMaxWorkers(bounded, unbounded uint32) (oldBounded, oldUnbounded uint32, err error) {
	limits := &[2]uint32{bounded, unbounded}
	_, err = r.register("IOWQ_MAX_WORKERS", Version{5, 15}, registerIOWQMaxWorkers, unsafe.Pointer(limits), 2)
	return limits[0], limits[1], err
}

// SyncCancel cancels the request with that user data, or with flags (CancelAny, CancelAll) more, and waits, at most
// timeout (negative: without end), until those that could be cancelled have posted their completions. It returns how many
// it cancelled; 0 with a nil error when it found none. Requests that a disk has started cannot be cancelled and are not waited for.
// Needs [FeatureSyncCancel]. It blocks. From any goroutine.
func (r *Ring) SyncCancel(userData uint64, flags uint32, timeout time.Duration) (int, error) {
	arg := &syncCancelReg{addr: userData, fd: -1, flags: flags, timeout: kernelTimespec{-1, -1}}
	if timeout >= 0 {
		arg.timeout = kernelTimespec{int64(timeout / time.Second), int64(timeout % time.Second)}
	}
	n, err := r.register("SYNC_CANCEL", Version{6, 0}, registerSyncCancel, unsafe.Pointer(arg), 1)
	if e, ok := err.(*Error); ok && e.Errno == unix.ENOENT {
		return 0, nil
	}
	if err == nil && flags&CancelAll == 0 {
		n = 1
	}
	return n, err
}
