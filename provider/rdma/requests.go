package rdma

import (
	"errors"

	"github.com/unio-stack/unio"
	"github.com/unio-stack/unio/internal/iwarp"
)

// requests are what the channel asks of the peer, on their way: work, then current, then leaving, unplaced or awaited.
type requests struct {
	work      ring[*unio.Op] // not begun; they leave in order
	current   *unio.Op       // being cut into FPDUs, with memory of its own; nil too if it was cancelled meanwhile
	leaving   []*unio.Op     // cut, complete once the batch is written
	unplaced  ring[unplaced] // Writes that the peer may not have placed
	placed    uint32         // how many have been, and so are no longer in unplaced
	declined  error          // why the next response brings nothing
	commands  []sent         // with a target, by tag
	abandoned bool           // current is a Write that was cancelled
	unasked   int            // how many of them, the youngest, no Read of no octets has asked about
	unsure    int64          // how many octets those have
	awaited   ring[awaited]  // what waits for a response, in order, as RDMAP has it
	begun     uint32         // how many of those there were; the next one's ID
	ahead     uint32         // requests before the first of them: an RTR
	credits   credits        // for Sends
	expecting int            // timers of expect that run
	// expectPlaced and expectAnswered are the furthest that they wait for.
	expectPlaced, expectAnswered uint32
}

// awaited is a Read or atomic that waits for its response.
type awaited struct {
	op     *unio.Op // nil for a Read that was cancelled, and for what we ask ourselves
	writes int      // how many Writes are placed once the response is here
}

// unplaced is a Write on its way.
type unplaced struct {
	op  *unio.Op
	err error // why it fails: at the target, or ErrCanceled where only its beginning is on the way
}

// keyOf is how the peer knows op's region.
func (q *queuePair) keyOf(op *unio.Op) Key {
	r := op.Handle().(*region)
	if r.home && q.home != nil {
		return *q.home
	}
	return r.key
}

// beginOwn begins the channel's next message, if it may go now.
func (q *queuePair) beginOwn() bool {
	o := &q.own
	if o.work.len() == 0 {
		return false
	}
	op := *o.work.front()
	var err error
	switch op.Op {
	case unio.OpWrite:
		k := q.keyOf(op)
		err = q.sender().Write(k.STag, k.Base+uint64(op.Offset), payload(op))
	case unio.OpRead:
		k := q.keyOf(op)
		err = q.sender().Read(iwarp.ReadRequest{
			SinkSTag: q.sink, Size: uint32(op.Size()), SourceSTag: k.STag, SourceTO: k.Base + uint64(op.Offset),
		}, q.nextID())
	case unio.OpCompareSwap, unio.OpFetchAdd:
		err = q.sender().Atomic(q.atomicRequest(op), q.nextID())
	default:
		if !o.credits.available() {
			return false
		}
		err = q.beginMessage(op)
	}
	switch {
	case errors.Is(err, iwarp.ErrOutstanding), errors.Is(err, iwarp.ErrNotReady):
		return false
	case err != nil: // the peer's offsets do not exist
		o.work.pop()
		q.end(op, 0, &unio.OpError{BadByte: -1, Layer: Layer, Peer: q.remote.String(), Err: errors.Join(unio.ErrInvalid, err)})
		return true
	}
	o.work.pop()
	switch op.Op {
	case unio.OpRead, unio.OpCompareSwap, unio.OpFetchAdd:
		q.await(awaited{op: op})
	case unio.OpWrite, unio.OpSend, unio.OpImmediate:
		o.current = op
	}
	return true
}

func (q *queuePair) beginMessage(op *unio.Op) (err error) {
	if op.Op != unio.OpSend && op.Op != unio.OpImmediate {
		return q.beginCommand(op)
	}
	solicited := op.Flags&unio.Solicited != 0
	if op.Op == unio.OpImmediate {
		err = q.sender().Immediate(immediate(op.Swap), solicited)
	} else {
		options := iwarp.SendOptions{Solicited: solicited}
		if op.Flags&unio.Invalidate != 0 {
			options.Invalidates, options.Invalidate = true, q.keyOf(op).STag
		}
		err = q.sender().Send(options, payload(op))
	}
	if err == nil {
		q.own.credits.spend()
	}
	return err
}

