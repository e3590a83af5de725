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
// Nobody waits here: who must, is queued and resumed through its channel.
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
	op.lock = lockShared
	first, n := stripesOf(op)
	l.count(first, n, 1)
	if l.excluders.Load() == 0 {
		return true
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.conflicts(op, len(l.waiters)) {
		return true
	}
	l.count(first, n, -1)
	l.waiters = append(l.waiters, op)
	l.grant() // an excluder may have seen the count that was just withdrawn
	return false
}

// exclude lets op alone mutate its range. If it returns false, op is queued
// and its channel is granted it later.
func (l *rangeLock) exclude(op *Op) bool {
	op.lock = lockExclusive
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
		first, n := stripesOf(op)
		l.count(first, n, -1)
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
			first, n := stripesOf(op)
			l.count(first, n, 1)
		}
		l.waiters = append(l.waiters[:i], l.waiters[i+1:]...)
		op.ch.resume(op)
	}
}

// conflicts reports whether op overlaps an exclusive holder, or one of the
// first n waiters where either of the two is exclusive. Called with mu held.
func (l *rangeLock) conflicts(op *Op, n int) bool {
	for _, h := range l.holders {
		if overlap(h, op) {
			return true
		}
	}
	for _, w := range l.waiters[:n] {
		if (w.lock == lockExclusive || op.lock == lockExclusive) && overlap(w, op) {
			return true
		}
	}
	return false
}

func (l *rangeLock) unshared(op *Op) bool {
	first, n := stripesOf(op)
	for i := range n {
		if l.stripes[(first+i)%lockStripes].Load() != 0 {
			return false
		}
	}
	return true
}

func (l *rangeLock) count(first, n int64, delta int32) {
	for i := range n {
		l.stripes[(first+i)%lockStripes].Add(delta)
	}
}

// lockRange returns the bytes that op's request touches, to whole blocks. It
// is the same from the first step of an assisted request to its last.
func lockRange(op *Op) (off, end int64) {
	r, n := &op.Request, op.length
	if op.assist != nil {
		r, n = &op.assist.user, op.assist.length
	}
	b := int64(r.Region.dev.info.BlockSize)
	return r.Offset &^ (b - 1), (r.Offset + n + b - 1) &^ (b - 1)
}

func stripesOf(op *Op) (first, n int64) {
	off, end := lockRange(op)
	first = off >> lockUnitShift
	return first % lockStripes, min((end-1)>>lockUnitShift-first+1, lockStripes)
}

func overlap(a, b *Op) bool {
	ao, ae := lockRange(a)
	bo, be := lockRange(b)
	return ao < be && bo < ae
}

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
