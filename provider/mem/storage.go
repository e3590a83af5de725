package mem

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"github.com/unio-stack/unio"
)

// openStorage opens what path names, or creates it, and returns its length.
func openStorage(path string, cfg DAXConfig) (*os.File, int64, error) {
	if path == "" {
		return nil, 0, fmt.Errorf("%w: no path given", unio.ErrInvalid)
	}
	info, err := os.Stat(path) // first, because to open a pipe is to wait
	switch {
	case errors.Is(err, fs.ErrNotExist) && cfg.Create:
		return createFile(path, cfg)
	case errors.Is(err, fs.ErrNotExist):
		return nil, 0, fmt.Errorf("%w; create makes it, with a size", err)
	case err != nil:
		return nil, 0, withCause(err)
	case !mappable(info.Mode()):
		return nil, 0, fmt.Errorf("%w: %s: only files, DAX devices and block devices can be mapped", unio.ErrInvalid, kindOf(info.Mode()))
	}
	if info.Size() == 0 && info.Mode().IsRegular() && cfg.Create {
		return fillFile(path, cfg) // a creation that was interrupted
	}
	f, err := os.OpenFile(path, access(cfg), 0)
	if err != nil {
		return nil, 0, withHint(err, cfg)
	}
	length, err := lengthOf(f)
	if err != nil {
		_ = f.Close()
		return nil, 0, err
	}
	return f, length, nil
}

func access(cfg DAXConfig) int {
	if cfg.ReadOnly {
		return os.O_RDONLY
	}
	return os.O_RDWR
}

func mappable(m fs.FileMode) bool {
	return m.IsRegular() || m.Type()&fs.ModeDevice != 0
}

// kindOf names what cannot be mapped.
func kindOf(m fs.FileMode) string {
	if m.IsDir() {
		return "a directory"
	}
	return "a file of mode " + m.String()
}

// createFile makes a file of the configured size, durably, and leaves none behind
// when that is refused.
func createFile(path string, cfg DAXConfig) (*os.File, int64, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return nil, 0, withCause(err)
	}
	err = errors.Join(fill(f, cfg), syncDirectory(filepath.Dir(path)))
	if err != nil {
		_ = f.Close()
		_ = os.Remove(path)
		return nil, 0, err
	}
	return f, cfg.Size, nil
}

// fillFile gives an empty file the configured size.
func fillFile(path string, cfg DAXConfig) (*os.File, int64, error) {
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return nil, 0, withHint(err, cfg)
	}
	if err := fill(f, cfg); err != nil {
		_ = f.Close()
		return nil, 0, err
	}
	return f, cfg.Size, nil
}

func fill(f *os.File, cfg DAXConfig) error {
	if err := f.Truncate(cfg.Size); err != nil {
		return withCause(err)
	}
	if cfg.Reserve {
		if err := reserve(f, cfg.Size); err != nil {
			return fmt.Errorf("reserve %d bytes: %w", cfg.Size, withCause(err))
		}
	}
	return f.Sync()
}

// syncDirectory makes the creation of a file in dir durable.
func syncDirectory(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	if err := d.Sync(); !errors.Is(err, syscall.EINVAL) { // some file systems keep no such state
		return err
	}
	return nil
}

// lengthOf returns the length in bytes of an open file or device.
func lengthOf(f *os.File) (int64, error) {
	info, err := f.Stat()
	switch {
	case err != nil:
		return 0, err
	case info.Mode().IsRegular():
		return info.Size(), nil
	case info.Mode().Type()&fs.ModeCharDevice != 0:
		return lengthOfDAX(info)
	}
	return f.Seek(0, io.SeekEnd)
}

// withCause adds this project's cause to an error of the system.
func withCause(err error) error {
	switch {
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("%w: %w", unio.ErrAccess, err)
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT), errors.Is(err, syscall.ENOMEM):
		return fmt.Errorf("%w: %w", unio.ErrNoSpace, err)
	case errors.Is(err, syscall.EFBIG), errors.Is(err, syscall.EINVAL), errors.Is(err, syscall.ENODEV):
		return fmt.Errorf("%w: %w", unio.ErrInvalid, err)
	}
	return err
}

// withHint is withCause for opening a file that exists.
func withHint(err error, cfg DAXConfig) error {
	if !cfg.ReadOnly && (errors.Is(err, fs.ErrPermission) || errors.Is(err, syscall.EROFS)) {
		return fmt.Errorf("%w: %w; read-only may be permitted", unio.ErrAccess, err)
	}
	return withCause(err)
}
