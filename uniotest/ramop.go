package uniotest

import (
	"encoding/binary"
	"fmt"
	"unsafe"

	"github.com/unio-stack/unio"
)

// verify says what is wrong with an operation that the core submitted.
func (d *RAMDisk) verify(op *unio.Op) error {
	unit := d.unit(op.Op)
	switch {
	case op.Handle() != unio.Handle(ramHandle{d}):
		return misfit(op, "the handle is not the disk's")
	case !d.cfg.Native.Has(op.Op):
		return misfit(op, "not native")
	case d.cfg.ReadOnly && op.Op != unio.OpRead && op.Op != unio.OpFlush:
		return misfit(op, "the disk is read-only")
	case op.Op == unio.OpFlush:
		return nil
	case op.Flags&unio.Durable != 0 && op.Op != unio.OpRead && !d.cfg.NativeDurable.Has(op.Op):
		return misfit(op, "durable, which is not native")
	case op.Offset < 0 || op.Size() <= 0 || op.Offset > d.cfg.Size-op.Size():
		return misfit(op, "outside the disk of %d bytes", d.cfg.Size)
	case op.Offset%unit != 0 || op.Size()%unit != 0:
		return misfit(op, "not whole units of %d", unit)
	case op.Size() > d.cfg.MaxTransfer:
		return misfit(op, "longer than %d", d.cfg.MaxTransfer)
	case op.Op != unio.OpRead && op.Op != unio.OpWrite:
		return nil
	}
	return d.verifyMemory(op)
}

// unit returns what offset and length of the operation are multiples of.
func (d *RAMDisk) unit(o unio.Opcode) int64 {
	switch o {
	case unio.OpDiscard, unio.OpWriteZeroes:
		return int64(d.cfg.ZeroUnit)
	case unio.OpCompareSwap, unio.OpFetchAdd:
		return 8
	}
	return int64(d.cfg.BlockSize)
}

func (d *RAMDisk) verifyMemory(op *unio.Op) error {
	var n int64
	single := [1][]byte{op.Data}
	pieces := op.Vec
	if pieces == nil {
		pieces = single[:]
	}
	for _, p := range pieces {
		n += int64(len(p))
		if at := uintptr(unsafe.Pointer(unsafe.SliceData(p))); at%uintptr(d.cfg.MemoryAlign) != 0 {
			return misfit(op, "memory at %#x is not aligned to %d", at, d.cfg.MemoryAlign)
		}
		if len(p) == 0 || len(p)%d.cfg.BlockSize != 0 {
			return misfit(op, "a piece has %d bytes, not whole blocks", len(p))
		}
	}
	if n != op.Size() {
		return misfit(op, "the memory has %d bytes", n)
	}
	return nil
}

func misfit(op *unio.Op, why string, args ...any) error {
	return fmt.Errorf("%w: %v [offset %d, length %d]: %s",
		unio.ErrInvalid, op.Op, op.Offset, op.Size(), fmt.Sprintf(why, args...))
}

// execute carries the operation out.
func (q *ramQueue) execute(op *unio.Op) ramResult {
	if h := q.disk.hooks.execute; h != nil {
		return h(q, op)
	}
	return q.perform(op)
}

func (q *ramQueue) perform(op *unio.Op) ramResult {
	d := q.disk
	switch op.Op {
	case unio.OpRead, unio.OpWrite:
		n := q.extent(op)
		d.transfer(op, op.Offset, n)
		return ramResult{op: op, n: n}
	case unio.OpDiscard, unio.OpWriteZeroes:
		n := q.extent(op)
		d.mu.Lock()
		clear(d.bytes[op.Offset : op.Offset+n])
		d.mu.Unlock()
		return ramResult{op: op, n: n}
	case unio.OpCompareSwap, unio.OpFetchAdd:
		return ramResult{op: op, n: 8, word: d.atomic(op)}
	}
	return ramResult{op: op} // a flush: what is on the disk is safe
}

// extent returns how much of a transfer to do: all of it, or at least one
// unit of it.
func (q *ramQueue) extent(op *unio.Op) int64 {
	n := op.Size()
	if k := q.disk.cfg.Short; k == 0 || !q.chance(k) {
		return n
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	return min(n, q.disk.unit(op.Op)+q.rng.Int64N(n))
}

// transferChunk bytes move at a time; what overlaps in time may interleave
// between chunks.
const transferChunk = 4096

// transfer moves the first n bytes between the operation's memory and the disk
// at off, in its direction.
func (d *RAMDisk) transfer(op *unio.Op, off, n int64) {
	if op.Vec == nil {
		d.move(op.Op, op.Data[:n], off)
		return
	}
	for _, p := range op.Vec {
		k := min(int64(len(p)), n)
		d.move(op.Op, p[:k], off)
		off, n = off+k, n-k
	}
}

func (d *RAMDisk) move(dir unio.Opcode, p []byte, off int64) {
	for len(p) > 0 {
		k := min(len(p), transferChunk-int(off%transferChunk))
		d.mu.Lock()
		if dir == unio.OpRead {
			copy(p[:k], d.bytes[off:])
		} else {
			copy(d.bytes[off:], p[:k])
		}
		d.mu.Unlock()
		p, off = p[k:], off+int64(k)
	}
}

// atomic carries out an atomic and returns the word's old value.
func (d *RAMDisk) atomic(op *unio.Op) uint64 {
	d.mu.Lock()
	defer d.mu.Unlock()
	word := d.bytes[op.Offset : op.Offset+8]
	old := binary.LittleEndian.Uint64(word)
	switch {
	case op.Op == unio.OpFetchAdd:
		binary.LittleEndian.PutUint64(word, old+op.Swap)
	case old == op.Compare:
		binary.LittleEndian.PutUint64(word, op.Swap)
	}
	return old
}
