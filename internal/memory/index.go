package memory

import (
	"slices"
	"sort"
	"sync"
	"sync/atomic"
)

// leafSpans bounds the spans of one leaf: with 10,000 blocks an update copies
// about 150 leaf entries and one leaf, some 6 KiB, instead of all spans.
const leafSpans = 128

// live holds the blocks of the process.
var live = newRegistry()

// registry is the set of live blocks: readers take the published index and
// need no lock; writers replace it under mu.
type registry struct {
	current atomic.Pointer[spanIndex] // never nil; what it points to never changes

	mu     sync.Mutex
	blocks int   // guarded by mu
	bytes  int64 // guarded by mu; whole pages
}

func newRegistry() *registry {
	r := &registry{}
	r.current.Store(&spanIndex{})
	return r
}

func (r *registry) insert(b *Block) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.current.Store(r.current.Load().with(spanOf(b)))
	r.blocks++
	r.bytes += int64(b.span)
}

func (r *registry) remove(b *Block) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.current.Store(r.current.Load().without(spanOf(b)))
	r.blocks--
	r.bytes -= int64(b.span)
}

func (r *registry) totals() (int, int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.blocks, r.bytes
}

// span is the address range [start, end) of one block.
type span struct {
	start, end uintptr
	block      *Block
}

func spanOf(b *Block) span {
	start := uintptr(b.base)
	return span{start, start + uintptr(b.span), b}
}

// spanIndex maps addresses to blocks: a sorted tree of two levels whose spans
// never overlap. An update copies the upper level and one or two leaves; the
// rest is shared with the index before.
type spanIndex struct {
	lows   []uintptr // lows[i] is leaves[i][0].start; ascending; immutable
	leaves [][]span  // none empty, each ascending; immutable
}

// find returns the block whose span contains addr, or nil.
func (x *spanIndex) find(addr uintptr) *Block {
	// The number of entries that start at or before addr, by halving: the
	// loops carry no unpredictable exit, which is what sort.Search costs.
	i, n := 0, len(x.lows)
	for n > 0 {
		half := (n + 1) >> 1
		if x.lows[i+half-1] <= addr {
			i += half
		}
		n -= half
	}
	if i == 0 {
		return nil
	}
	leaf := x.leaves[i-1]
	i, n = 0, len(leaf)
	for n > 0 {
		half := (n + 1) >> 1
		if leaf[i+half-1].start <= addr {
			i += half
		}
		n -= half
	}
	if s := &leaf[i-1]; addr < s.end {
		return s.block
	}
	return nil
}

// leafOf returns the position of the leaf that holds, or should hold, a span
// that starts at start.
func (x *spanIndex) leafOf(start uintptr) int {
	i := sort.Search(len(x.lows), func(i int) bool { return x.lows[i] > start })
	return max(i-1, 0)
}

// with returns a copy of x that also has s.
func (x *spanIndex) with(s span) *spanIndex {
	if len(x.leaves) == 0 {
		return x.replace(0, 0, []span{s})
	}
	i := x.leafOf(s.start)
	old := x.leaves[i]
	at, _ := slices.BinarySearchFunc(old, s, compareStart)
	leaf := make([]span, 0, len(old)+1)
	leaf = append(append(append(leaf, old[:at]...), s), old[at:]...)
	if len(leaf) <= leafSpans {
		return x.replace(i, i+1, leaf)
	}
	half := len(leaf) / 2
	return x.replace(i, i+1, leaf[:half:half], leaf[half:])
}

// without returns a copy of x that lacks s. A leaf that has shrunk is joined
// with its neighbour, so that the upper level stays proportional to the blocks.
func (x *spanIndex) without(s span) *spanIndex {
	i := x.leafOf(s.start)
	old := x.leaves[i]
	at, _ := slices.BinarySearchFunc(old, s, compareStart)
	leaf := slices.Concat(old[:at], old[at+1:])
	if len(leaf) == 0 {
		return x.replace(i, i+1)
	}
	if i+1 < len(x.leaves) && len(leaf)+len(x.leaves[i+1]) <= leafSpans/2 {
		return x.replace(i, i+2, slices.Concat(leaf, x.leaves[i+1]))
	}
	if i > 0 && len(leaf)+len(x.leaves[i-1]) <= leafSpans/2 {
		return x.replace(i-1, i+1, slices.Concat(x.leaves[i-1], leaf))
	}
	return x.replace(i, i+1, leaf)
}

// replace returns a copy of x with leaves[from:to] replaced.
func (x *spanIndex) replace(from, to int, leaves ...[]span) *spanIndex {
	n := len(x.leaves) - (to - from) + len(leaves)
	y := &spanIndex{lows: make([]uintptr, 0, n), leaves: make([][]span, 0, n)}
	y.leaves = append(y.leaves, x.leaves[:from]...)
	y.leaves = append(y.leaves, leaves...)
	y.leaves = append(y.leaves, x.leaves[to:]...)
	for _, leaf := range y.leaves {
		y.lows = append(y.lows, leaf[0].start)
	}
	return y
}

func compareStart(a, b span) int {
	switch {
	case a.start < b.start:
		return -1
	case a.start > b.start:
		return 1
	}
	return 0
}
