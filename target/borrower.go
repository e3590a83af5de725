package target

import (
	"sync/atomic"
	"time"

	"github.com/unio-stack/unio/provider/rdma"
)

// A borrower is a connection as its export's memory sees it. What it holds beyond one operation is no more than it leaves for
// others: half of what there is, if nobody else wants any, and less and less as others come. So one that has nothing finds
// some, and who does not give back what he has read into keeps others from nothing. What a borrower has reserved it takes
// first, and without regard to others.
//
// Its methods may be called with the connection's lock held: they wait for nobody and call nobody.
type borrower struct {
	arena *arena // immutable

	// What follows is guarded by arena.mu.

	own    *reservation // may be nil
	held   int64        // bytes, but for those of own
	waiter rdma.Waiter  // of who waits
	left   bool         // it will borrow no more
	need   int64        // bytes that it waits for: a piece, or all that an operation needs at a time

	// Of its turn.

	inTurn atomic.Bool // changed with arena.mu held, read without
	took   int64       // bytes borrowed
	used   int64       // bytes with which operations were started
	failed int64       // bytes that were not to be had; 0 if it got all that it wanted

	// Where it waits.

	place         place
	before, after *borrower // in line
	index         int       // in the heap
	since         time.Time // when it began to keep others waiting; zero if it does not
}

// Borrow is [rdma.Store]'s. All waiters of a borrower are the same one.
func (b *borrower) Borrow(n int, w rdma.Waiter) []byte {
	a := b.arena
	a.mu.Lock()
	defer a.mu.Unlock()
	if p := b.own.take(n); p != nil {
		a.drawn += int64(cap(p))
		return p
	}
	size := sizeOf(classFor(n))
	if a.turn == b {
		return b.borrowInTurn(n, size)
	}
	may := b.mayHold(size)
	if may && a.line.first == nil {
		if p := a.take(n); p != nil {
			b.held += int64(cap(p))
			return p
		}
	}
	if b.place == nowhere {
		b.waiter, b.need = w, size
		a.queue(b, may)
		a.waits++
	}
	return nil
}

// borrowInTurn is Borrow when nobody else goes first.
func (b *borrower) borrowInTurn(n int, size int64) []byte {
	if b.took+size <= b.need || b.mayHold(size) {
		if p := b.arena.take(n); p != nil {
			b.held += int64(cap(p))
			b.took += int64(cap(p))
			return p
		}
	}
	b.failed = size
	return nil
}

// Return is [rdma.Store]'s.
func (b *borrower) Return(p []byte) {
	a := b.arena
	a.mu.Lock()
	defer a.mu.Unlock()
	if b.own.put(p) {
		a.drawn -= int64(cap(p))
		return // b tries again by itself, and nobody else gets it
	}
	size := a.put(p)
	b.held -= size
	if a.turn == b {
		return // everybody is looked at when its turn is over
	}
	if b.place == inHeap {
		a.reconsider(b)
	}
	if a.line.first != nil || len(a.heap) > 0 && a.free() >= a.heap[0].room() {
		a.ring()
	}
}

// use notes that an operation is started with what was borrowed.
func (b *borrower) use(pieces [][]byte) {
	if !b.inTurn.Load() {
		return
	}
	b.arena.mu.Lock()
	defer b.arena.mu.Unlock()
	for _, p := range pieces {
		if b.own.of(p) == nil {
			b.used += int64(cap(p))
		}
	}
}

// mayHold reports whether the borrower may have n bytes more, if there are. One that has none may have what fits.
func (b *borrower) mayHold(n int64) bool {
	if b.held == 0 {
		return n <= b.arena.capacity()
	}
	return b.arena.free() >= b.held+2*n
}

// room is how many bytes must be free so that a borrower with some may have what it needs.
func (b *borrower) room() int64 { return b.held + 2*b.need }

// leave ends a borrower, which has given everything back.
func (b *borrower) leave() {
	a := b.arena
	a.mu.Lock()
	defer a.mu.Unlock()
	b.left = true
	b.own.end()
	if b.place != nowhere {
		a.unqueue(b)
		a.ring() // somebody else may be next
	}
}

