package rdma

import (
	"github.com/unio-stack/unio"
	"github.com/unio-stack/unio/internal/iwarp"
)

// receives are the Recvs that are posted, and what comes for those that were cancelled: the peer may have been told of a
// Recv, and so may send a message for it. That is kept for the next Recv.
type receives struct {
	posted ring[*unio.Op]
	parked ring[parked] // none is whole while there is a Recv
	// owed is how many more messages may come for Recvs that are posted no more.
	owed    int
	limit   uint32 // how many messages may come in all, from the beginning; wraps around
	told    uint32 // the limit that the peer knows
	arrived uint32 // how many have begun to come
	kept    int    // bytes of parked messages; at most queuePair.longest
	// quiet says that the owner is likely to send something soon, with which the peer can be told.
	quiet bool
	// partial says that a message has come in part: into the last parked one if parking, otherwise into the oldest Recv.
	partial, parking bool
}

// earlyMessages of a peer of other make, which may send as soon as it is connected, are kept until the application posts its
// first Recv; afterwards a message for which there is no Recv ends the connection.
const earlyMessages = 8

// A parked message waits for a Recv.
type parked struct {
	data  []byte
	flags unio.Flags
	value uint64
	whole bool
}

// post takes a Recv.
func (q *queuePair) post(op *unio.Op) {
	in := &q.in
	if in.limit == 0 && q.own.credits.unlimited {
		in.owed = 0
	}
	switch {
	case in.parked.len() > in.posted.len(): // its message is here
	case in.owed > 0:
		in.owed--
	default:
		in.limit++
	}
	in.posted.push(op)
	q.unpark()
}

// unpark gives the oldest message that is kept to the oldest Recv, if there are both.
func (q *queuePair) unpark() {
	in := &q.in
	for in.parked.len() > 0 && in.parked.front().whole && in.posted.len() > 0 && q.failure == nil {
		if len(in.parked.front().data) > room(&(*in.posted.front()).Request) {
			q.reject(iwarp.CauseTooLong)
			return
		}
		m, op := in.parked.pop(), in.posted.pop()
		in.kept -= len(m.data)
		spread(&op.Request, m.data)
		q.finished.push(result{op: op, n: int64(len(m.data)), value: m.value, flags: m.flags})
	}
}

// toReceive returns where octets of the message that is coming go, from octet at on.
func (q *queuePair) toReceive(at, n int) (p []byte, why iwarp.Refusal, ok bool) {
	in := &q.in
	if !in.partial {
		if why, ok := q.beginReceive(); !ok {
			return nil, why, false
		}
	}
	if !in.parking {
		op := *in.posted.front()
		if n > int(op.Size())-at {
			return nil, iwarp.RefuseTooLong, false
		}
		return piece(&op.Request, at), 0, true
	}
	m := in.parked.at(in.parked.len() - 1)
	if more := at + n - len(m.data); more > 0 {
		if more > q.longest-in.kept {
			return nil, iwarp.RefuseTooLong, false
		}
		in.kept += more
		m.data = append(m.data, make([]byte, more)...)
	}
	return m.data[at : at+n], 0, true
}

// beginReceive finds a Recv for the next message, or the right to keep it.
func (q *queuePair) beginReceive() (why iwarp.Refusal, ok bool) {
	in := &q.in
	if in.parking = in.posted.len() == 0; in.parking {
		if in.owed == 0 {
			return iwarp.RefuseNoBuffer, false
		}
		in.owed--
		in.parked.push(parked{})
	}
	in.arrived++
	in.partial = true
	return 0, true
}

// received takes a Send or immediate data that has come whole.
func (q *queuePair) received(e *iwarp.Event) {
	in := &q.in
	if !in.partial {
		if why, ok := q.beginReceive(); !ok {
			q.refuse(why)
			return
		}
	}
	flags, value := unio.Flags(0), uint64(0)
	op := e.Segment.Opcode
	n := int(e.Length)
	switch {
	case op == iwarp.OpImmediate, op == iwarp.OpImmediateSolicited:
		flags, value, n = unio.Immediate, immediateValue(e.Immediate), 0
	case op.Invalidates():
		if !q.invalidate(e.Segment.Invalidate) {
			return
		}
		flags, value = unio.Invalidate, uint64(e.Segment.Invalidate)
	}
	if op.Solicited() {
		flags |= unio.Solicited
	}
	in.partial = false
	if in.parking {
		m := in.parked.at(in.parked.len() - 1)
		in.kept -= len(m.data) - n
		m.data, m.flags, m.value, m.whole = m.data[:n], flags, value, true
		q.unpark()
		return
	}
	q.finished.push(result{op: in.posted.pop(), n: int64(n), value: value, flags: flags})
}

// invalidate withdraws what the peer names in a Send with Invalidate: only what is exposed to it alone, so that it takes
// nothing away from others.
func (q *queuePair) invalidate(stag uint32) bool {
	e := q.exposed(stag)
	if e == nil || e.only != q {
		q.refuse(iwarp.RefuseInvalidate)
		return false
	}
	q.lookup = nil
	e.withdraw()
	q.fenceLocked(e)
	return q.failure == nil // the peer may have been reading it
}

// unpost takes a Recv back that is cancelled. What has come for it in part is kept.
func (q *queuePair) unpost(i int) {
	in := &q.in
	op := *in.posted.at(i)
	in.posted.remove(i)
	if i == 0 && in.partial && !in.parking {
		have := make([]byte, 0, op.Size())
		for len(have) < int(op.Size()) {
			have = append(have, piece(&op.Request, len(have))...)
		}
		in.kept += len(have)
		in.parked.push(parked{data: have})
		in.parking = true
	}
	switch {
	case in.parked.len() > in.posted.len(): // its message is kept for another
	case in.limit != in.told && !q.own.credits.unlimited:
		in.limit-- // the peer has not been told of it
	default:
		in.owed++
	}
}
