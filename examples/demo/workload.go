package main

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"math/rand/v2"
	"sync/atomic"
	"time"

	"github.com/unio-stack/unio"
)

const (
	blockSize = 4096
	// checkArea bytes at the end of the medium are left to checkPromises.
	checkArea = 64 << 10
)

// A job reads or writes one block.
type job struct {
	block int64
	write bool
}

// A plan says what a slot does next; false when it is through. It may be
// called for different slots at the same time.
type plan func(slot int) (job, bool)

// A ledger knows what every block should hold. Slot s has block b to itself
// when b%slots == s, and does one job at a time, so that the generation a read
// must find is never in doubt, unless the server was killed.
type ledger struct {
	slots  int
	blocks int64
	// What follows is of each block, and touched by the block's slot only, or
	// between two passes.
	newest []uint64 // generation that was stamped last
	oldest []uint64 // generation that a read must find at least: newest, once the write has ended
	stable []uint64 // generation that was written when a flush began; nil before flushed

	crash *disruption // nil unless the server is to be killed
}

// A disruption is what the jobs of a pass notice when their server is killed.
type disruption struct {
	stop func()       // ends the plan
	jobs atomic.Int64 // that failed because of it
}

func newLedger(size int64, slots int) *ledger {
	blocks := size / blockSize / int64(slots) * int64(slots)
	return &ledger{slots: slots, blocks: blocks, newest: make([]uint64, blocks), oldest: make([]uint64, blocks)}
}

// fill writes every block once, or as many as there is time for. After the
// pass, end makes these the ledger's blocks.
func (l *ledger) fill(d time.Duration) (p plan, end func()) {
	over, stop := after(d)
	next := l.firstBlocks()
	return func(slot int) (job, bool) {
			b := next[slot]
			if b >= l.blocks || over.Load() && b > int64(slot) {
				return job{}, false
			}
			next[slot] += int64(l.slots)
			return job{b, true}, true
		}, func() {
			stop()
			for s, b := range next {
				l.blocks = min(l.blocks, b-int64(s))
			}
		}
}

// sweep reads every block once.
func (l *ledger) sweep() plan {
	return l.inOrder(func(b int64) (job, bool) { return job{b, false}, true })
}

// redo writes every block that no flush has covered.
func (l *ledger) redo() plan {
	return l.inOrder(func(b int64) (job, bool) { return job{b, true}, l.newest[b] != l.stable[b] })
}

// inOrder does one job with each block for which there is one.
func (l *ledger) inOrder(jobOf func(block int64) (job, bool)) plan {
	next := l.firstBlocks()
	return func(slot int) (job, bool) {
		for next[slot] < l.blocks {
			j, ok := jobOf(next[slot])
			next[slot] += int64(l.slots)
			if ok {
				return j, true
			}
		}
		return job{}, false
	}
}

// firstBlocks returns the first block of each slot.
func (l *ledger) firstBlocks() []int64 {
	first := make([]int64, l.slots)
	for s := range first {
		first[s] = int64(s)
	}
	return first
}

// Of 256 jobs of a mix, so many write.
const (
	someWrites = 77 // 30%
	allWrites  = 256
)

// mix reads and writes random blocks until the time is over or stop is called.
func (l *ledger) mix(d time.Duration, writes uint64) (p plan, stop func()) {
	over, stop := after(d)
	random := make([]*rand.PCG, l.slots)
	for s := range random {
		random[s] = rand.NewPCG(uint64(s), uint64(l.blocks))
	}
	perSlot := uint64(l.blocks) / uint64(l.slots)
	return func(slot int) (job, bool) {
		r := random[slot].Uint64()
		block := int64(r>>8%perSlot)*int64(l.slots) + int64(slot)
		return job{block, r&0xff < writes}, !over.Load()
	}, stop
}

// after returns what is true once d is over or stop was called.
func after(d time.Duration) (over *atomic.Bool, stop func()) {
	over = new(atomic.Bool)
	timer := time.AfterFunc(d, func() { over.Store(true) })
	return over, func() {
		timer.Stop()
		over.Store(true)
	}
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// A block starts with its number, its generation and the CRC-32C of all the
// rest. What follows is whatever the buffer held.
const (
	numberAt     = 0
	generationAt = 8
	checksumAt   = 16
	payloadAt    = 20
)

func checksum(b []byte) uint32 {
	return crc32.Update(crc32.Checksum(b[:checksumAt], castagnoli), castagnoli, b[payloadAt:])
}

// whole reports whether b is a block as stamp made it.
func whole(b []byte) bool {
	return len(b) == blockSize && binary.LittleEndian.Uint32(b[checksumAt:]) == checksum(b)
}

// stamp prepares buf to be written by j, as the block's next generation.
func (l *ledger) stamp(j job, buf []byte) {
	l.newest[j.block]++
	binary.LittleEndian.PutUint64(buf[numberAt:], uint64(j.block))
	binary.LittleEndian.PutUint64(buf[generationAt:], l.newest[j.block])
	binary.LittleEndian.PutUint32(buf[checksumAt:], checksum(buf))
}

// written notes that j, a write, has succeeded.
func (l *ledger) written(j job) { l.oldest[j.block] = l.newest[j.block] }

// check says what is wrong with what j has read.
func (l *ledger) check(j job, buf []byte) error {
	number, generation := binary.LittleEndian.Uint64(buf[numberAt:]), binary.LittleEndian.Uint64(buf[generationAt:])
	oldest, newest := l.oldest[j.block], l.newest[j.block]
	switch {
	case !whole(buf):
		return fmt.Errorf("block %d: its checksum does not match", j.block)
	case number != uint64(j.block):
		return fmt.Errorf("block %d holds block %d", j.block, number)
	case generation < oldest || generation > newest:
		return fmt.Errorf("block %d holds generation %d, and must hold one from %d to %d", j.block, generation, oldest, newest)
	}
	l.oldest[j.block] = generation // what was read once is there to stay
	return nil
}

// flushed notes that all that was written is stable. Nothing has been posted
// since before the flush.
func (l *ledger) flushed() { l.stable = append(l.stable[:0], l.oldest...) }

// disrupted reports whether a job failed because its server was killed, as
// expected. What it has written is in doubt.
func (l *ledger) disrupted(err error) bool {
	if l.crash == nil || !errors.Is(err, unio.ErrDisconnected) {
		return false
	}
	l.crash.stop()
	l.crash.jobs.Add(1)
	return true
}

// crashed lets reads find everything from the last flush on.
func (l *ledger) crashed() { copy(l.oldest, l.stable) }

// survived counts the blocks that a flush has covered, and, of those written
// later, which are new and which are old, as the sweep after a crash found them.
func (l *ledger) survived() (stable, renewed, old int) {
	for b := range l.blocks {
		switch {
		case l.newest[b] == l.stable[b]:
			stable++
		case l.oldest[b] == l.newest[b]:
			renewed++
		default:
			old++
		}
	}
	return stable, renewed, old
}
