package target

import (
	"cmp"
	"slices"
	"sync"
	"sync/atomic"
)

// An arena is the I/O memory of one export.
type arena struct {
	pool *pool
	// share and most are slabs: what the pool guarantees, and what it gives at most. Changed with pool.mu held.
	share, most atomic.Int64
	// bell holds a token while the usher is to look who can have memory.
	bell chan struct{}
	stop chan struct{} // closed to end the usher
	// starving says that somebody waits. Changed with mu held.
	starving atomic.Bool

	mu    sync.Mutex
	held  int              // slabs; changed with mu and pool.mu held
	slabs []*slab          // by address; guarded by mu
	roomy [classes][]*slab // those with a free piece, by class; the last is used first; guarded by mu
	inUse int64            // bytes of pieces that are used; guarded by mu
	drawn int64            // bytes that are used of reservations, which are none of the arena's; guarded by mu
	line  line             // who waits for memory; guarded by mu
	heap  waitingHeap      // who waits for others, or for itself; guarded by mu
	turn  *borrower        // whose turn it is; guarded by mu
	waits int64            // how often somebody had to wait; guarded by mu
}

// newArena returns the memory of a new export, which has no share yet.
func newArena(p *pool) (*arena, error) {
	a := &arena{pool: p, bell: make(chan struct{}, 1), stop: make(chan struct{})}
	if err := p.enter(a); err != nil {
		return nil, err
	}
	return a, nil
}

// take returns n bytes, or nil; the capacity is the piece's size. What is free in larger pieces is better than nothing.
func (a *arena) take(n int) []byte {
	class := classFor(n)
	if len(a.roomy[class]) == 0 && !a.grow(class) {
		for class++; class < classes && len(a.roomy[class]) == 0; class++ {
		}
		if class == classes {
			return nil
		}
	}
	slabs := a.roomy[class]
	s := slabs[len(slabs)-1]
	p := s.take(n)
	if s.full() {
		a.roomy[class] = slabs[:len(slabs)-1]
	}
	a.inUse += sizeOf(class)
	return p
}

// grow adds a slab to a class: an unused one of another class, or one of the pool's.
func (a *arena) grow(class int) bool {
	s := a.unused()
	if s == nil {
		if s = a.pool.take(a); s == nil {
			return false
		}
		i, _ := a.find(s.start)
		a.slabs = slices.Insert(a.slabs, i, s)
	}
	s.cut(class)
	a.roomy[class] = append(a.roomy[class], s)
	return true
}

// unused takes a slab of which no piece is used out of its class, if there is one.
func (a *arena) unused() *slab {
	for class := range a.roomy {
		for i, s := range a.roomy[class] {
			if s.used == 0 {
				a.roomy[class] = slices.Delete(a.roomy[class], i, i+1)
				return s
			}
		}
	}
	return nil
}

// put takes back what take has returned, and returns the piece's size.
func (a *arena) put(p []byte) int64 {
	i, exact := a.find(address(p))
	if !exact {
		i--
	}
	s := a.slabs[i]
	size := sizeOf(s.class)
	if s.full() {
		a.roomy[s.class] = append(a.roomy[s.class], s)
	}
	s.put(p)
	a.inUse -= size
	if s.used == 0 && int64(a.held) > a.share.Load() {
		a.drop(s)
	}
	return size
}

// drop gives a slab of which no piece is used to the pool; then it is another's.
func (a *arena) drop(s *slab) {
	class := a.roomy[s.class]
	i := slices.Index(class, s)
	a.roomy[s.class] = slices.Delete(class, i, i+1)
	i, _ = a.find(s.start)
	a.slabs = slices.Delete(a.slabs, i, i+1)
	a.pool.release(a, s)
}

// trim gives the pool what is not used beyond the share.
func (a *arena) trim() {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, s := range slices.Clone(a.slabs) {
		if s.used == 0 && int64(a.held) > a.share.Load() {
			a.drop(s)
		}
	}
}

// find returns the index of the first slab that does not begin before the address, and whether it begins there.
func (a *arena) find(addr uintptr) (int, bool) {
	return slices.BinarySearchFunc(a.slabs, addr, func(s *slab, addr uintptr) int { return cmp.Compare(s.start, addr) })
}

// capacity is how many bytes may be in use, as things are.
func (a *arena) capacity() int64 {
	own := max(int64(a.held), a.share.Load())
	return max(own, min(a.most.Load(), own+a.pool.loose.Load())) * slabSize
}

// free is how many bytes may be in use beyond those that are.
func (a *arena) free() int64 { return a.capacity() - a.inUse }

// has reports whether n bytes could be taken, in pieces of the largest size if n is more than one.
func (a *arena) has(n int64) bool {
	if n <= largestPiece {
		for class := classFor(int(n)); class < classes; class++ {
			if len(a.roomy[class]) > 0 {
				return true
			}
		}
	}
	const largest = classes - 1
	for _, s := range a.roomy[largest] {
		n -= int64(s.pieces()-s.used) * largestPiece
	}
	for class := range largest {
		for _, s := range a.roomy[class] {
			if s.used == 0 {
				n -= slabSize
			}
		}
	}
	return n <= 0 || n <= int64(a.pool.couldTake(a))*slabSize
}

// close gives all memory back and ends the usher. No piece is used.
func (a *arena) close() {
	a.pool.leave(a)
	a.trim()
	close(a.stop)
}
