//go:build linux || darwin

package memory

import (
	"os"
	"unsafe"

	"golang.org/x/sys/unix"
)

// pageSize is the kernel's page size in bytes; a power of two.
var pageSize = int64(os.Getpagesize())

// mapAnonymous maps span bytes, a multiple of the page size, of zeroed memory.
// From hugePage on, the address is a multiple of hugePage and huge pages are
// asked for. With sparse, no swap or commit charge is reserved.
func mapAnonymous(span int64, sparse bool) (unsafe.Pointer, error) {
	flags := unix.MAP_PRIVATE | unix.MAP_ANON
	if sparse {
		flags |= unix.MAP_NORESERVE
	}
	const prot = unix.PROT_READ | unix.PROT_WRITE
	if span < hugePage {
		return unix.MmapPtr(-1, 0, nil, uintptr(span), prot, flags)
	}
	base, err := unix.MmapPtr(-1, 0, nil, uintptr(span+hugePage), prot, flags)
	if err != nil {
		return nil, err
	}
	base, err = trimToHugePage(base, span)
	if err != nil {
		return nil, err
	}
	adviseHugePages(base, span)
	return base, nil
}

// trimToHugePage takes a mapping of span+hugePage bytes and unmaps what is
// outside the span bytes at its first multiple of hugePage.
func trimToHugePage(base unsafe.Pointer, span int64) (unsafe.Pointer, error) {
	head := int64(-uintptr(base) & (hugePage - 1))
	aligned := unsafe.Add(base, head)
	if head > 0 {
		if err := unmap(base, head); err != nil {
			return nil, err
		}
	}
	if tail := hugePage - head; tail > 0 {
		if err := unmap(unsafe.Add(aligned, span), tail); err != nil {
			return nil, err
		}
	}
	return aligned, nil
}

// unmap removes span bytes of mappings at base, whole pages both.
func unmap(base unsafe.Pointer, span int64) error {
	return unix.MunmapPtr(base, uintptr(span))
}
