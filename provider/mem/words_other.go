//go:build !amd64 && !arm64

package mem

import (
	"encoding/binary"
	"sync/atomic"
	"unsafe"
)

// copyWords copies n bytes, a multiple of 8, between ranges that do not
// overlap, loading and storing each word once and the aligned ones whole.
func copyWords(dst, src unsafe.Pointer, n, _ uintptr) {
	for i := uintptr(0); i < n; i += wordSize {
		put(unsafe.Add(dst, i), get(unsafe.Add(src, i)))
	}
}

func get(p unsafe.Pointer) uint64 {
	if uintptr(p)%wordSize == 0 {
		return atomic.LoadUint64((*uint64)(p))
	}
	return binary.NativeEndian.Uint64((*[wordSize]byte)(p)[:])
}

func put(p unsafe.Pointer, w uint64) {
	if uintptr(p)%wordSize == 0 {
		atomic.StoreUint64((*uint64)(p), w)
		return
	}
	binary.NativeEndian.PutUint64((*[wordSize]byte)(p)[:], w)
}
