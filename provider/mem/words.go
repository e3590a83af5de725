package mem

import (
	"sync/atomic"
	"unsafe"
)

// wordSize is the unit, in bytes and aligned, in which regions are accessed.
const wordSize = 8

// vector is the alignment, in bytes, that the bulk of copyWords has on the
// region's side, so that no access of it crosses a cache line.
const vector = 32

// load copies a part of a region to dst, of the same length.
func load(dst, region []byte) {
	if (address(region)|uintptr(len(region)))%wordSize == 0 {
		copyWords(pointer(dst), pointer(region), uintptr(len(region)), lead(region))
		return
	}
	head, end := raggedEnds(region)
	if head > 0 {
		loadPart(dst[:head], region)
	}
	if head < end {
		loadWords(dst[head:end], region[head:end])
	}
	if end < len(region) {
		loadPart(dst[end:], region[end:])
	}
}

// store copies src to a part of a region, of the same length.
func store(region, src []byte) {
	if (address(region)|uintptr(len(region)))%wordSize == 0 {
		copyWords(pointer(region), pointer(src), uintptr(len(region)), lead(region))
		return
	}
	head, end := raggedEnds(region)
	if head > 0 {
		storePart(region, src[:head])
	}
	if head < end {
		storeWords(region[head:end], src[head:end])
	}
	if end < len(region) {
		storePart(region[end:], src[end:])
	}
}

// raggedEnds returns where the whole words of a part of a region start and end.
func raggedEnds(region []byte) (head, end int) {
	head = min(len(region), int(-address(region)%wordSize))
	return head, head + (len(region)-head)&^(wordSize-1)
}

// loadWords is load for whole words.
func loadWords(dst, region []byte) {
	copyWords(pointer(dst), pointer(region), uintptr(len(region)), lead(region))
}

// storeWords is store for whole words.
func storeWords(region, src []byte) {
	copyWords(pointer(region), pointer(src), uintptr(len(region)), lead(region))
}

// lead returns how many bytes of whole words come before the first vector.
func lead(region []byte) uintptr {
	return min(uintptr(len(region)), -address(region)%vector)
}

// loadPart copies bytes of the one word that holds the first byte of region.
func loadPart(dst, region []byte) {
	word, at := wordOf(region)
	w := atomic.LoadUint64(word)
	copy(dst, (*[wordSize]byte)(unsafe.Pointer(&w))[at:])
}

// storePart replaces bytes of the one word that holds the first byte of
// region. Its other bytes keep what anyone stores there meanwhile.
func storePart(region, src []byte) {
	word, at := wordOf(region)
	for {
		old := atomic.LoadUint64(word)
		w := old
		copy((*[wordSize]byte)(unsafe.Pointer(&w))[at:], src)
		if atomic.CompareAndSwapUint64(word, old, w) {
			return
		}
	}
}

// wordOf returns the word that holds the first byte of region, and that byte's
// place in it. All of the word is mapped, as whole pages are.
func wordOf(region []byte) (word *uint64, at uintptr) {
	at = address(region) % wordSize
	return (*uint64)(unsafe.Add(pointer(region), -int(at))), at
}

func pointer(b []byte) unsafe.Pointer { return unsafe.Pointer(unsafe.SliceData(b)) }
func address(b []byte) uintptr        { return uintptr(pointer(b)) }

// compareSwap stores swap if the word equals compare, and returns what it was.
func compareSwap(word *uint64, compare, swap uint64) (old uint64) {
	for {
		if old := atomic.LoadUint64(word); old != compare {
			return old
		}
		if atomic.CompareAndSwapUint64(word, compare, swap) {
			return compare
		}
	}
}

// fetchAdd adds to the word and returns what it was.
func fetchAdd(word *uint64, add uint64) (old uint64) { return atomic.AddUint64(word, add) - add }
