package target

import (
	"fmt"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/unio-stack/unio"
)

// A pool is the I/O memory of a target, in slabs. An arena, which is an export's part of it, always gets its share; beyond
// that it gets what is owed to nobody, up to a limit, so that no arena can take all. What is owed to nobody is also what
// connections have reserved for themselves.
//
// pool.mu is taken with an arena's held, and none after it.
type pool struct {
	limit int // slabs in all; immutable
	least int // slabs that an export must be able to have; immutable

	mu     sync.Mutex
	arenas []*arena // guarded by mu
	spare  []*slab  // in no arena; guarded by mu
	made   int      // slabs there are; guarded by mu
	taken  int      // slabs in arenas and in the reserve; guarded by mu
	owed   int      // slabs of shares that their arenas do not have; guarded by mu
	// reserve is what connections have for themselves; guarded by mu.
	reserve reserve

	// loose are the slabs that nobody has and that are owed to nobody: limit-taken-owed, below zero while arenas have to
	// give back. Changed with mu held.
	loose atomic.Int64
}

// newPool returns a pool of so many bytes, of which none is taken from the system yet.
func newPool(bytes int64) *pool { return &pool{limit: int(bytes / slabSize)} }

// check says whether there is the memory for so many exports, whose connections ask for longest bytes at a time at most.
func (p *pool) check(exports int, longest int64) error {
	share, most := p.shares(exports)
	if p.limit >= exports && most >= leastFor(longest) {
		return nil
	}
	return fmt.Errorf("%w: %d MiB of memory for %d exports: each would have %d MiB and at most %d; more is needed",
		unio.ErrInvalid, int64(p.limit)*slabSize>>20, exports, share*slabSize>>20, most*slabSize>>20)
}

// leastFor returns how many slabs an export needs whose connections ask for longest bytes at a time at most; see borrower.room.
func leastFor(longest int64) int { return int((2*longest + 2*slabSize - 1) / slabSize) }

// shares returns what each of n arenas is guaranteed, together half of the memory, and what it may have at most: half of
// what is not guaranteed to others.
func (p *pool) shares(n int) (share, most int) {
	share = max(1, p.limit/(2*max(n, 1)))
	return share, max(share, (p.limit-share*(n-1))/2)
}

// share gives the arenas their shares. All others, whose exports are no more, keep a slab: what they were asked for before has
// to end. More than its share of what an arena has it need not give back, but it gets no more before it has.
func (p *pool) share(among []*arena) {
	p.mu.Lock()
	defer p.mu.Unlock()
	share, most := p.shares(len(among))
	p.limitReserve(len(among), share)
	for _, a := range p.arenas {
		if slices.Contains(among, a) {
			p.set(a, share, most)
		} else {
			p.set(a, 1, 1)
		}
	}
	p.changed()
	p.tell()
}

// set changes an arena's share. a.held may be read: it does not change while mu is held.
func (p *pool) set(a *arena, share, most int) {
	p.owed += max(0, share-a.held) - max(0, int(a.share.Load())-a.held)
	a.share.Store(int64(share))
	a.most.Store(int64(most))
}

// enter makes a new arena one of the pool's, with a slab if there is one, so that it is not without when the system has no
// memory left.
func (p *pool) enter(a *arena) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.taken < p.limit {
		s, err := p.slab()
		if err != nil {
			return fmt.Errorf("%w: %w", unio.ErrNoSpace, err)
		}
		s.cut(0)
		a.slabs, a.roomy[0] = []*slab{s}, []*slab{s}
		a.held = 1
		p.taken++
		p.changed()
	}
	p.arenas = append(p.arenas, a)
	return nil
}

// leave ends an arena's share, so that it gives back what it has.
func (p *pool) leave(a *arena) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.set(a, 0, 0)
	p.changed()
	p.arenas = slices.DeleteFunc(p.arenas, func(o *arena) bool { return o == a })
}

// take returns a slab for a, or nil. a.mu is held.
func (p *pool) take(a *arena) *slab {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.available(a) == 0 {
		return nil
	}
	s, err := p.slab()
	if err != nil {
		return nil // the system has no memory now
	}
	if a.held < int(a.share.Load()) {
		p.owed--
	}
	a.held++
	p.taken++
	p.changed()
	return s
}

// release takes a slab of which no piece is used back from a. a.mu is held.
func (p *pool) release(a *arena, s *slab) {
	p.mu.Lock()
	defer p.mu.Unlock()
	a.held--
	p.taken--
	if a.held < int(a.share.Load()) {
		p.owed++
	}
	p.spare = append(p.spare, s)
	p.changed()
	p.tell()
}

// tell has those who wait look again.
func (p *pool) tell() {
	for _, a := range p.arenas {
		if a.starving.Load() {
			a.ring()
		}
	}
}

// couldTake returns how many slabs take would return for a now. a.mu is held.
func (p *pool) couldTake(a *arena) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.available(a)
}

// available is couldTake with mu held.
func (p *pool) available(a *arena) int {
	share, most := int(a.share.Load()), int(a.most.Load())
	own := max(0, share-a.held)
	borrowed := max(0, min(p.limit-p.taken-p.owed, most-max(a.held, share)))
	return max(0, min(own+borrowed, p.limit-p.taken))
}

// slab returns one that is in no arena.
func (p *pool) slab() (*slab, error) {
	if n := len(p.spare); n > 0 {
		s := p.spare[n-1]
		p.spare = p.spare[:n-1]
		return s, nil
	}
	s, err := newSlab()
	if err == nil {
		p.made++
	}
	return s, err
}

// changed brings loose up to date.
func (p *pool) changed() { p.loose.Store(int64(p.limit - p.taken - p.owed)) }

// close gives the memory back to the system. No arena has any.
func (p *pool) close() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	var first error
	for _, s := range p.spare {
		if err := s.buffer.Free(); first == nil {
			first = err
		}
	}
	p.made -= len(p.spare)
	p.spare = nil
	return first
}
