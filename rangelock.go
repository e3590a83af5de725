package unio

import (
	"sync"
	"sync/atomic"
)

// A rangeLock keeps read-modify-writes of a store (ragged ends, provided
// atomics) apart from every other mutation of the same bytes, across channels.
// Plain mutations share; read-modify-writes exclude. Sharing takes no lock
// unless somebody excludes: a sharer counts itself in the stripes its range
// falls into and then looks whether anyone excludes; an excluder first says so
// and then looks at the stripes. One of the two sees the other.
//
// Stripes are coarser than ranges, so an excluder may wait for sharers that it
// does not overlap. While it waits, later sharers of its stripes queue behind
// it: otherwise a stream of them would keep it waiting for ever.
//
// Nobody blocks here: who must wait is queued, and resumed through its channel.
type rangeLock struct {
	// excluders counts exclusive holders and waiters.
	excluders atomic.Int32
	stripes   [lockStripes]atomic.Int32

	mu      sync.Mutex
	holders []*Op // exclusive; guarded by mu
	waiters []*Op // in order of arrival; guarded by mu
}

const (
	lockStripes   = 1024
	lockUnitShift = 16 // bytes of a region that share a stripe: 64 KiB
)

type lockMode uint8

const (
	unlocked lockMode = iota
	lockShared
	lockExclusive
)

// share lets op mutate its range along with others. If it returns false, op is
// queued and its channel is granted it later.
func (l *rangeLock) share(op *Op) bool {
	op.lock, op.locked = lockShared, lockRange(op)
	l.count(op, 1)
	if l.excluders.Load() == 0 {
		return true
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.conflicts(op, len(l.waiters)) {
		return true
	}
	l.count(op, -1)
	l.waiters = append(l.waiters, op)
	l.grant() // an excluder may have seen the count that was just withdrawn
	return false
}

// exclude lets op alone mutate its range. If it returns false, op is queued
// and its channel is granted it later.
func (l *rangeLock) exclude(op *Op) bool {
	op.lock, op.locked = lockExclusive, lockRange(op)
	l.excluders.Add(1)
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.conflicts(op, len(l.waiters)) && l.unshared(op) {
		l.holders = append(l.holders, op)
		return true
	}
	l.waiters = append(l.waiters, op)
	return false
}

// release ends op's hold and grants those who waited for it.
func (l *rangeLock) release(op *Op) {
	mode := op.lock
	op.lock = unlocked
	if mode == lockShared {
		l.count(op, -1)
		if l.excluders.Load() == 0 {
			return
		}
		l.mu.Lock()
	} else {
		l.mu.Lock()
		l.holders = remove(l.holders, op)
		l.excluders.Add(-1)
	}
	l.grant()
	l.mu.Unlock()
}

// withdraw takes op out of the queue; false if it was granted meanwhile.
func (l *rangeLock) withdraw(op *Op) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	before := len(l.waiters)
	l.waiters = remove(l.waiters, op)
	if len(l.waiters) == before {
		return false
	}
	if op.lock == lockExclusive {
		l.excluders.Add(-1)
	}
	op.lock = unlocked
	l.grant()
	return true
}

// grant resumes the waiters that nothing stands in the way of. Called with mu
// held; takes the mutex of the channels it resumes.
func (l *rangeLock) grant() {
	for i := 0; i < len(l.waiters); {
		op := l.waiters[i]
		if l.conflicts(op, i) {
			i++
			continue
		}
		if op.lock == lockExclusive {
			if !l.unshared(op) {
				i++
				continue
			}
			l.holders = append(l.holders, op)
		} else {
			l.count(op, 1)
		}
		l.waiters = remove(l.waiters, op)
		op.ch.resume(op)
	}
}

// conflicts reports whether an exclusive holder, or one of the first n waiters,
// stands in op's way. Called with mu held.
func (l *rangeLock) conflicts(op *Op, n int) bool {
	for _, h := range l.holders {
		if h.locked.overlaps(op.locked) {
			return true
		}
	}
	for _, w := range l.waiters[:n] {
		if w.precedes(op) {
			return true
		}
	}
	return false
}

// precedes reports whether op must not overtake w, which waits.
func (w *Op) precedes(op *Op) bool {
	switch {
	case op.lock == lockExclusive:
		return w.locked.overlaps(op.locked)
	case w.lock == lockExclusive:
		return w.locked.sharesStripe(op.locked)
	}
	return false
}

func (l *rangeLock) unshared(op *Op) bool {
	first, n := op.locked.stripes()
	for i := range n {
		if l.stripes[(first+i)%lockStripes].Load() != 0 {
			return false
		}
	}
	return true
}

func (l *rangeLock) count(op *Op, delta int32) {
	first, n := op.locked.stripes()
	for i := range n {
		l.stripes[(first+i)%lockStripes].Add(delta)
	}
}

// A span is the bytes [off, end) of a region; it is not empty.
type span struct{ off, end int64 }

func (s span) overlaps(o span) bool { return s.off < o.end && o.off < s.end }

// stripes returns the first of the stripes that s falls into, and how many.
func (s span) stripes() (first, n int64) {
	first = s.off >> lockUnitShift
	return first % lockStripes, min((s.end-1)>>lockUnitShift-first+1, lockStripes)
}

func (s span) sharesStripe(o span) bool {
	first, n := s.stripes()
	other, m := o.stripes()
	return (other-first+lockStripes)%lockStripes < n || (first-other+lockStripes)%lockStripes < m
}

// lockRange returns the bytes that op's request touches, to whole blocks.
func lockRange(op *Op) span {
	if op.Op.isWhole() {
		return hull(op)
	}
	block := int64(op.Region.dev.info.BlockSize)
	return span{roundDown(op.Offset, block), roundUp(op.Offset+op.length, block)}
}

// roundDown and roundUp round to a multiple of unit, a power of two. Rounding
// up does not overflow while that multiple itself does not.
func roundDown(n, unit int64) int64 { return n &^ (unit - 1) }
func roundUp(n, unit int64) int64   { return (n - 1) | (unit - 1) + 1 }

func remove(ops []*Op, op *Op) []*Op {
	for i, o := range ops {
		if o == op {
			copy(ops[i:], ops[i+1:])
			ops[len(ops)-1] = nil
			return ops[:len(ops)-1]
		}
	}
	return ops
}