func (q *queuePair) nextID() uint64 { return uint64(q.own.begun) }

func payload(op *unio.Op) iwarp.Payload { return iwarp.Payload{Data: op.Data, Vec: op.Vec} }

func (q *queuePair) atomicRequest(op *unio.Op) iwarp.AtomicRequest {
	k := q.keyOf(op)
	r := iwarp.AtomicRequest{STag: k.STag, TO: k.Base + uint64(op.Offset), Value: op.Swap}
	if op.Op == unio.OpCompareSwap {
		r.Op = iwarp.AtomicCmpSwap
		r.Mask, r.Compare, r.CompareMask = ^uint64(0), op.Compare, ^uint64(0)
	}
	return r
}

// cut says that the message under way is in FPDUs to its end.
func (q *queuePair) cut() {
	o := &q.own
	op, abandoned := o.current, o.abandoned
	o.current, o.abandoned, q.answering = nil, false, nil
	if s := q.served; s != nil && s.sending != nil {
		s.spent = append(s.spent, s.sending.Data...)
		q.recycle(s.sending)
		s.sending = nil
	}
	if op == nil {
		return // an answer, or something of our own, or cancelled
	}
	if op.Op == unio.OpWrite && q.peer.ORD > 0 {
		w := unplaced{op: op}
		if abandoned {
			w.err = unio.ErrCanceled
		}
		o.unplaced.push(w)
		o.unasked++
		o.unsure += op.Size()
		return
	}
	o.leaving = append(o.leaving, op)
}

// await notes that the request that was just begun waits for its response: they come in order.
func (q *queuePair) await(a awaited) {
	q.own.awaited.push(a)
	q.own.begun++
}

// One Read of no octets asks about at most so many Writes, or about few more octets: so the first ones of a long batch end, and
// new ones can be posted, while the peer is at the last ones.
const (
	askWrites = 32
	askOctets = 32 << 10
)

// askingIsDue reports whether Writes that could follow are to wait for that.
func (o *requests) askingIsDue() bool { return o.unasked >= askWrites || o.unsure >= askOctets }

// beginAsking begins a Read of no octets, whose response says that the Writes before it are placed, or that the peer lives.
func (q *queuePair) beginAsking() bool {
	o := &q.own
	if o.unasked == 0 && !q.silence.probe {
		return false
	}
	if q.sender().Read(iwarp.ReadRequest{SinkSTag: q.sink, SourceSTag: anySTag}, q.nextID()) != nil {
		return false
	}
	q.await(awaited{writes: o.unasked})
	o.unasked, o.unsure, q.silence.probe = 0, 0, false
	return true
}

// anySTag is for a Read of no octets, where it is not looked at.
const anySTag = 1

// left says that all that was cut has been written.
func (q *queuePair) left() {
	for i, op := range q.own.leaving {
		q.end(op, op.Size(), nil)
		q.own.leaving[i] = nil
	}
	q.own.leaving = q.own.leaving[:0]
	q.sentAll()
}

// answered takes the response to the oldest request.
func (q *queuePair) answered(e *iwarp.Event) {
	if e.RTR {
		return
	}
	o := &q.own
	a := o.awaited.pop()
	for range a.writes {
		o.placed++
		if w := o.unplaced.pop(); w.err != nil {
			q.end(w.op, 0, w.err)
		} else {
			q.end(w.op, w.op.Size(), nil)
		}
	}
	err := o.declined
	if a.op != nil && a.op.Op == unio.OpRead && err == nil && int64(e.Length) != a.op.Size() {
		err = q.remoteError(codeOf(unio.ErrMedia), -1) // declined without saying why
	}
	o.declined = nil
	switch {
	case a.op == nil:
	case err != nil:
		q.end(a.op, 0, err)
	default:
		q.finished.push(result{op: a.op, n: a.op.Size(), value: e.AtomicResponse.Original})
	}
}

// sinkOf returns where the next octets of a Read Response go: nil if nobody wants them any more.
func (q *queuePair) sinkOf(e *iwarp.Event) []byte {
	op := q.own.awaited.front().op
	if op == nil {
		return nil
	}
	return piece(&op.Request, int(e.Segment.TO))
}
