package memory

import (
	"errors"
	"fmt"
	"math/bits"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// The units in which residency is remembered, as powers of two of bytes. Page
// cache is populated for writing page by page, because each page so populated
// is dirty.
const (
	fileShift      = 16
	anonymousShift = 21
)

// shifts returns the units for reading and for writing.
func (m *Mapping) shifts() (read, write uint) {
	pageShift := uint(bits.TrailingZeros64(uint64(pageSize)))
	switch {
	case m.anonymous:
		return anonymousShift, anonymousShift
	case m.synchronous:
		return max(fileShift, pageShift), max(fileShift, pageShift)
	}
	return max(fileShift, pageShift), pageShift
}

// startResidency prepares the marks of a new mapping, before it is shared.
func (m *Mapping) startResidency(refresh time.Duration) {
	read, write := m.shifts()
	m.readable = newMarks(m.size, read)
	m.writable = newMarks(m.size, write)
	m.refresh = refresh
	if refresh == 0 {
		m.refresh = defaultRefresh
	}
	m.aging = time.AfterFunc(time.Hour, m.age)
	m.aging.Stop()
}

// Touch makes the pages of n bytes at off resident and mapped, for writing or
// for reading only, so that the accesses that follow do not fault. What is not
// resident is fetched inside a system call, during which the Go scheduler hands
// the processor to other goroutines; a fault taken by Go code would hold it, for as
// long as the storage takes. Touch changes no byte.
//
// Touch fetches whole units and remembers them: 64 KiB of a file, but single
// pages for writing where that makes them dirty, and 2 MiB of anonymous memory. Where
// all units are remembered it costs a few nanoseconds and neither allocates nor
// locks. Touching a file's hole for writing allocates it.
//
// What is remembered can become untrue, and Touch forgets it in time:
//
//   - Page cache may be reclaimed, and anonymous memory swapped out when the
//     machine had swap at the time of the mapping. So such units are forgotten after
//     [MapOptions.Refresh]: within that time an access can still stall, if the
//     kernel reclaimed a page that was used less than that time ago. After
//     [Mapping.LockPages] it cannot, for reading.
//   - A file's page that the kernel has written back faults again at the
//     next write, which can wait for the file system's journal. Units for
//     writing are forgotten after Refresh, and when [Mapping.Flush] wrote them.
//   - Truncating the file or punching holes in it takes pages away at once. No refresh
//     covers that: copy with [CopyGuarded].
//
// Errors: a [*FaultError] with the offset of the first page that cannot be had
// (the file shrank: EFAULT; no space for a hole: EFAULT; bad memory: EHWPOISON;
// no memory: ENOMEM), and others for a range outside the mapping, for writing
// where the mapping is read-only, and [ErrClosed].
func (m *Mapping) Touch(off, n int64, write bool) error {
	k := &m.readable
	if write {
		k = &m.writable
	}
	first, end := uint64(off), uint64(off+n-1)
	if first <= end && end < uint64(m.size) && first>>k.shift == end>>k.shift && k.has(end>>k.shift) {
		return nil
	}
	return m.touch(off, n, write, k)
}

// Forget tells Touch that the pages of the range are resident no more: the
// caller has freed them. Units that lie in the range only in part stay known:
// to populate them anew would bring back what was freed, and what is touched of
// them costs an ordinary fault. A range outside the mapping is nothing.
func (m *Mapping) Forget(off, n int64) {
	if n <= 0 || m.checkRange(off, n) != nil {
		return
	}
	for _, k := range []*marks{&m.readable, &m.writable} {
		first, end := uint64(off+1<<k.shift-1)>>k.shift, uint64(off+n)>>k.shift
		if first < end {
			k.clear(first, end-1)
		}
	}
}

// touch is Touch for ranges of several units and for units not marked.
func (m *Mapping) touch(off, n int64, write bool, k *marks) error {
	if err := m.checkRange(off, n); err != nil {
		return fmt.Errorf("touch: %w", err)
	}
	if n == 0 {
		return nil
	}
	first, last := uint64(off)>>k.shift, uint64(off+n-1)>>k.shift
	if k.covers(first, last) {
		return nil
	}
	if write && m.readOnly {
		return errors.New("touch for writing: mapping is read-only")
	}
	return m.fetch(off, n, write, k)
}

// fetch populates the unmarked units of a range and marks them.
func (m *Mapping) fetch(off, n int64, write bool, k *marks) error {
	m.mu.RLock()
	defer m.mu.RUnlock()
	if m.closed {
		return fmt.Errorf("touch: %w", ErrClosed)
	}
	first, last, some := k.missing(uint64(off)>>k.shift, uint64(off+n-1)>>k.shift)
	if !some {
		return nil
	}
	start := int64(first << k.shift)
	end := min(int64((last+1)<<k.shift), m.span)
	if m.populateUnits(start, end, write) != nil {
		// What is bad may be a neighbour in the unit: nothing is marked, and
		// only the pages asked for decide.
		return m.populatePages(off&^(pageSize-1), off+n, write)
	}
	k.set(first, last)
	if m.evictable(write) && m.armed.CompareAndSwap(false, true) {
		m.aging.Reset(m.refresh)
	}
	return nil
}

// populateUnits populates the pages from start to end in one system call, or
// page by page once the kernel has said that it cannot.
// Preconditions: m.mu is held, m is open.
func (m *Mapping) populateUnits(start, end int64, write bool) error {
	if !m.perPage.Load() {
		err := populate(m.pages(start, end-start), write)
		if !errors.Is(err, unix.EINVAL) {
			return err
		}
		m.perPage.Store(true)
	}
	return m.populatePages(start, end, write)
}

// populatePages populates the pages from start to end one by one and says
// which is the first that cannot be had. Preconditions: as populateUnits.
func (m *Mapping) populatePages(start, end int64, write bool) error {
	one := populate
	if m.perPage.Load() {
		one = populatePage
	}
	for off := start; off < end; off += pageSize {
		if err := one(m.pages(off, pageSize), write); err != nil {
			return &FaultError{Addr: uintptr(unsafe.Add(m.base, off)), Off: off, Err: err}
		}
	}
	return nil
}

// age forgets what may have become untrue since it was armed. A mark that is
// set while age runs survives or is forgotten; either way the timer is armed
// when one survives, since fetch marks before it arms.
func (m *Mapping) age() {
	m.mu.RLock()
	defer m.mu.RUnlock()
	m.armed.Store(false)
	if m.evictable(false) {
		m.readable.clearAll()
	}
	if m.evictable(true) {
		m.writable.clearAll()
	}
}

// evictable reports whether pages touched for reading, or for writing, may
// fault again without anyone here having asked for that.
// Preconditions: m.mu is held.
func (m *Mapping) evictable(write bool) bool {
	switch {
	case m.anonymous:
		return m.swappable && !m.locked
	case write:
		return true // write-protected by each write-back, locked or not, DAX too
	}
	return !m.synchronous && !m.locked
}

// LockPages asks the kernel to keep in memory every page from its first touch
// on (mlock2 with MLOCK_ONFAULT), so that
// [Mapping.Touch] need not be repeated for reading. Writing to a file faults
// again after each write-back all the same.
//
// The whole mapping counts against RLIMIT_MEMLOCK: the error carries ENOMEM or
// EPERM when that is too low, ENOSYS before Linux 4.4 and on darwin; the mapping then works
// as before. Close unlocks.
func (m *Mapping) LockPages() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed {
		return fmt.Errorf("lock pages: %w", ErrClosed)
	}
	if err := lockOnFault(m.pages(0, m.size)); err != nil {
		return fmt.Errorf("lock pages of a mapping of %d bytes: %w", m.size, err)
	}
	m.locked = true
	m.readable.clearAll() // a page may have gone between its touch and now
	return nil
}

// Evictable reports whether pages touched for reading, or for writing, are
// forgotten after [MapOptions.Refresh] because the kernel may take them back.
func (m *Mapping) Evictable(write bool) bool {
	m.mu.RLock()
	defer m.mu.RUnlock()
	return m.evictable(write)
}
