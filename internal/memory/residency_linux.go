package memory

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

// Futex operations and their encoding, linux/include/uapi/linux/futex.h.
const (
	futexCmpRequeue = 4
	futexWakeOp     = 5
	futexPrivate    = 128
	futexOpAdd      = 1 << 28 // add 0, compare with 0
)

// populate maps the pages of mem with MADV_POPULATE_READ or _WRITE (Linux
// 5.14; EINVAL before, and for mappings of device memory). Madvise is a
// blocking system call for the Go scheduler. EFAULT stands for what would be
// SIGBUS or SIGSEGV, EHWPOISON for bad memory.
func populate(mem []byte, write bool) error {
	advice := unix.MADV_POPULATE_READ
	if write {
		advice = unix.MADV_POPULATE_WRITE
	}
	for {
		if err := unix.Madvise(mem, advice); err != unix.EINTR {
			return err
		}
	}
}

// populatePage is populate for one page on kernels without it: a futex call
// whose only effect is that the kernel reads the page's first word or, with
// write, atomically adds 0 to it; it wakes and moves no waiter. The Go runtime
// depends on the same system call, so no sandbox refuses it.
func populatePage(mem []byte, write bool) error {
	op := uintptr(futexCmpRequeue | futexPrivate)
	arg := uintptr(0) // the value to compare the word with
	if write {
		op, arg = futexWakeOp|futexPrivate, futexOpAdd
	}
	word := uintptr(unsafe.Pointer(unsafe.SliceData(mem)))
	for {
		_, _, errno := unix.Syscall6(unix.SYS_FUTEX, word, op, 0, 0, word, arg)
		switch errno {
		case 0, unix.EAGAIN: // EAGAIN: the word is not 0
			return nil
		case unix.EINTR:
			continue
		}
		return errno
	}
}

// lockOnFault keeps each page of mem resident from its first use on.
func lockOnFault(mem []byte) error {
	_, _, errno := unix.Syscall(unix.SYS_MLOCK2, uintptr(unsafe.Pointer(unsafe.SliceData(mem))),
		uintptr(len(mem)), unix.MLOCK_ONFAULT)
	if errno != 0 {
		return errno
	}
	return nil
}

// hasSwap reports whether anonymous memory can leave main memory.
func hasSwap() bool {
	var info unix.Sysinfo_t
	return unix.Sysinfo(&info) != nil || info.Totalswap > 0
}
