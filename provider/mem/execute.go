package mem

import (
	"unsafe"

	"github.com/unio-stack/unio"
)

// execute carries out one operation and completes it, or panics with a fault,
// which Submit's guard turns into the operation's error.
func (q *queue) execute(op *unio.Op) {
	var err error
	switch op.Op {
	case unio.OpRead:
		err = q.transfer(op, false)
	case unio.OpWrite:
		err = q.transfer(op, true)
	case unio.OpCompareSwap, unio.OpFetchAdd:
		q.word(op)
		return
	case unio.OpWriteZeroes:
		err = q.zero(op.Offset, op.Length)
	case unio.OpDiscard:
		err = q.discard(op.Offset, op.Length)
	case unio.OpFlush:
		q.counts.Syscalls += q.d.durable.syscalls()
		err = q.d.durable.flush()
	default:
		err = unio.ErrUnsupported
	}
	if err == nil {
		err = q.settle(op)
	}
	if err != nil {
		q.fail(op, err)
		return
	}
	op.Complete(op.Size(), nil)
}

// settle makes a mutation durable, or notes that it is not yet.
func (q *queue) settle(op *unio.Op) error {
	if op.Op == unio.OpRead || op.Op == unio.OpFlush {
		return nil
	}
	if op.Flags&unio.Durable == 0 {
		q.d.durable.wrote(op.Offset, op.Size())
		return nil
	}
	q.counts.Syscalls += q.d.durable.syscalls()
	return q.d.durable.persist(op.Offset, op.Size())
}

// word carries out an atomic.
func (q *queue) word(op *unio.Op) {
	err := q.d.mapping.Touch(op.Offset, wordSize, true)
	if err != nil {
		q.fail(op, err)
		return
	}
	var old uint64
	p := (*uint64)(unsafe.Pointer(&q.d.mem[op.Offset]))
	if op.Op == unio.OpFetchAdd {
		old = fetchAdd(p, op.Swap)
	} else {
		old = compareSwap(p, op.Compare, op.Swap)
	}
	if err := q.settle(op); err != nil {
		q.fail(op, err)
		return
	}
	op.CompleteWord(old)
}
