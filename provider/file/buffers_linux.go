package file

import (
	"sync"
	"sync/atomic"
	"unsafe"

	"github.com/unio-stack/unio/internal/memory"
	"github.com/unio-stack/unio/internal/uring"
)

// bufferTable registers Buffers with a ring when they are first used, so that
// the kernel need not pin their pages for every request. What cannot be
// registered (RLIMIT_MEMLOCK) is used unregistered.
type bufferTable struct {
	ring *uring.Ring
	last int // slot of the last hit; owner's
	next int // slot to be given away next; owner's

	mu     sync.Mutex // held while slots change hands
	closed bool       // guarded by mu
	slots  [bufferSlots]bufferSlot
}

type bufferSlot struct {
	block  atomic.Pointer[memory.Block] // stored under mu
	usable bool                         // registered; owner's
	forget func()                       // removes the hook on block; owner's
}

// bufferSlots Buffers stay registered at a time with one ring.
const bufferSlots = 64

func (t *bufferTable) init(ring *uring.Ring) {
	if ring.RegisterBuffersSparse(bufferSlots) == nil { // Linux 5.19
		t.ring = ring
	}
}

// slot returns where n bytes at p are registered, if they are.
func (t *bufferTable) slot(p unsafe.Pointer, n int) (uint16, bool) {
	b := memory.Find(p)
	if b == nil || t.ring == nil || !b.Contains(p, n) {
		return 0, false
	}
	if t.slots[t.last].block.Load() != b {
		t.last = t.find(b)
	}
	return uint16(t.last), t.slots[t.last].usable
}

// find returns b's slot, after giving it one if it has none.
func (t *bufferTable) find(b *memory.Block) int {
	for i := range t.slots {
		if t.slots[i].block.Load() == b {
			return i
		}
	}
	return t.register(b)
}

// register gives b the slot whose turn it is.
func (t *bufferTable) register(b *memory.Block) int {
	i := t.next
	t.next = (t.next + 1) % bufferSlots
	s := &t.slots[i]
	if s.forget != nil {
		s.forget()
	}
	t.mu.Lock()
	s.usable = t.ring.UpdateBuffer(uint32(i), b.Bytes()) == nil
	s.block.Store(b)
	t.mu.Unlock()
	s.forget = b.OnFree(func() { t.drop(i, b) }) // not under mu, which the hook takes
	return i
}

// drop empties a slot whose block is being freed. Called from any goroutine.
func (t *bufferTable) drop(i int, b *memory.Block) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if s := &t.slots[i]; s.block.Load() == b && !t.closed {
		s.block.Store(nil)
		_ = t.ring.ClearBuffer(uint32(i)) // fails on a pinned ring, which unpins when the slot is given away
	}
}

// close forgets all blocks. The ring is closed after it.
func (t *bufferTable) close() {
	t.mu.Lock()
	t.closed = true
	t.mu.Unlock()
	for i := range t.slots {
		if s := &t.slots[i]; s.forget != nil {
			s.forget()
			if s.usable && s.block.Load() != nil {
				_ = t.ring.ClearBuffer(uint32(i)) // unpins now; closing does so later
			}
		}
	}
}
