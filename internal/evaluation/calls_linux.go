package evaluation

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// calls are the kernel's counters of system calls on some threads.
type calls struct{ counters []int } // descriptors

// tryCounting says why system calls cannot be counted, or returns nil.
func tryCounting() error {
	c, err := countThread()
	if err == nil {
		c.close()
	}
	return err
}

// countThread counts the calling thread's system calls from now on.
func countThread() (*calls, error) {
	id, err := tracepoint()
	if err != nil {
		return nil, err
	}
	fd, err := openCounter(id, 0, 0)
	if err != nil {
		return nil, err
	}
	return &calls{[]int{fd}}, nil
}

// countProcess counts the system calls of all threads of a process from now
// on, and of those that they start.
func countProcess(pid int) (*calls, error) {
	id, err := tracepoint()
	if err != nil {
		return nil, err
	}
	for range 10 {
		c, complete, err := countThreads(id, pid)
		if err != nil || complete {
			return c, err
		}
		c.close() // of a thread that came meanwhile it is not known whether it is counted with its maker
	}
	return nil, errors.New("the process starts threads all the time")
}

func countThreads(id uint64, pid int) (_ *calls, complete bool, _ error) {
	c := new(calls)
	before, err := threads(pid)
	if err != nil {
		return nil, false, err
	}
	for _, tid := range before {
		fd, err := openCounter(id, tid, unix.PerfBitInherit)
		if errors.Is(err, unix.ESRCH) {
			continue
		}
		if err != nil {
			c.close()
			return nil, false, err
		}
		c.counters = append(c.counters, fd)
	}
	after, err := threads(pid)
	if err != nil {
		c.close()
		return nil, false, err
	}
	return c, slices.Equal(before, after), nil
}

func threads(pid int) (ids []int, err error) {
	entries, err := os.ReadDir(fmt.Sprintf("/proc/%d/task", pid))
	for _, e := range entries {
		if id, err := strconv.Atoi(e.Name()); err == nil {
			ids = append(ids, id)
		}
	}
	return ids, err
}

func openCounter(id uint64, tid int, bits uint64) (int, error) {
	fd, err := unix.PerfEventOpen(&unix.PerfEventAttr{
		Type: unix.PERF_TYPE_TRACEPOINT, Size: unix.PERF_ATTR_SIZE_VER0, Config: id, Bits: bits,
	}, tid, -1, -1, unix.PERF_FLAG_FD_CLOEXEC)
	if err != nil {
		return -1, fmt.Errorf("perf_event_open: %w", err)
	}
	return fd, nil
}

// sum returns how many there were so far.
func (c *calls) sum() (n int64) {
	var b [8]byte
	for _, fd := range c.counters {
		if got, _ := unix.Read(fd, b[:]); got == len(b) {
			n += int64(binary.NativeEndian.Uint64(b[:]))
		}
	}
	return n
}

func (c *calls) close() {
	for _, fd := range c.counters {
		_ = unix.Close(fd)
	}
}

// tracepoint returns the number of raw_syscalls:sys_enter.
func tracepoint() (uint64, error) {
	const file = "events/raw_syscalls/sys_enter/id"
	text, err := os.ReadFile("/sys/kernel/tracing/" + file)
	if errors.Is(err, fs.ErrNotExist) {
		text, err = readUnmounted(file)
	}
	if err != nil {
		return 0, err
	}
	return strconv.ParseUint(strings.TrimSpace(string(text)), 10, 64)
}

// readUnmounted reads a file of tracefs where that is mounted nowhere, which
// it then still is.
func readUnmounted(name string) ([]byte, error) {
	super, err := unix.Fsopen("tracefs", unix.FSOPEN_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("tracefs: %w", err)
	}
	defer func() { _ = unix.Close(super) }()
	if err := unix.FsconfigCreate(super); err != nil {
		return nil, fmt.Errorf("tracefs: %w", err)
	}
	root, err := unix.Fsmount(super, unix.FSMOUNT_CLOEXEC, unix.MOUNT_ATTR_RDONLY)
	if err != nil {
		return nil, fmt.Errorf("tracefs: %w", err)
	}
	defer func() { _ = unix.Close(root) }()
	fd, err := unix.Openat(root, name, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("tracefs: %s: %w", name, err)
	}
	defer func() { _ = unix.Close(fd) }()
	b := make([]byte, 64)
	n, err := unix.Read(fd, b)
	return b[:max(n, 0)], err
}
