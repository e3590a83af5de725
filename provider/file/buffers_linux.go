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
	// misses counts uses of Buffers that had no slot while none was empty; owner's.
	misses uint32
	byTag  []uint8 // the slot that an operation uses, plus 1; owner's

	mu     sync.Mutex // held while slots change hands
	closed bool       // guarded by mu
	slots  [bufferSlots]bufferSlot
}

type bufferSlot struct {
	block  atomic.Pointer[memory.Block] // stored under mu
	usable bool                         // registered; owner's
	uses   int32                        // operations that name the slot; owner's
	forget func()                       // removes the hook on block; owner's
}

const (
	// bufferSlots Buffers stay registered at a time with one ring.
	bufferSlots = 64
	// missesPerEviction: one miss in so many takes a slot from another Buffer.
	// To register costs more than to go without, and an application that goes
	// round more Buffers than there are slots would do it every time.
	missesPerEviction = 16
)

func (t *bufferTable) init(ring *uring.Ring, depth int) {
	if ring.RegisterBuffersSparse(bufferSlots) == nil { // Linux 5.19
		t.ring = ring
		t.byTag = make([]uint8, depth)
	}
}

// use returns where n bytes at p are registered, if they are, and keeps the
// slot as it is until done is called for the tag: the kernel looks into it when
// it takes the entry, which may be later than the next use.
func (t *bufferTable) use(tag int, p unsafe.Pointer, n int) (uint16, bool) {
	b := memory.Find(p)
	if b == nil || t.ring == nil || !b.Contains(p, n) {
		return 0, false
	}
	if t.slots[t.last].block.Load() != b && !t.find(b) {
		return 0, false
	}
	s := &t.slots[t.last]
	if s.usable {
		s.uses++
		t.byTag[tag] = uint8(t.last + 1)
	}
	return uint16(t.last), s.usable
}

// done ends the use of a slot by the operation with the tag.
func (t *bufferTable) done(tag int) {
	if t.ring == nil {
		return
	}
	if i := t.byTag[tag]; i > 0 {
		t.byTag[tag] = 0
		t.slots[i-1].uses--
	}
}

// find makes last b's slot, after giving it one if it has none; false if it
// gets none.
func (t *bufferTable) find(b *memory.Block) bool {
	for i := range t.slots {
		if t.slots[i].block.Load() == b {
			t.last = i
			return true
		}
	}
	i := t.vacate()
	if i < 0 {
		return false
	}
	t.register(i, b)
	t.last = i
	return true
}

// vacate returns an empty slot or one that may be taken from its Buffer, or -1.
func (t *bufferTable) vacate() int {
	for i := range t.slots {
		if s := &t.slots[i]; s.block.Load() == nil && s.uses == 0 {
			return i
		}
	}
	if t.misses++; t.misses%missesPerEviction != 1 {
		return -1
	}
	for range t.slots {
		i := t.next
		if t.next = (t.next + 1) % bufferSlots; t.slots[i].uses == 0 {
			return i
		}
	}
	return -1
}

// register gives b slot i.
func (t *bufferTable) register(i int, b *memory.Block) {
	s := &t.slots[i]
	if s.forget != nil {
		s.forget()
	}
	t.mu.Lock()
	if s.usable = t.ring.UpdateBuffer(uint32(i), b.Bytes()) == nil; !s.usable {
		_ = t.ring.ClearBuffer(uint32(i)) // of whose the slot was
	}
	s.block.Store(b)
	t.mu.Unlock()
	s.forget = b.OnFree(func() { t.drop(i, b) }) // not under mu, which the hook takes
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
