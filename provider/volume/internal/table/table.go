// Package table is a bounded table of active entries: found without a lock,
// put in and thrown out under the lock of a shard, by CLOCK.
//
// It is set-associative: a key belongs to one set of a few places. What does
// not fit into its set because everything there is in use goes to the shard's
// overflow, which is looked at with the lock held.
package table

import (
	"math/bits"
	"sync"
	"sync/atomic"
)

// A Key names a page of a volume.
type Key struct {
	Volume uint64
	Page   int64
}

// An Entry is what the table holds: it knows its key.
type Entry interface {
	comparable
	Key() Key
	// Touched reports whether the entry was used since the last call of it.
	Touched() bool
	// Retire tries to end the use of the entry; it fails while it is in use.
	// Afterwards whoever still finds it must look again.
	Retire() bool
}

const (
	ways   = 8
	shards = 64
)

// A Table holds pointers P to entries. Find may be called from anywhere, at
// any time; so may the other methods.
type Table[T any, P interface {
	*T
	Entry
}] struct {
	sets  []set[T] // length a power of two
	shift uint
	locks [shards]shard[P]
	count atomic.Int64
}

// A set has a tag for each place, so that Find looks only at entries that are
// likely to be the one. A tag is changed before its place is filled.
type set[T any] struct {
	tags   [ways]atomic.Uint32 // 0: the place is empty, or about to be filled
	places [ways]atomic.Pointer[T]
}

func (s *set[T]) put(i uint, tag uint32, e *T) {
	s.tags[i].Store(0)
	s.places[i].Store(e)
	s.tags[i].Store(tag)
}

func tagOf(h uint64) uint32 { return uint32(h) | 1 }

type shard[P any] struct {
	mu       sync.Mutex
	hand     uint
	overflow map[Key]P // guarded by mu
}

// New returns a table for so many entries: at least a set of them, and
// otherwise rounded up to a power of two.
func New[T any, P interface {
	*T
	Entry
}](entries int) *Table[T, P] {
	sets := max(1, (entries+ways-1)/ways)
	log := bits.Len(uint(sets - 1))
	return &Table[T, P]{sets: make([]set[T], 1<<log), shift: uint(64 - log)}
}

func (k Key) hash() uint64 {
	h := (k.Volume*0x9e3779b97f4a7c15 ^ uint64(k.Page)) * 0xff51afd7ed558ccd
	return (h ^ h>>32) * 0xc4ceb9fe1a85ec53
}

// Find returns the entry of the key, or nil; nil also for one in the overflow.
func (t *Table[T, P]) Find(k Key) P {
	h := k.hash()
	s, tag := &t.sets[h>>t.shift], tagOf(h)
	for i := range s.tags {
		if s.tags[i].Load() == tag {
			if e := P(s.places[i].Load()); e != nil && e.Key() == k {
				return e
			}
		}
	}
	return nil
}

func (t *Table[T, P]) shard(h uint64) *shard[P] { return &t.locks[h>>t.shift%shards] }

// FindAll is Find for the overflow too.
func (t *Table[T, P]) FindAll(k Key) P {
	if e := t.Find(k); e != nil {
		return e
	}
	s := t.shard(k.hash())
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.overflow[k]
}

// Put adds an entry whose key is not in the table, and throws another out if
// there is no room.
func (t *Table[T, P]) Put(e P) {
	h := e.Key().hash()
	set, s := &t.sets[h>>t.shift], t.shard(h)
	s.mu.Lock()
	defer s.mu.Unlock()
	t.count.Add(1)
	for i := range uint(ways) {
		if set.places[i].Load() == nil {
			set.put(i, tagOf(h), e)
			return
		}
	}
	for range 2 * ways {
		s.hand++
		i := s.hand % ways
		if old := P(set.places[i].Load()); !old.Touched() && old.Retire() {
			set.put(i, tagOf(h), e)
			t.count.Add(-1)
			return
		}
	}
	if s.overflow == nil {
		s.overflow = map[Key]P{}
	}
	for k, old := range s.overflow { // what was in use when it came may be idle now
		if !old.Touched() && old.Retire() {
			delete(s.overflow, k)
			t.count.Add(-1)
		}
	}
	s.overflow[e.Key()] = e
}

// Remove takes out an entry that is in the table.
func (t *Table[T, P]) Remove(e P) {
	h := e.Key().hash()
	set, s := &t.sets[h>>t.shift], t.shard(h)
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := range uint(ways) {
		if P(set.places[i].Load()) == e {
			set.put(i, 0, nil)
			t.count.Add(-1)
			return
		}
	}
	if s.overflow[e.Key()] == e {
		delete(s.overflow, e.Key())
		t.count.Add(-1)
	}
}

// Len returns how many entries there are.
func (t *Table[T, P]) Len() int { return int(t.count.Load()) }

// All calls f with every entry that is in the table all the while, until it
// returns false. f may remove the entry.
func (t *Table[T, P]) All(f func(P) bool) {
	for i := range t.sets {
		for j := range t.sets[i].places {
			if e := P(t.sets[i].places[j].Load()); e != nil && !f(e) {
				return
			}
		}
	}
	for i := range t.locks {
		s := &t.locks[i]
		s.mu.Lock()
		some := make([]P, 0, len(s.overflow))
		for _, e := range s.overflow {
			some = append(some, e)
		}
		s.mu.Unlock()
		for _, e := range some {
			if !f(e) {
				return
			}
		}
	}
}
