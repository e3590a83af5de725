package file

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/unio-stack/unio"
)

// Open opens the file or block device at path. The device has one region,
// named "".
func Open(ctx context.Context, path string, cfg Config) (*unio.Device, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	m, err := openMedium(path, cfg)
	if err != nil {
		return nil, fmt.Errorf("file %s: %w", path, err)
	}
	e, err := chooseEngine(m, cfg)
	if err != nil {
		_ = m.close()
		return nil, fmt.Errorf("file %s: %w", path, err)
	}
	return unio.NewDevice(&device{m: m, engine: e, pool: newPool(m, cfg.Workers)}), nil
}

func (c *Config) validate(path string) error {
	switch {
	case path == "":
		return fmt.Errorf("%w: no path", unio.ErrInvalid)
	case c.Size < 0:
		return fmt.Errorf("%w: size %d is negative", unio.ErrInvalid, c.Size)
	case c.Workers < 0:
		return fmt.Errorf("%w: workers %d is negative", unio.ErrInvalid, c.Workers)
	case c.ReadOnly && (c.Create || c.Size > 0):
		return fmt.Errorf("%w: a read-only file is neither created nor sized", unio.ErrInvalid)
	case c.polled() && c.Direct == Buffered:
		return fmt.Errorf("%w: iopoll needs direct I/O", unio.ErrInvalid)
	case c.Engine == EnginePosix && (c.SQPoll || c.polled()):
		return fmt.Errorf("%w: sqpoll and iopoll are io_uring's, not the posix engine's", unio.ErrInvalid)
	}
	return nil
}

func (c *Config) polled() bool { return c.IOPoll == IOPollOn || c.IOPoll == IOPollHybrid }

// openMedium opens path, makes it what cfg asks for, and finds out what it is.
func openMedium(path string, cfg Config) (*medium, error) {
	if err := cfg.validate(path); err != nil {
		return nil, err
	}
	f, created, err := openFile(path, cfg)
	if err != nil {
		return nil, err
	}
	m := &medium{path: path, readOnly: cfg.ReadOnly}
	m.setFile(f)
	if err := m.prepare(cfg, created); err != nil {
		_ = m.close()
		if created {
			_ = os.Remove(path)
		}
		return nil, err
	}
	return m, nil
}

// openFile opens or creates the file, through the page cache.
func openFile(path string, cfg Config) (f *os.File, created bool, err error) {
	flags := os.O_RDWR
	if cfg.ReadOnly {
		flags = os.O_RDONLY
	}
	f, err = os.OpenFile(path, flags, 0)
	switch {
	case err == nil:
		return f, false, nil
	case errors.Is(err, os.ErrNotExist) && !cfg.Create:
		return nil, false, fmt.Errorf("%w (to make it: create=1 and a size)", err)
	case errors.Is(err, os.ErrNotExist) && cfg.Size == 0:
		return nil, false, fmt.Errorf("%w: a file to be created needs a size", unio.ErrInvalid)
	case errors.Is(err, os.ErrNotExist):
		f, err = os.OpenFile(path, flags|os.O_CREATE|os.O_EXCL, 0o600)
		return f, err == nil, err
	case errors.Is(err, os.ErrPermission), isReadOnlyFS(err):
		return nil, false, fmt.Errorf("%w: %w (readonly=1 asks for less)", unio.ErrAccess, err)
	case isDirectory(path):
		return nil, false, fmt.Errorf("%w: it is a directory", unio.ErrInvalid)
	}
	return nil, false, err
}

func isDirectory(path string) bool {
	st, err := os.Stat(path)
	return err == nil && st.IsDir()
}

// prepare sizes the file and decides between direct and buffered.
func (m *medium) prepare(cfg Config, created bool) error {
	st, err := m.f.Stat()
	if err != nil {
		return err
	}
	switch mode := st.Mode(); {
	case mode.IsRegular():
		if err := m.grow(st.Size(), cfg); err != nil {
			return err
		}
	case mode&os.ModeDevice != 0 && mode&os.ModeCharDevice == 0:
		m.block = true
	case mode.IsDir():
		return fmt.Errorf("%w: it is a directory", unio.ErrInvalid)
	default:
		return fmt.Errorf("%w: it is neither a regular file nor a block device (%v)", unio.ErrInvalid, mode.Type())
	}
	size, err := m.f.Seek(0, io.SeekEnd)
	if err != nil {
		return err
	}
	m.size.Store(size)
	if size == 0 {
		return fmt.Errorf("%w: it is empty: give it a size", unio.ErrInvalid)
	}
	if m.block && cfg.Size > size {
		return fmt.Errorf("%w: the block device has %d bytes, not %d", unio.ErrNoSpace, size, cfg.Size)
	}
	if created {
		if err := syncNew(m.f, m.path); err != nil {
			return err
		}
	}
	m.inspect()
	if err := m.goDirect(cfg.Direct); err != nil {
		return err
	}
	m.mapMemory()
	return nil
}

// grow makes a regular file at least cfg.Size long.
func (m *medium) grow(size int64, cfg Config) error {
	if cfg.Size <= size {
		return nil
	}
	if !cfg.Sparse {
		switch err := reserve(m.f, size, cfg.Size-size); {
		case err == nil:
			return nil
		case !errors.Is(err, errors.ErrUnsupported):
			return fmt.Errorf("reserve %d bytes: %w", cfg.Size, causeOf(err))
		}
		m.note("the file system cannot reserve space: the file is sparse")
	}
	if err := m.f.Truncate(cfg.Size); err != nil {
		return fmt.Errorf("size to %d bytes: %w", cfg.Size, causeOf(err))
	}
	return nil
}

// syncNew makes a new file's size and name durable.
func syncNew(f *os.File, path string) error {
	if err := f.Sync(); err != nil {
		return causeOf(err)
	}
	dir, err := os.Open(filepath.Dir(path))
	if err != nil {
		return nil // a directory that only grants passage cannot be synced
	}
	defer dir.Close()
	if err := dir.Sync(); err != nil && !errors.Is(err, errors.ErrUnsupported) && !isInvalid(err) {
		return causeOf(err)
	}
	return nil
}
