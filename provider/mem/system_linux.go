package mem

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strconv"
	"strings"
	"syscall"

	"github.com/unio-stack/unio"
	"golang.org/x/sys/unix"
)

// freesAnonymous says that release can take anonymous pages back.
const freesAnonymous = true

// release takes whole pages of the region back: they read as zeroes.
func (d *device) release(off, n int64) error {
	if d.file != nil {
		return punch(d.file, off, n)
	}
	return unix.Madvise(d.mem[off:off+n], unix.MADV_DONTNEED)
}

// punch frees a part of a file.
func punch(f *os.File, off, n int64) error {
	return control(f, func(fd int) error {
		return unix.Fallocate(fd, unix.FALLOC_FL_PUNCH_HOLE|unix.FALLOC_FL_KEEP_SIZE, off, n)
	})
}

// canPunch asks the file system to free what lies beyond the file's end, which
// changes nothing. Block devices would refuse a range beyond their end.
func canPunch(f *os.File, size int64) bool {
	info, err := f.Stat()
	if err != nil || !info.Mode().IsRegular() {
		return false
	}
	return punch(f, max(size, info.Size()), int64(os.Getpagesize())) == nil
}

// reserve allocates the space of the first size bytes.
func reserve(f *os.File, size int64) error {
	return control(f, func(fd int) error { return unix.Fallocate(fd, 0, 0, size) })
}

// control calls a system call on the file until no signal interrupts it.
func control(f *os.File, call func(fd int) error) error {
	conn, err := f.SyscallConn()
	if err != nil {
		return err
	}
	var result error
	err = conn.Control(func(fd uintptr) {
		for {
			if result = call(int(fd)); result != unix.EINTR {
				return
			}
		}
	})
	return errors.Join(err, result)
}

// losesContent reports whether the file system is one in memory.
func losesContent(f *os.File) bool {
	var st unix.Statfs_t
	err := control(f, func(fd int) error { return unix.Fstatfs(fd, &st) })
	if err != nil {
		return false
	}
	switch int64(st.Type) {
	case unix.TMPFS_MAGIC, unix.RAMFS_MAGIC, unix.HUGETLBFS_MAGIC:
		return true
	}
	return false
}

// full reports whether the file system of f has no space left.
func full(f *os.File) bool {
	var st unix.Statfs_t
	err := control(f, func(fd int) error { return unix.Fstatfs(fd, &st) })
	return err == nil && st.Bavail == 0
}

// lengthOfDAX returns the size of a DAX device, which sysfs has (Linux's
// Documentation/ABI/testing/sysfs-bus-dax).
func lengthOfDAX(info fs.FileInfo) (int64, error) {
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return 0, fmt.Errorf("%w: the device has no number", unio.ErrInvalid)
	}
	dev := uint64(st.Rdev)
	text, err := os.ReadFile(fmt.Sprintf("/sys/dev/char/%d:%d/size", unix.Major(dev), unix.Minor(dev)))
	if err != nil {
		return 0, fmt.Errorf("%w: not a DAX device: %w", unio.ErrInvalid, err)
	}
	return strconv.ParseInt(strings.TrimSpace(string(text)), 0, 64)
}
