package memory

import "fmt"

// Flush makes the stores to n bytes at off, done before the call, survive a
// crash. On a synchronous mapping it writes back the cache lines and fences,
// without a system call; else it is msync(MS_SYNC) of the pages, in which the
// kernel also flushes the device's volatile cache (on darwin msync does not, so
// F_FULLFSYNC of the file follows, or fsync where that is not supported).
// Anonymous and read-only mappings have nothing to flush.
//
// Errors: EIO when the storage did not take the data, which the kernel reports
// once and after which the content is unknown; a [*FaultError] when a synchronous
// mapping faults; a range outside the mapping; [ErrClosed].
func (m *Mapping) Flush(off, n int64) error {
	if err := m.checkRange(off, n); err != nil {
		return fmt.Errorf("flush: %w", err)
	}
	m.mu.RLock()
	defer m.mu.RUnlock()
	if m.closed {
		return fmt.Errorf("flush: %w", ErrClosed)
	}
	switch {
	case n == 0 || m.anonymous || m.readOnly:
		return nil
	case m.synchronous:
		return m.flushLines(off, n)
	}
	if err := m.syncPages(off, n); err != nil {
		return fmt.Errorf("flush %d bytes at offset %d: %w", n, off, err)
	}
	// The kernel took away the right to write, to see the next store. One that
	// a Touch meanwhile let through unpopulated stalls, but is not lost.
	k := &m.writable
	k.clear(uint64(off)>>k.shift, uint64(off+n-1)>>k.shift)
	return nil
}

// flushLines writes back and fences a range of a synchronous mapping.
func (m *Mapping) flushLines(off, n int64) error {
	err := Guard(func() {
		WriteBack(m.Bytes()[off : off+n])
		Fence()
	})
	if fault, is := err.(*FaultError); is {
		if at, inside := m.OffsetOf(fault.Addr); inside {
			fault.Off = at
		}
	}
	return err
}
