package rdma

import (
	"encoding/binary"
	"math/bits"
	"sync/atomic"
	"unsafe"

	"github.com/unio-stack/unio"
	"github.com/unio-stack/unio/internal/iwarp"
	"github.com/unio-stack/unio/internal/memory"
)

// onFree asks for a call when the Buffer is freed that p is part of, and returns what withdraws that. It reports false if the
// Buffer is freed already.
func onFree(p []byte, f func()) (forget func(), ok bool) {
	b := memory.Find(unsafe.Pointer(unsafe.SliceData(p)))
	if b == nil {
		return nil, false
	}
	return b.OnFree(f), true
}

const wordSize = 8

// littleEndian says that the processor's words are a region's words.
var littleEndian = binary.NativeEndian.Uint16([]byte{1, 0}) == 1

// apply carries out an atomic on the word at the start of p, whose address is a multiple of 8, and returns its old value.
// Words are little-endian in memory.
func apply(q *iwarp.AtomicRequest, p []byte) uint64 {
	word := (*uint64)(unsafe.Pointer(unsafe.SliceData(p)))
	for {
		old := atomic.LoadUint64(word)
		if atomic.CompareAndSwapUint64(word, old, swapped(q.Apply(swapped(old)))) {
			return swapped(old)
		}
	}
}

// swapped turns a word as the processor has it into its value, or back.
func swapped(w uint64) uint64 {
	if littleEndian {
		return w
	}
	return bits.ReverseBytes64(w)
}

// piece returns the memory of a request from byte at on, as far as it is contiguous.
func piece(r *unio.Request, at int) []byte {
	if r.Vec == nil {
		return r.Data[at:]
	}
	for _, p := range r.Vec {
		if at < len(p) {
			return p[at:]
		}
		at -= len(p)
	}
	return nil
}

// spread copies src into the request's memory.
func spread(r *unio.Request, src []byte) {
	for at := 0; len(src) > 0; {
		n := copy(piece(r, at), src)
		at, src = at+n, src[n:]
	}
}

// room is how many bytes the request's memory has.
func room(r *unio.Request) int {
	if r.Vec == nil {
		return len(r.Data)
	}
	n := 0
	for _, p := range r.Vec {
		n += len(p)
	}
	return n
}
