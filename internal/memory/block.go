package memory

import (
	"fmt"
	"math"
	"sync"
	"sync/atomic"
	"unsafe"
)

// hugePage is the size, in bytes, at and above which allocations are aligned
// so that the kernel can back them with transparent huge pages.
const hugePage = 2 << 20

// lastID is the last [Block.ID] given out; identifiers start at 1.
var lastID atomic.Uint64

// A Block is anonymous memory outside the Go heap: page-aligned, never moved
// and never scanned by the garbage collector, so a kernel ring or another
// process may hold its address. It is the memory behind a unio Buffer.
//
// A Block is owned by whoever called [Alloc] and lives until [Block.Free];
// dropping the last reference does not free it. All methods may be called from
// any goroutine; access to the bytes is the callers' to order.
//
// Free while an operation uses the block is the caller's bug: it has the effect
// that the Go runtime or the device touches an address that is unmapped, or
// that belongs to a later mapping. The package cannot see operations in flight,
// so its users define the case: a device registers an [Block.OnFree] hook when
// it first uses a block, and the hook refuses new requests and waits for, or
// cancels and fences, those in flight before it returns. Only when every hook
// has returned is the memory unmapped.
type Block struct {
	base unsafe.Pointer // immutable after Alloc
	size int            // asked length; immutable after Alloc
	span int            // mapped length, whole pages; immutable after Alloc
	id   uint64         // immutable after Alloc

	gone atomic.Bool   // set once, after the hooks and before the unmapping
	done chan struct{} // closed when Free is finished

	mu       sync.Mutex
	freeing  bool            // guarded by mu; never reset
	hooks    map[uint64]hook // guarded by mu; nil until the first OnFree
	lastHook uint64          // guarded by mu
}

// hook is one function registered by OnFree.
type hook func()

// Alloc maps size bytes of zeroed memory, rounded up to whole pages. From
// 2 MiB on, the block is aligned to 2 MiB and the kernel is asked for huge
// pages; whether it gives them is not an error. No page is resident before its
// first use.
//
// The error says that size is not positive, or carries the mapping's errno:
// ENOMEM when the address space or the number of mappings (vm.max_map_count)
// is used up.
func Alloc(size int) (*Block, error) {
	span, err := roundToPages(int64(size))
	if err != nil {
		return nil, fmt.Errorf("allocate a block: %w", err)
	}
	base, err := mapAnonymous(span, false)
	if err != nil {
		return nil, fmt.Errorf("allocate a block of %d bytes: %w", size, err)
	}
	b := &Block{
		base: base, size: size, span: int(span),
		id: lastID.Add(1), done: make(chan struct{}),
	}
	live.insert(b)
	return b, nil
}

// Find returns the live block that contains the address p, or nil. It takes no
// lock and allocates nothing, and may run while blocks come and go. The answer
// is about the moment of the call: it says nothing of a Free that follows,
// which is why only the owner of a buffer in use may look it up.
func Find(p unsafe.Pointer) *Block {
	return live.current.Load().find(uintptr(p))
}

// Live returns how many blocks exist and how many bytes they map, rounded to
// pages. Tests compare it before and after to find leaks.
func Live() (blocks int, bytes int64) {
	return live.totals()
}

// Bytes returns the block's memory: its length is what [Alloc] was asked for,
// its capacity the whole pages behind it. It returns nil once the block is
// freed; slices taken before that are then invalid, and touching them crashes
// the process.
func (b *Block) Bytes() []byte {
	if b.gone.Load() {
		return nil
	}
	return unsafe.Slice((*byte)(b.base), b.span)[:b.size]
}

// ID returns the number of the block: unique in this process and never reused,
// unlike its address. It is never 0.
func (b *Block) ID() uint64 { return b.id }

// Contains reports whether all n bytes at p lie in the block's pages, live or
// freed. An empty range is contained when p is, or is the end of the block.
func (b *Block) Contains(p unsafe.Pointer, n int) bool {
	off := uintptr(p) - uintptr(b.base)
	return n >= 0 && off <= uintptr(b.span) && uintptr(n) <= uintptr(b.span)-off
}

// OnFree asks that f run when the block is freed, while its memory is still
// mapped; a device uses it to unregister the block. Hooks run one after
// another in no promised order, in the goroutine that calls [Block.Free], and
// must not call Free on the same block.
//
// When Free has already begun, f runs at once, in the caller, and the memory
// may be gone. The returned function withdraws f; it may be called from
// anywhere, any number of times, and does not wait for an f that already runs.
// A nil f is ignored.
//
// OnFree belongs to the control path: it locks and allocates.
func (b *Block) OnFree(f func()) (remove func()) {
	if f == nil {
		return func() {}
	}
	b.mu.Lock()
	if b.freeing {
		b.mu.Unlock()
		f()
		return func() {}
	}
	defer b.mu.Unlock()
	if b.hooks == nil {
		b.hooks = make(map[uint64]hook)
	}
	b.lastHook++
	key := b.lastHook
	b.hooks[key] = f
	return func() { b.takeHook(key) }
}

// Free hides the block from [Find], runs the hooks, and unmaps the memory. It
// returns when all that is done. Further calls wait for the first and return
// nil. See [Block] for what must be true before.
//
// An error means that the kernel refused the unmapping; the memory is then
// lost to the process, and nothing is left to do about it.
func (b *Block) Free() error {
	b.mu.Lock()
	first := !b.freeing
	b.freeing = true
	b.mu.Unlock()
	if !first {
		<-b.done
		return nil
	}
	defer close(b.done)
	live.remove(b)
	b.runHooks()
	b.gone.Store(true)
	if err := unmap(b.base, int64(b.span)); err != nil {
		return fmt.Errorf("free a block of %d bytes: %w", b.size, err)
	}
	return nil
}

// runHooks runs each hook that has not been withdrawn, outside the lock, so
// that a hook may withdraw others.
func (b *Block) runHooks() {
	for {
		f := b.takeHook(0)
		if f == nil {
			return
		}
		f()
	}
}

// takeHook removes and returns the hook of key, or any hook when key is 0, or
// nil when there is none.
func (b *Block) takeHook(key uint64) hook {
	b.mu.Lock()
	defer b.mu.Unlock()
	if key == 0 {
		for key = range b.hooks {
			break
		}
	}
	f := b.hooks[key]
	delete(b.hooks, key)
	return f
}

// roundToPages returns size rounded up to whole pages, or why it cannot be
// mapped.
func roundToPages(size int64) (int64, error) {
	if size <= 0 {
		return 0, fmt.Errorf("size %d bytes: must be positive", size)
	}
	if size > math.MaxInt64-2*hugePage {
		return 0, fmt.Errorf("size %d bytes: more than an address space holds", size)
	}
	return (size + pageSize - 1) &^ (pageSize - 1), nil
}
