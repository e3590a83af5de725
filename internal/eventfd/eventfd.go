//go:build linux

// Package eventfd is a wake-up flag that a goroutine sleeps on in the Go
// runtime's poller, holding no OS thread, and that the kernel or any goroutine
// raises (eventfd(2)).
package eventfd

import (
	"encoding/binary"
	"os"
	"sync/atomic"
	"syscall"

	"golang.org/x/sys/unix"
)

// An Event wakes one sleeper at a time.
type Event struct {
	fd     int // immutable
	file   *os.File
	conn   syscall.RawConn
	raised atomic.Bool // by Raise, not yet seen by Sleep

	// ready and try belong to the sleeper; try is made once so that Sleep does
	// not allocate.
	ready func() bool
	try   func(uintptr) bool
}

// one is what a Raise adds to the counter; immutable.
var one = binary.NativeEndian.AppendUint64(nil, 1)

// New makes an Event, which must be closed.
func New() (*Event, error) {
	fd, err := unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK)
	if err != nil {
		return nil, os.NewSyscallError("eventfd", err)
	}
	e := &Event{fd: fd, file: os.NewFile(uintptr(fd), "eventfd")}
	if e.conn, err = e.file.SyscallConn(); err != nil {
		_ = e.file.Close()
		return nil, err
	}
	e.try = func(uintptr) bool { return e.raised.Swap(false) || e.ready() }
	return e, nil
}

// FD is the descriptor, for registration with the kernel. It stays the Event's.
func (e *Event) FD() int { return e.fd }

// Sleep returns when ready says so or Raise was called since Sleep last
// returned; it asks ready first, and again whenever the descriptor was
// written to. One goroutine at a time.
//
// The poller is told of every write to an eventfd, also of one whose counter
// was not zero, so the counter is never read.
func (e *Event) Sleep(ready func() bool) {
	e.ready = ready
	_ = e.conn.Read(e.try) // fails only once closed, when nobody sleeps any more
}

// Raise makes the current or next Sleep return. From any goroutine.
func (e *Event) Raise() {
	if e.raised.Swap(true) {
		return
	}
	_, _ = unix.Write(e.fd, one) // fails only at 2^64 raises
}

// Reset forgets all raises, for a sleeper that waits on the descriptor itself.
func (e *Event) Reset() {
	var count [8]byte
	_, _ = unix.Read(e.fd, count[:]) // EAGAIN if there was none
	e.raised.Store(false)
}

// Close releases the descriptor. Nobody sleeps or raises any more.
func (e *Event) Close() error { return e.file.Close() }
