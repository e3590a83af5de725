package file

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"sync/atomic"

	"github.com/unio-stack/unio"
	"github.com/unio-stack/unio/internal/memory"
)

// A medium is the open file: what it is and what it can do. Immutable after
// Open but for its size and the fault.
type medium struct {
	f        *os.File
	fd       int // of f
	path     string
	readOnly bool
	created  bool   // by Open
	block    bool   // a block device, not a regular file
	fs       string // type of the file system, "" where unknown
	inMemory bool   // the file system keeps files in memory (tmpfs)
	direct   bool   // opened past the page cache
	// blocks: the kernel takes the file for one that never waits, which is not
	// so: a ring must leave it to workers. (FUSE files can be polled, and say
	// that they are ready; io_file_supports_nowait in Linux's io_uring/rw.c.)
	blocks bool

	blockSize   int // unit of transfers; 1 unless direct
	memoryAlign int
	sector      int // what the medium writes whole
	zeroUnit    int
	canDiscard  bool
	canZero     bool
	notes       []string

	size atomic.Int64
	// mapped is the file in memory, for copies; nil for others and once the
	// file was resized.
	mapped  atomic.Pointer[memory.Mapping]
	mapping *memory.Mapping // what mapped was at first; immutable
	// lost is the first failed flush. The kernel forgets what it could not
	// write, so a later flush that succeeds proves nothing: all fail from then on.
	lost atomic.Pointer[unio.OpError]
	mu   sync.Mutex // serialises resize
}

// setFile makes f the open file.
func (m *medium) setFile(f *os.File) { m.f, m.fd = f, int(f.Fd()) }

func (m *medium) note(format string, args ...any) {
	m.notes = append(m.notes, fmt.Sprintf(format, args...))
}

// goDirect reopens the file past the page cache if it may and can be.
func (m *medium) goDirect(want Direct) error {
	m.blockSize, m.memoryAlign = 1, 1
	if want == Buffered {
		return nil
	}
	why := m.notDirect()
	if why == "" {
		f, err := openDirect(m.path, m.readOnly)
		if err == nil {
			_ = m.f.Close()
			m.setFile(f)
			m.direct = true
			m.blockSize, m.memoryAlign = m.directUnits()
			return nil
		}
		why = "the file system refuses O_DIRECT: " + err.Error()
	}
	if want == Required {
		return fmt.Errorf("direct=on: %w: %s", unio.ErrUnsupported, why)
	}
	m.note("buffered: %s", why)
	return nil
}

// notDirect says why the page cache cannot be bypassed, "" if it can.
func (m *medium) notDirect() string {
	if m.inMemory {
		return m.fs + " is memory, there is no cache to bypass"
	}
	unit, _ := m.directUnits()
	switch {
	case unit == 0:
		return "this system or file has no direct I/O"
	case m.size.Load()%int64(unit) != 0:
		return fmt.Sprintf("the size of %d bytes is no multiple of the block of %d", m.size.Load(), unit)
	}
	return ""
}

// fail remembers a failed flush.
func (m *medium) fail(err error) error {
	if errors.Is(err, unio.ErrCanceled) || errors.Is(err, unio.ErrUnsupported) {
		return err
	}
	m.lost.CompareAndSwap(nil, &unio.OpError{
		BadByte: -1, Layer: "file", Err: err,
		Detail: "writes before this or an earlier flush may be lost; reopen the device and check",
	})
	return m.lost.Load()
}

// failed returns how an operation fails. A durable write that the medium
// failed may have taken the kernel's report of earlier ones, which no flush
// will bring again: it counts as a flush that failed.
func (m *medium) failed(op *unio.Op, err error) error {
	if op.Flags&unio.Durable != 0 && errors.Is(err, unio.ErrMedia) {
		return m.fail(err)
	}
	return err
}

// flushed returns what a successful flush is worth.
func (m *medium) flushed() error {
	if e := m.lost.Load(); e != nil {
		return e
	}
	return nil
}

// handle is the file as a region.
type handle struct{ m *medium }

func (h handle) Size() int64  { return h.m.size.Load() }
func (h handle) Close() error { return nil } // the file is the device's

// fileHandle is a regular file's: its length can change.
type fileHandle struct{ handle }

// Resize truncates or extends the file; new space is sparse.
func (h fileHandle) Resize(_ context.Context, size int64) error {
	m := h.m
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.f.Truncate(size); err != nil {
		return causeOf(err)
	}
	if err := m.f.Sync(); err != nil {
		return m.fail(causeOf(err))
	}
	m.size.Store(size)
	m.mapped.Store(nil)
	return nil
}

// mapMemory maps a file that is in memory anyway.
func (m *medium) mapMemory() {
	if !m.inMemory {
		return
	}
	mapping, err := memory.Map(m.f, m.size.Load(), memory.MapOptions{ReadOnly: m.readOnly})
	if err != nil {
		m.note("not mapped: %v", err)
		return
	}
	m.mapping = mapping
	m.mapped.Store(mapping)
}

// close releases the file. Nothing uses it any more.
func (m *medium) close() error {
	err := m.f.Close()
	if m.mapping != nil {
		err = errors.Join(err, m.mapping.Close())
	}
	return err
}
