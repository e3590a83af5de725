package memory

import "golang.org/x/sys/unix"

// mapFile maps the file fd, and keeps a descriptor of it for syncPages.
func (m *Mapping) mapFile(fd int) (err error) {
	prot := unix.PROT_READ | unix.PROT_WRITE
	if m.readOnly {
		prot = unix.PROT_READ
	}
	if m.fd, err = unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 0); err != nil {
		return err
	}
	m.base, err = unix.MmapPtr(fd, 0, nil, uintptr(m.span), prot, unix.MAP_SHARED)
	if err != nil {
		_ = m.dropFile()
	}
	return err
}

// syncPages hands the pages of a range to the storage and then makes it empty
// its volatile cache, which msync leaves out (fcntl(2), F_FULLFSYNC).
// Preconditions: n > 0, m.mu is held, m is open.
func (m *Mapping) syncPages(off, n int64) error {
	if err := unix.Msync(m.pages(off, n), unix.MS_SYNC); err != nil {
		return err
	}
	if _, err := unix.FcntlInt(uintptr(m.fd), unix.F_FULLFSYNC, 0); err == nil {
		return nil
	}
	return unix.Fsync(m.fd)
}

// dropFile closes the descriptor that mapFile kept.
func (m *Mapping) dropFile() error { return unix.Close(m.fd) }
