package file

import (
	"errors"
	"fmt"
	"os"
	"syscall"

	"github.com/unio-stack/unio"
)

// causes says what an error number means to a user of a device.
var causes = map[syscall.Errno]error{
	syscall.ENOSPC: unio.ErrNoSpace, syscall.EDQUOT: unio.ErrNoSpace, syscall.EFBIG: unio.ErrNoSpace,
	syscall.EROFS: unio.ErrAccess, syscall.EPERM: unio.ErrAccess, syscall.EACCES: unio.ErrAccess, syscall.EBADF: unio.ErrAccess,
	syscall.EOPNOTSUPP: unio.ErrUnsupported, syscall.ENOSYS: unio.ErrUnsupported,
	syscall.ECANCELED: unio.ErrCanceled, syscall.EINTR: unio.ErrCanceled,
	syscall.ENODEV: unio.ErrDisconnected, syscall.ENXIO: unio.ErrDisconnected,
	syscall.ENOMEM: unio.ErrBusy, syscall.EAGAIN: unio.ErrBusy, syscall.EMFILE: unio.ErrBusy, syscall.ENFILE: unio.ErrBusy,
	syscall.EINVAL: unio.ErrInvalid, syscall.EFAULT: unio.ErrInvalid,
}

// causeOf gives err, which holds an error number, its cause: both can be
// tested for. What is not known is the medium's fault.
func causeOf(err error) error {
	var errno syscall.Errno
	if !errors.As(err, &errno) {
		return err
	}
	cause := causes[errno]
	if cause == nil {
		cause = unio.ErrMedia
	}
	return fmt.Errorf("%w: %w", cause, err)
}

// causeOfOpen is causeOf for what may go wrong before there is a medium: what
// is not known is not the medium's fault.
func causeOfOpen(err error) error {
	if isRefused(err) {
		return fmt.Errorf("%w: %w", unio.ErrAccess, err)
	}
	if known := causeOf(err); !errors.Is(known, unio.ErrMedia) {
		return known
	}
	return err
}

// endsBy reports whether the file, looked at now, ends at or before off.
func (m *medium) endsBy(off int64) bool {
	st, err := m.f.Stat()
	return err == nil && !m.block && st.Size() <= off
}

// errShort is how a transfer ends that finds the file shorter than it was.
func (m *medium) errShort(op *unio.Op) error {
	size, known := int64(-1), "it ends"
	if st, err := m.f.Stat(); err == nil && !m.block {
		size = st.Size()
		known = fmt.Sprintf("it now ends at byte %d", size)
	}
	return &unio.OpError{
		BadByte: max(op.Offset, size), Layer: "file", Err: unio.ErrOutOfRange,
		Detail: "the file shrank after it was opened: " + known,
	}
}

// isRefused reports whether rights are what is missing.
func isRefused(err error) bool {
	return errors.Is(err, os.ErrPermission) || errors.Is(err, syscall.EROFS)
}

func isInvalid(err error) bool { return errors.Is(err, syscall.EINVAL) }
