package file

import (
	"errors"
	"fmt"
	"io"
	"syscall"
	"testing"

	"github.com/unio-stack/unio"
)

func TestCauseOf(t *testing.T) {
	for errno, want := range map[syscall.Errno]error{
		syscall.ENOSPC: unio.ErrNoSpace, syscall.EDQUOT: unio.ErrNoSpace, syscall.EFBIG: unio.ErrNoSpace,
		syscall.EROFS: unio.ErrAccess, syscall.EPERM: unio.ErrAccess, syscall.EACCES: unio.ErrAccess, syscall.EBADF: unio.ErrAccess,
		syscall.EOPNOTSUPP: unio.ErrUnsupported, syscall.ENOSYS: unio.ErrUnsupported,
		syscall.ECANCELED: unio.ErrCanceled, syscall.EINTR: unio.ErrCanceled,
		syscall.ENODEV: unio.ErrDisconnected, syscall.ENXIO: unio.ErrDisconnected,
		syscall.ENOMEM: unio.ErrBusy, syscall.EAGAIN: unio.ErrBusy, syscall.EMFILE: unio.ErrBusy, syscall.ENFILE: unio.ErrBusy,
		syscall.EINVAL: unio.ErrInvalid, syscall.EFAULT: unio.ErrInvalid,
		syscall.EIO: unio.ErrMedia, syscall.ETIMEDOUT: unio.ErrMedia, syscall.EBADMSG: unio.ErrMedia,
	} {
		err := causeOf(fmt.Errorf("somewhere: %w", errno))
		if !errors.Is(err, want) || !errors.Is(err, errno) {
			t.Errorf("%v becomes %v; want %v, with the number", errno, err, want)
		}
		for _, other := range []error{unio.ErrNoSpace, unio.ErrAccess, unio.ErrCanceled, unio.ErrDisconnected, unio.ErrBusy, unio.ErrInvalid, unio.ErrMedia} {
			if other != want && errors.Is(err, other) {
				t.Errorf("%v is %v, too", errno, other)
			}
		}
	}
	if err := causeOf(io.ErrUnexpectedEOF); err != io.ErrUnexpectedEOF {
		t.Errorf("an error without a number becomes %v", err)
	}
	for number, cause := range causes {
		if cause == nil {
			t.Errorf("%v has no cause", number)
		}
	}
}
