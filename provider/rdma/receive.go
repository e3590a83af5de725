package rdma

import (
	"errors"

	"github.com/unio-stack/unio"
	"github.com/unio-stack/unio/internal/iwarp"
)

func (q *queuePair) receiver() *iwarp.Receiver { return q.stream.Receiver() }
func (q *queuePair) sender() *iwarp.Sender     { return q.stream.Sender() }

const (
	// turns bounds how often one connection is read before others have theirs.
	turns = 16
	// directSize is from how many octets of payload on it pays to read no further than its end, so that the next payload
	// is read into its place too, and not copied.
	directSize = 16 << 10
	// directTail is how many octets are read all the same: a trailer and the next header.
	directTail = 512
)

// receive reads once and acts on what has come. It reports whether anything has, and whether there may be more.
func (q *queuePair) receive() (came, more bool) {
	if q.hungry() {
		return false, false
	}
	in := q.domain.scratch.inbox()
	defer q.domain.scratch.inboxes.Put(in)
	head, tail := q.place(), in[:]
	if q.starving() {
		return false, false
	}
	if len(head) >= directSize {
		tail = tail[:directTail]
	}
	n, err := q.wire.read(head, tail)
	q.counts.Syscalls++
	if err != nil {
		if !errors.Is(err, errAgain) {
			q.fail(q.lost(err))
		}
		return false, false
	}
	q.silence.heard = true
	direct := min(n, len(head))
	if direct > 0 {
		_ = q.receiver().Placed(head[:direct]) // place has asked for it
	}
	q.take(tail[:n-direct])
	return true, q.failure == nil && (n == len(head)+len(tail) || q.wire.buffered())
}

// place returns where the next octets go if they are payload of which the beginning has come; otherwise nil.
func (q *queuePair) place() []byte {
	_, e := q.receiver().Step(nil)
	if e.Kind != iwarp.EventPlace || q.peer.CRC && q.isExposed(e) {
		return nil
	}
	p, _, ok := q.destination(e)
	if !ok || len(p) < min(int(e.Length), directSize) {
		return nil // refused when it is taken; or so scattered that reading once and copying is cheaper
	}
	return p
}

// isExposed reports whether payload goes to memory that others may change before its CRC has been checked there.
func (q *queuePair) isExposed(e *iwarp.Event) bool {
	return e.Segment.Opcode == iwarp.OpWrite && (q.served == nil || q.served.exposure.memory != nil)
}

// take acts on octets that have come.
func (q *queuePair) take(in []byte) {
	for q.failure == nil {
		n, e := q.receiver().Step(in)
		in = in[n:]
		switch e.Kind {
		case iwarp.EventNone:
			return
		case iwarp.EventPlace:
			p, why, ok := q.destination(e)
			if !ok {
				q.refusePlace(e, why)
				continue
			}
			if q.starving() {
				q.served.backlog = append(q.served.backlog[:0], in...)
				return
			}
			if len(in) == 0 {
				return
			}
			in = in[q.receiver().Place(p, in, len(p) >= directSize && q.isExposed(e)):]
		case iwarp.EventMessage:
			q.message(e)
		case iwarp.EventSegment:
			q.wrote(false)
		case iwarp.EventFault:
			q.fault(e)
			return
		}
	}
}

// destination returns where the payload that is due goes, at least as far as it is contiguous; or with what to refuse it.
func (q *queuePair) destination(e *iwarp.Event) (p []byte, why iwarp.Refusal, ok bool) {
	n := int(e.Length)
	switch s := &e.Segment; {
	case s.Opcode == iwarp.OpReadResponse:
		p = q.sinkOf(e)
	case s.Opcode != iwarp.OpWrite && (q.served != nil || q.home != nil):
		return q.toCapsule(int(s.MO), n)
	case s.Opcode != iwarp.OpWrite:
		p, why, ok = q.toReceive(int(s.MO), n)
		if !ok {
			return nil, why, false
		}
	case s.STag == q.page.ours && q.page.ours != 0:
		return q.page.within(s.TO, n)
	case q.served != nil && q.served.exposure.memory == nil || q.dropping():
		return q.writeTo(q.exposed(s.STag), s.TO, n)
	default:
		return q.reach(s.STag, s.TO, uint64(n), unio.Write)
	}
	if p == nil {
		p = q.drain() // nobody wants it any more
	}
	return p[:min(n, len(p))], 0, true
}

// drain is where payload goes that nobody wants.
func (q *queuePair) drain() []byte {
	if q.unwanted == nil {
		q.unwanted = make([]byte, pageSize)
	}
	return q.unwanted
}

// message acts on a message that has come whole.
func (q *queuePair) message(e *iwarp.Event) {
	switch op := e.Segment.Opcode; op {
	case iwarp.OpWrite:
		switch {
		case e.Segment.STag == q.page.ours && q.page.ours != 0:
			q.turned(e.Segment.TO)
		case q.served != nil && !e.RTR:
			q.wrote(true)
		}
	case iwarp.OpReadRequest:
		q.toRead(e)
	case iwarp.OpAtomicRequest:
		q.toApply(e)
	case iwarp.OpReadResponse, iwarp.OpAtomicResponse:
		q.answered(e)
	case iwarp.OpTerminate:
		q.terminated(e)
	default:
		switch {
		case e.RTR:
		case q.served != nil:
			q.commanded(int(e.Length))
		case q.home != nil:
			q.replied(int(e.Length))
		default:
			q.received(e)
		}
	}
}
