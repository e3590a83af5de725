package main

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"math/rand/v2"
	"sync/atomic"
	"time"
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
// must find is never in doubt.
type ledger struct {
	slots       int
	blocks      int64
	generations []uint64 // of each block; touched by the block's slot only
}

func newLedger(size int64, slots int) *ledger {
	blocks := size / blockSize / int64(slots) * int64(slots)
	return &ledger{slots, blocks, make([]uint64, blocks)}
}

// fill writes every block once.
func (l *ledger) fill() plan { return l.inOrder(true) }

// sweep reads every block once.
func (l *ledger) sweep() plan { return l.inOrder(false) }

func (l *ledger) inOrder(write bool) plan {
	next := make([]int64, l.slots)
	for s := range next {
		next[s] = int64(s)
	}
	return func(slot int) (job, bool) {
		b := next[slot]
		next[slot] += int64(l.slots)
		return job{b, write}, b < l.blocks
	}
}

// mix reads and writes random blocks, 70 to 30, until the time is over or stop
// is called.
func (l *ledger) mix(d time.Duration) (p plan, stop func()) {
	var over atomic.Bool
	timer := time.AfterFunc(d, func() { over.Store(true) })
	random := make([]*rand.PCG, l.slots)
	for s := range random {
		random[s] = rand.NewPCG(uint64(s), uint64(l.blocks))
	}
	perSlot := uint64(l.blocks) / uint64(l.slots)
	return func(slot int) (job, bool) {
		r := random[slot].Uint64()
		block := int64(r>>8%perSlot)*int64(l.slots) + int64(slot)
		return job{block, r&0xff < 77}, !over.Load()
	}, func() { timer.Stop() }
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

// stamp prepares buf to be written by j, as the block's next generation.
func (l *ledger) stamp(j job, buf []byte) {
	l.generations[j.block]++
	binary.LittleEndian.PutUint64(buf[numberAt:], uint64(j.block))
	binary.LittleEndian.PutUint64(buf[generationAt:], l.generations[j.block])
	binary.LittleEndian.PutUint32(buf[checksumAt:], checksum(buf))
}

// check says what is wrong with what j has read.
func (l *ledger) check(j job, buf []byte) error {
	number, generation := binary.LittleEndian.Uint64(buf[numberAt:]), binary.LittleEndian.Uint64(buf[generationAt:])
	switch {
	case binary.LittleEndian.Uint32(buf[checksumAt:]) != checksum(buf):
		return fmt.Errorf("block %d: its checksum does not match", j.block)
	case number != uint64(j.block):
		return fmt.Errorf("block %d holds block %d", j.block, number)
	case generation != l.generations[j.block]:
		return fmt.Errorf("block %d holds generation %d, and %d was written last", j.block, generation, l.generations[j.block])
	}
	return nil
}
