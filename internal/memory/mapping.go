package memory

import (
	"errors"
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"time"
	"unsafe"
)

// ErrClosed is what the methods of a closed [Mapping] return.
var ErrClosed = errors.New("mapping is closed")

// defaultRefresh is [MapOptions.Refresh] when it is zero.
const defaultRefresh = time.Second

// MapOptions configure [Map]. The zero value maps for reading and writing.
type MapOptions struct {
	// ReadOnly maps without the right to write; writing then crashes the
	// process, or is a [*FaultError] under [CopyGuarded].
	ReadOnly bool

	// Refresh is how long [Mapping.Touch] trusts that a page is still resident
	// when the kernel may have taken it back. Default one second; not negative.
	Refresh time.Duration
}

// A Mapping is a file or anonymous memory in the address space, owned by whoever
// made it, until [Mapping.Close]. Its methods may be called from any goroutine;
// accesses to the bytes are the callers' to order, and to end before Close:
// later ones crash the process or, where the address has been mapped anew,
// reach foreign memory.
type Mapping struct {
	base unsafe.Pointer // immutable after newMapping
	size int64          // asked length in bytes; immutable after newMapping
	span int64          // mapped length, whole pages; immutable after newMapping

	anonymous   bool // immutable after newMapping
	readOnly    bool // immutable after newMapping
	synchronous bool // immutable after newMapping
	swappable   bool // anonymous, and the machine has swap; immutable after newMapping
	fd          int  // for flushes that need one, or -1; closed by Close

	readable marks         // units populated for reading
	writable marks         // units populated for writing
	refresh  time.Duration // greatest age of a mark that may go stale; immutable
	aging    *time.Timer   // runs age; idle while no mark may go stale
	armed    atomic.Bool   // aging is set, and age has not begun
	perPage  atomic.Bool   // the kernel cannot populate this mapping in one call

	gone atomic.Bool // set by Close before the unmapping

	mu     sync.RWMutex // held for reading by system calls on the mapping
	closed bool         // guarded by mu
	locked bool         // guarded by mu; the kernel keeps resident what was touched
}

// Map maps the first size bytes of f, shared with everyone who uses the file.
// Where the file system gives memory that is itself the storage (DAX), the
// mapping is synchronous: [Mapping.Flush] needs no system call. f may be closed
// afterwards.
//
// A regular file must have at least size bytes, and should keep them: touching a page
// beyond a file's end faults. Map refuses a size that is not positive, and
// passes on the kernel's refusal: EACCES when f lacks the rights (read, and
// write unless opt.ReadOnly), ENODEV when f cannot be mapped, EINVAL when a
// device wants a size of larger units.
func Map(f *os.File, size int64, opt MapOptions) (*Mapping, error) {
	if f == nil {
		return nil, errors.New("map: no file given")
	}
	span, err := checkMap(f, size, opt)
	if err != nil {
		return nil, fmt.Errorf("map %s: %w", f.Name(), err)
	}
	conn, err := f.SyscallConn()
	if err != nil {
		return nil, fmt.Errorf("map %s: %w", f.Name(), err)
	}
	m := &Mapping{size: size, span: span, readOnly: opt.ReadOnly, fd: -1}
	var mapErr error
	err = conn.Control(func(fd uintptr) { mapErr = m.mapFile(int(fd)) })
	if err = errors.Join(err, mapErr); err != nil {
		return nil, fmt.Errorf("map %d bytes of %s: %w", size, f.Name(), err)
	}
	m.startResidency(opt.Refresh)
	return m, nil
}

// MapAnonymous maps size bytes of zeroed memory that no file backs and for
// which no memory or swap is reserved: pages come with their first use, and the
// machine may then be out of memory. [Mapping.Flush] has nothing to do.
func MapAnonymous(size int64) (*Mapping, error) {
	span, err := roundToPages(size)
	if err != nil {
		return nil, fmt.Errorf("map anonymous memory: %w", err)
	}
	base, err := mapAnonymous(span, true)
	if err != nil {
		return nil, fmt.Errorf("map %d bytes of anonymous memory: %w", size, err)
	}
	m := &Mapping{base: base, size: size, span: span, anonymous: true, swappable: hasSwap(), fd: -1}
	m.startResidency(0)
	return m, nil
}

// checkMap returns the bytes to map, or why the arguments are refused.
func checkMap(f *os.File, size int64, opt MapOptions) (int64, error) {
	if opt.Refresh < 0 {
		return 0, fmt.Errorf("refresh %v: must not be negative", opt.Refresh)
	}
	span, err := roundToPages(size)
	if err != nil {
		return 0, err
	}
	info, err := f.Stat()
	if err != nil {
		return 0, err
	}
	if info.Mode().IsRegular() && info.Size() < size {
		return 0, fmt.Errorf("size %d bytes: the file has only %d; extend it first", size, info.Size())
	}
	return span, nil
}

// Bytes returns the mapped memory, of the asked length, or nil once closed.
func (m *Mapping) Bytes() []byte {
	if m.gone.Load() {
		return nil
	}
	return unsafe.Slice((*byte)(m.base), m.size)
}

// Size returns the mapping's length in bytes.
func (m *Mapping) Size() int64 { return m.size }

// Synchronous reports whether stores reach the storage by [WriteBack] and
// [Fence] alone (MAP_SYNC on DAX).
func (m *Mapping) Synchronous() bool { return m.synchronous }

// OffsetOf returns the offset in bytes of an address in the mapping, and false
// for other addresses. It serves to complete a [*FaultError] of [CopyGuarded].
func (m *Mapping) OffsetOf(addr uintptr) (off int64, ok bool) {
	d := addr - uintptr(m.base)
	return int64(d), d < uintptr(m.span)
}

// Close unmaps the memory, after the system calls of [Mapping.Touch] and
// [Mapping.Flush] that are under way. It does not flush. Further calls return
// nil. An error means that the kernel refused the unmapping.
func (m *Mapping) Close() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed {
		return nil
	}
	m.closed = true
	m.gone.Store(true)
	m.aging.Stop()
	m.readable.clearAll()
	m.writable.clearAll()
	if err := errors.Join(m.dropFile(), unmap(m.base, m.span)); err != nil {
		return fmt.Errorf("close a mapping of %d bytes: %w", m.size, err)
	}
	return nil
}

// checkRange returns an error unless n bytes at off lie in the mapping.
func (m *Mapping) checkRange(off, n int64) error {
	if off < 0 || n < 0 || off > m.size || n > m.size-off {
		return fmt.Errorf("range of %d bytes at offset %d: outside the mapping of %d bytes", n, off, m.size)
	}
	return nil
}

// pages returns the mapped memory from the page of off to the end of the page
// of off+n-1.
func (m *Mapping) pages(off, n int64) []byte {
	start := off &^ (pageSize - 1)
	end := (off + n + pageSize - 1) &^ (pageSize - 1)
	return unsafe.Slice((*byte)(unsafe.Add(m.base, start)), end-start)
}
