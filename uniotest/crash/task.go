package crash

import (
	"encoding/binary"

	"github.com/unio-stack/unio"
	"github.com/unio-stack/unio/uniotest/faults"
)

// A task is one operation of the crash device. Guarded by controller.mu until
// it has ended.
type task struct {
	q      *queue
	op     *unio.Op
	rg     *region
	rule   *faults.Rule
	rec    *record   // of a mutation, once it is posted
	covers []*record // what a flush makes durable
	look   []byte    // memory to look up what a failed mutation has done
	result unio.Completion
}

func (t *task) mutates() bool { return t.op.Op != unio.OpRead && t.op.Op != unio.OpFlush }

func (t *task) isAtomic() bool {
	return t.op.Op == unio.OpCompareSwap || t.op.Op == unio.OpFetchAdd
}

// conflicts reports whether both mutate the same unit.
func (t *task) conflicts(o *task) bool {
	if t == o || t.rg != o.rg || !t.mutates() || !o.mutates() {
		return false
	}
	a, b := t.rg.units(t.op.Offset, t.op.Size())
	first, last := t.rg.units(o.op.Offset, o.op.Size())
	return a <= last && first <= b
}

// request is what the inner device is to do for the task.
func (t *task) request() unio.Request {
	if t.look != nil {
		return unio.Request{Op: unio.OpRead, Region: t.rg.inner, Offset: t.rec.off, Data: t.look}
	}
	q := t.op.Request
	q.Region, q.Flags = t.rg.inner, t.op.Flags&unio.Durable
	if t.isAtomic() {
		q.Data = nil // the word comes back in the completion
	}
	return q
}

// begin notes what a power cut may leave from now on, or what a flush covers.
func (t *task) begin() {
	switch {
	case t.look != nil:
	case t.op.Op == unio.OpFlush:
		t.covers = t.rg.completed()
	case t.mutates():
		t.rec = &record{off: t.op.Offset, size: t.op.Size()}
		if !t.isAtomic() {
			t.rec.data = payload(t.op)
		}
		if r := t.rule; r != nil {
			t.rec.lost = r.Action == faults.Lost
			t.rec.tear = r.Bytes
		}
		t.rg.add(t.rec)
	}
}

// undo takes begin back.
func (t *task) undo() {
	if t.rec != nil && t.look == nil {
		t.rg.drop(t.rec)
		t.rec = nil
	}
}

// payload is what the mutation stores.
func payload(op *unio.Op) []byte {
	p := make([]byte, 0, op.Size())
	switch {
	case op.Op != unio.OpWrite:
		return p[:op.Size()]
	case op.Vec == nil:
		return append(p, op.Data...)
	}
	for _, piece := range op.Vec {
		p = append(p, piece...)
	}
	return p
}

// effect notes what a task has done; one that failed was no mutation.
func (t *task) effect(done unio.Completion) {
	switch {
	case t.op.Op == unio.OpFlush && done.Err == nil:
		t.rg.persist(t.covers...)
	case t.rec != nil:
		if t.isAtomic() {
			t.rec.data = t.word(done.Value)
		}
		t.rec.done = true
		if t.op.Flags&unio.Durable != 0 {
			t.rg.persist(t.rec)
		}
	}
}

// word is what an atomic has stored, given the old value.
func (t *task) word(old uint64) []byte {
	v := old
	if t.op.Op == unio.OpFetchAdd {
		v = old + t.op.Swap
	} else if old == t.op.Compare {
		v = t.op.Swap
	}
	return binary.LittleEndian.AppendUint64(nil, v)
}

// looked notes what a failed mutation has done. If that cannot be read either,
// it counts as not having happened.
func (t *task) looked(done unio.Completion) {
	if done.Err != nil {
		t.rg.drop(t.rec)
		return
	}
	t.rec.data, t.rec.done = t.look, true
}
