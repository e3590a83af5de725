package memory

import "golang.org/x/sys/unix"

// mapFile maps the file fd: synchronously where the file system can and this
// processor can write back its caches, else only shared. MAP_SHARED_VALIDATE
// makes file systems refuse a MAP_SYNC they do not honour (EOPNOTSUPP), and
// kernels before 4.15 refuse both.
func (m *Mapping) mapFile(fd int) (err error) {
	prot := unix.PROT_READ | unix.PROT_WRITE
	if m.readOnly {
		prot = unix.PROT_READ
	}
	if WriteBackInstruction() != noInstruction {
		const flags = unix.MAP_SHARED_VALIDATE | unix.MAP_SYNC
		if m.base, err = unix.MmapPtr(fd, 0, nil, uintptr(m.span), prot, flags); err == nil {
			m.synchronous = true
			return nil
		}
	}
	m.base, err = unix.MmapPtr(fd, 0, nil, uintptr(m.span), prot, unix.MAP_SHARED)
	return err
}

// syncPages writes the pages of a range to the storage. Preconditions: n > 0,
// m.mu is held, m is open.
func (m *Mapping) syncPages(off, n int64) error {
	return unix.Msync(m.pages(off, n), unix.MS_SYNC)
}

// dropFile has nothing to close: msync needs no descriptor.
func (m *Mapping) dropFile() error { return nil }
