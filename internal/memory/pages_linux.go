package memory

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

// adviseHugePages asks for transparent huge pages, best effort: a kernel built
// without them refuses, and the memory works all the same.
func adviseHugePages(base unsafe.Pointer, span int64) {
	_ = unix.Madvise(unsafe.Slice((*byte)(base), span), unix.MADV_HUGEPAGE)
}