// giveUp ends a borrower's reservation, as soon as it has given back what is in use. What it needs then, it borrows as others do.
func (b *borrower) giveUp() {
	b.arena.mu.Lock()
	defer b.arena.mu.Unlock()
	b.own.end()
}

// usher gives those who wait their turn as memory comes back, until close.
func (a *arena) usher() {
	for {
		select {
		case <-a.bell:
			a.serve()
		case <-a.stop:
			return
		}
	}
}

// ring has the usher look who can have memory. It may be called with any lock held.
func (a *arena) ring() {
	select {
	case a.bell <- struct{}{}:
	default:
	}
}

// serve gives turns until there is no memory for who is next.
func (a *arena) serve() {
	a.mu.Lock()
	defer a.mu.Unlock()
	for b := a.next(); b != nil; b = a.next() {
		switch {
		case a.has(b.need):
			if !a.giveTurn(b) {
				time.AfterFunc(retryAfter, a.ring)
				return
			}
		case b.place == inHeap || !a.has(1) || !a.stepAside(b):
			return
		}
	}
}

// stepAside is called for the first in line when it cannot use what memory there is. It reports whether others have waited
// for it for long enough: then they go first, and it is the last in line some time later, unless it is served before.
func (a *arena) stepAside(b *borrower) bool {
	now := time.Now()
	switch {
	case b.since.IsZero():
		b.since = now
		time.AfterFunc(holdUp, a.ring)
		return false
	case now.Sub(b.since) < holdUp:
		return false
	}
	a.unqueue(b)
	a.queue(b, false)
	time.AfterFunc(comeback, func() { a.comeBack(b) })
	return true
}

// comeBack puts one into the line that has stepped aside.
func (a *arena) comeBack(b *borrower) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if b.place == inHeap && b.mayHold(b.need) {
		a.unqueue(b)
		a.queue(b, true)
		a.ring()
	}
}

const (
	// holdUp is how long all others wait for memory to come back until there is what one needs.
	holdUp   = 20 * time.Millisecond
	comeback = 10 * holdUp
)

// retryAfter is when memory is looked for again that the system did not have although it is within the limits.
const retryAfter = 10 * time.Millisecond

// next returns whose turn it is: of those in line the first, if there are any; nil if nobody may have more.
func (a *arena) next() *borrower {
	for b := a.line.first; b != nil; b = a.line.first {
		if b.mayHold(b.need) {
			return b
		}
		a.unqueue(b)
		a.queue(b, false)
	}
	if len(a.heap) > 0 && a.heap[0].mayHold(a.heap[0].need) {
		return a.heap[0]
	}
	return nil
}

// giveTurn lets b borrow, and reports whether there was what it needs, unless others have it now. mu is held, but not
// meanwhile.
func (a *arena) giveTurn(b *borrower) (served bool) {
	first := b.place == inLine // and stays it, so that nobody else takes what it needs
	if !first {
		a.unqueue(b) // since what it holds will change
	}
	a.turn, b.took, b.used, b.failed = b, 0, 0, 0
	b.inTurn.Store(true)
	w := b.waiter
	a.mu.Unlock()
	w.Resume()
	a.mu.Lock()
	b.inTurn.Store(false)
	a.turn = nil
	if b.left {
		return true
	}
	served = b.failed == 0 || b.took+b.failed > b.need || !a.has(b.need)
	b.need = a.needOf(b)
	if first && b.failed > 0 && b.mayHold(b.need) {
		return served
	}
	if first {
		a.unqueue(b)
	}
	if b.failed > 0 {
		a.queue(b, b.mayHold(b.need))
	}
	return served
}

// needOf says what a borrower needs for whom its turn was not enough. What it got and had no use for is part of an operation
// that takes more than that: twice as much, for a guess, if there can ever be.
func (a *arena) needOf(b *borrower) int64 {
	idle := max(0, b.took-b.used)
	return max(idle+b.failed, min(2*idle, a.capacity()))
}
