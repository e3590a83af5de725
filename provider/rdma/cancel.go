package rdma

import (
	"fmt"
	"time"

	"github.com/unio-stack/unio"
)

// Cancel implements unio.Queue. What has not left is taken back, and a Read ends at once: what still comes for it is dropped.
// A Write or an atomic that is on its way cannot be called back and would take effect after its completion, so it ends when
// the peer has answered; if that takes too long, the connection ends.
func (q *queuePair) Cancel(op *unio.Op) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.failure == nil && q.withdraw(op) {
		q.end(op, 0, unio.ErrCanceled)
	}
	q.transmit()
	q.goOn()
	q.harvest()
}

// withdraw makes sure that nothing here uses op's memory any more, and reports whether op has ended with that. An operation
// that is in finished already is in none of the places where it looks.
func (q *queuePair) withdraw(op *unio.Op) bool {
	switch op.Op {
	case unio.OpRecv:
		return q.withdrawRecv(op)
	case unio.OpRead:
		return q.withdrawWork(op) || q.withdrawRead(op)
	case unio.OpFlush, unio.OpDiscard, unio.OpWriteZeroes:
		return q.withdrawWork(op) || q.withdrawCommand(op)
	case unio.OpSend, unio.OpImmediate:
		return q.withdrawWork(op) || q.withdrawCurrent(op) || q.withdrawLeaving(op)
	case unio.OpWrite:
		if q.withdrawWork(op) || q.withdrawLeaving(op) || q.peer.ORD == 0 && q.withdrawCurrent(op) {
			return true // without Reads nothing says what becomes of it
		}
		q.hastenWrite(op)
		return false
	}
	if q.withdrawWork(op) {
		return true
	}
	for i := range q.own.awaited.len() {
		if q.own.awaited.at(i).op == op {
			q.expect(0, uint32(i)+1)
		}
	}
	return false
}

// hastenWrite lets a Write that is under way end soon.
func (q *queuePair) hastenWrite(op *unio.Op) {
	if q.own.current == op {
		q.detachBatch()
		q.sender().Abandon()
		q.own.abandoned = true
		q.expect(uint32(q.own.unplaced.len())+1, 0)
	}
	for i := range q.own.unplaced.len() {
		if q.own.unplaced.at(i).op == op {
			q.expect(uint32(i)+1, 0)
		}
	}
}

func (q *queuePair) withdrawRecv(op *unio.Op) bool {
	for i := range q.in.posted.len() {
		if *q.in.posted.at(i) == op {
			q.unpost(i)
			return true
		}
	}
	return false
}

// withdrawCommand ends a Flush at once, which nobody will miss. Another command may yet take effect, so its end is waited for,
// no longer than that of a Write.
func (q *queuePair) withdrawCommand(op *unio.Op) bool {
	for tag := range q.own.commands {
		c := &q.own.commands[tag]
		if c.op != op {
			continue
		}
		if op.Op == unio.OpFlush {
			c.op = nil
			return true
		}
		number := c.number
		time.AfterFunc(cancelTime, func() { q.expectedCommand(tag, number) })
	}
	return false
}

func (q *queuePair) expectedCommand(tag int, number uint32) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.failure == nil && tag < len(q.own.commands) && q.own.commands[tag].busy && q.own.commands[tag].number == number {
		q.failStalled()
	}
}

func (q *queuePair) withdrawWork(op *unio.Op) bool {
	for i := range q.own.work.len() {
		if *q.own.work.at(i) == op {
			q.own.work.remove(i)
			return true
		}
	}
	return false
}

func (q *queuePair) withdrawRead(op *unio.Op) bool {
	for i := range q.own.awaited.len() {
		if a := q.own.awaited.at(i); a.op == op {
			a.op = nil
			return true
		}
	}
	return false
}

func (q *queuePair) withdrawCurrent(op *unio.Op) bool {
	if q.own.current != op {
		return false
	}
	q.own.current = nil
	q.detachBatch()
	q.sender().Abandon()
	return true
}

func (q *queuePair) withdrawLeaving(op *unio.Op) bool {
	for i, leaving := range q.own.leaving {
		if leaving == op {
			q.own.leaving = append(q.own.leaving[:i], q.own.leaving[i+1:]...)
			q.detachBatch()
			return true
		}
	}
	return false
}

// detachBatch makes sure that nothing in the batch lies in memory of others.
func (q *queuePair) detachBatch() {
	if q.out != nil {
		q.out.batch.Detach()
	}
}

// cancelTime is how long a cancelled Write or atomic may take to be answered.
const cancelTime = time.Second

// expect ends the connection unless the peer has placed so many of the Writes, and answered so many of the requests, that
// are under way, within cancelTime.
func (q *queuePair) expect(writes, responses uint32) {
	o := &q.own
	placed := o.placed + writes
	answered := o.begun - uint32(o.awaited.len()) + responses
	if o.expecting > 0 && int32(placed-o.expectPlaced) <= 0 && int32(answered-o.expectAnswered) <= 0 {
		return // in somebody else's time
	}
	if o.expecting == 0 || int32(placed-o.expectPlaced) > 0 {
		o.expectPlaced = placed
	}
	if o.expecting == 0 || int32(answered-o.expectAnswered) > 0 {
		o.expectAnswered = answered
	}
	o.expecting++
	time.AfterFunc(cancelTime, func() { q.expected(placed, answered) })
}

func (q *queuePair) expected(placed, answered uint32) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.own.expecting--
	behind := int32(q.own.placed-placed) < 0 || int32(q.own.begun-uint32(q.own.awaited.len())-answered) < 0
	if q.failure == nil && behind {
		q.failStalled()
	}
}

// failStalled ends the connection to a peer that leaves us in doubt.
func (q *queuePair) failStalled() {
	q.fail(&failure{
		layer: Layer, cause: fmt.Errorf("%w: %w", unio.ErrDisconnected, unio.ErrTimeout),
		detail: fmt.Sprintf("the peer has not answered a cancelled request for %v", cancelTime),
	})
	q.bury() // it would not hear a farewell
}
