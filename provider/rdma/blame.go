package rdma

import (
	"github.com/unio-stack/unio"
	"github.com/unio-stack/unio/internal/iwarp"
)

// blame finds the request in flight that the peer's Terminate is about, or nil.
func (q *queuePair) blame(t *iwarp.Terminate) *unio.Op {
	s, ok := t.Segment()
	switch {
	case t.HasRead:
		return q.blameRead(&t.Read)
	case !ok:
		return nil
	case s.Tagged:
		return q.blameWrite(s.STag, s.TO)
	case s.Opcode == iwarp.OpReadRequest || s.Opcode == iwarp.OpAtomicRequest:
		return q.blameNumber(s.MSN)
	}
	return nil // a Send is complete once TCP has it
}

func (q *queuePair) blameRead(r *iwarp.ReadRequest) *unio.Op {
	for i := range q.own.awaited.len() {
		if op := q.own.awaited.at(i).op; op != nil && op.Op == unio.OpRead && q.covers(op, r.SourceSTag, r.SourceTO) {
			return op
		}
	}
	return nil
}

func (q *queuePair) blameWrite(stag uint32, to uint64) *unio.Op {
	for i := range q.own.unplaced.len() {
		if op := q.own.unplaced.at(i).op; q.covers(op, stag, to) {
			return op
		}
	}
	for _, op := range append(q.own.leaving, q.own.current) {
		if op != nil && op.Op == unio.OpWrite && q.covers(op, stag, to) {
			return op
		}
	}
	return nil
}

// blameNumber finds a request by its place in the queue of Reads and atomics.
func (q *queuePair) blameNumber(msn uint32) *unio.Op {
	first := q.own.begun - uint32(q.own.awaited.len()) + q.own.ahead + 1
	if i := msn - first; i < uint32(q.own.awaited.len()) {
		return q.own.awaited.at(int(i)).op
	}
	return nil
}

// covers reports whether a request names the octet of the peer's memory.
func (q *queuePair) covers(op *unio.Op, stag uint32, to uint64) bool {
	k := q.keyOf(op)
	return k.STag == stag && to-(k.Base+uint64(op.Offset)) < uint64(max(op.Size(), 1))
}
