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
		m.undo()
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
	case c.Direct != "" && c.Direct != Auto && c.Direct != Required && c.Direct != Buffered:
		return fmt.Errorf("%w: direct is %q: it is auto, on or off", unio.ErrInvalid, c.Direct)
	case c.Engine != "" && c.Engine != EngineAuto && c.Engine != EngineRing && c.Engine != EnginePosix:
		return fmt.Errorf("%w: engine is %q: it is auto, io_uring or posix", unio.ErrInvalid, c.Engine)
	case c.IOPoll != "" && c.IOPoll != IOPollOff && !c.polled():
		return fmt.Errorf("%w: iopoll is %q: it is off, on or hybrid", unio.ErrInvalid, c.IOPoll)
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
	m := &medium{path: path, readOnly: cfg.ReadOnly, created: created}
	m.setFile(f)
	if err := m.prepare(cfg); err != nil {
		m.undo()
		return nil, err
	}
	return m, nil
}

// undo closes the file, and removes it if Open made it.
func (m *medium) undo() {
	_ = m.close()
	if m.created {
		_ = os.Remove(m.path)
	}
}

// openFile opens or creates the file, through the page cache.
func openFile(path string, cfg Config) (f *os.File, created bool, err error) {
	flags := os.O_RDWR
	if cfg.ReadOnly {
		flags = os.O_RDONLY
	}
	// To open a FIFO may wait forever, and to open a tape or a watchdog does
	// something to it.
	if st, err := os.Stat(path); err == nil {
		if err := checkKind(st.Mode()); err != nil {
			return nil, false, err
		}
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
		if err != nil {
			err = causeOfOpen(err)
		}
		return f, err == nil, err
	case isRefused(err) && !cfg.ReadOnly:
		return nil, false, fmt.Errorf("%w (readonly=1 asks for less)", causeOfOpen(err))
	}
	return nil, false, causeOfOpen(err)
}

// checkKind says why a file of the kind is no device, or nil.
func checkKind(mode os.FileMode) error {
	switch {
	case mode.IsRegular(), isBlock(mode):
		return nil
	case mode.IsDir():
		return fmt.Errorf("%w: it is a directory", unio.ErrInvalid)
	}
	return fmt.Errorf("%w: it is neither a regular file nor a block device (%v)", unio.ErrInvalid, mode.Type())
}

func isBlock(mode os.FileMode) bool {
	return mode&os.ModeDevice != 0 && mode&os.ModeCharDevice == 0
}

// prepare sizes the file and decides between direct and buffered.
func (m *medium) prepare(cfg Config) error {
	st, err := m.f.Stat()
	if err != nil {
		return err
	}
	if err := checkKind(st.Mode()); err != nil {
		return err
	}
	if m.block = isBlock(st.Mode()); !m.block {
		if err := m.grow(st.Size(), cfg); err != nil {
			return err
		}
	}
	size, err := m.f.Seek(0, io.SeekEnd)
	if err != nil {
		return err
	}
	m.size.Store(size)
	if size == 0 {
		return fmt.Errorf("%w: it is empty: give it a size", unio.ErrInvalid)
	}
	if m.block && !m.readOnly && m.writeProtected() {
		return fmt.Errorf("%w: the block device is write-protected (readonly=1 asks for less)", unio.ErrAccess)
	}
	if m.block && cfg.Size > size {
		return fmt.Errorf("%w: the block device has %d bytes, not %d", unio.ErrNoSpace, size, cfg.Size)
	}
	if m.created {
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
			_ = m.f.Truncate(size) // gives back what was reserved before it failed
			return fmt.Errorf("reserve %d bytes: %w%s", cfg.Size, causeOf(err), sparseHint(err))
		}
		m.note("the file system cannot reserve space: the file is sparse")
	}
	if err := m.f.Truncate(cfg.Size); err != nil {
		return fmt.Errorf("size to %d bytes: %w", cfg.Size, causeOf(err))
	}
	return nil
}

// sparseHint says what can be done where space is short.
func sparseHint(err error) string {
	if errors.Is(causeOf(err), unio.ErrNoSpace) {
		return " (sparse=1 reserves nothing)"
	}
	return ""
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
