package rdma

import (
	"fmt"

	"github.com/unio-stack/unio"
	"github.com/unio-stack/unio/internal/iwarp"
)

// served is the part of a connection that serves a Store. Guarded by the queuePair's mu.
type served struct {
	service   *Service
	exposure  *Exposure
	starts    []*IO // to be started when mu is free
	idle      []*IO // to be used again
	pending   int   // with the Store
	writes    ring[written]
	began     uint32  // Writes of the peer that have come whole, from the beginning
	segment   segment // that is being placed
	unstarted int     // Reads and atomics among the answers, the youngest, that the Store does not know yet
	replies   ring[reply]
	statuses  ring[status]
	spent     [][]byte // borrowed memory in the batch, of answers that are all in FPDUs
	sending   *IO      // whose Data the message under way names
	told      bool     // the peer knows why the next answer is declined
	borrowed  int      // bytes, in all
	starved   bool     // waits for memory
	short     int      // bytes that starved waits for of what is the connection's; 0 if others have them
	relieved  bool     // answers have given memory back since it was last looked for
	backlog   []byte   // what had been read by then
}

// A segment of a Write is gathered in borrowed memory until its CRC has been checked.
type segment struct {
	data   []byte
	offset int64
	drop   error // why the Write fails; nil while it does not
}

// A written is a Write of the peer that the Store is working on. Segments are operations of their own.
type written struct {
	number uint32
	left   int  // segments with the Store
	whole  bool // all segments have come
}

// maxServedRead is how many octets one Read may have; those of our own peers are shorter.
const maxServedRead = 8 << 20

const (
	defaultServiceMemory = 16 << 20
	leastServiceMemory   = 1 << 20
)

// newIO returns an operation for the Store, which launch will start.
func (q *queuePair) newIO(op unio.Opcode, offset, length int64) *IO {
	s := q.served
	var io *IO
	if n := len(s.idle); n > 0 {
		io, s.idle = s.idle[n-1], s.idle[:n-1]
	} else {
		io = &IO{}
	}
	*io = IO{Op: op, Offset: offset, Length: length, Data: io.Data[:0], conn: q}
	s.starts = append(s.starts, io)
	s.pending++
	return io
}

// borrow returns memory of the Store's, or nil when there is none now.
func (q *queuePair) borrow(n int) []byte {
	s := q.served
	if s.borrowed+n > s.service.Memory {
		s.short = n
		return nil // some comes back when an operation ends, or when an answer has left
	}
	s.short = 0
	p := s.service.Store.Borrow(n, q)
	if p != nil {
		s.borrowed += n
	}
	return p
}

func (q *queuePair) giveBack(pieces [][]byte) {
	for i, p := range pieces {
		q.served.borrowed -= len(p)
		q.served.service.Store.Return(p)
		pieces[i] = nil
	}
}

// writeTo returns where the payload of a Write to a Store goes; nil and true if that has to wait.
func (q *queuePair) writeTo(e *Exposure, to uint64, n int) (p []byte, why iwarp.Refusal, ok bool) {
	g := &q.served.segment
	if g.data == nil && g.drop == nil {
		offset, why, ok := e.locate(to, uint64(n), unio.Write, q)
		if !ok {
			return nil, why, false
		}
		if g.data = q.borrow(n); g.data == nil {
			q.served.starved = true
			return nil, 0, true
		}
		g.offset = offset
	}
	if g.drop != nil {
		p = q.drain()
		return p[:min(n, len(p))], 0, true
	}
	return g.data[len(g.data)-n:], 0, true
}

// wrote takes a segment of a Write that is good; last says that it is the message's last, which may have no octets.
func (q *queuePair) wrote(last bool) {
	s := q.served
	g := &s.segment
	number := s.began + 1
	if g.data != nil {
		io := q.newIO(unio.OpWrite, g.offset, int64(len(g.data)))
		io.Data, io.number = append(io.Data, g.data), number
		g.data = nil
		q.writing(number).left++
	}
	if !last {
		return
	}
	s.began = number
	if g.drop != nil {
		q.writeFailed(number, g.drop)
		g.drop = nil
	}
	if n := s.writes.len(); n > 0 && s.writes.at(n-1).number == number {
		s.writes.at(n - 1).whole = true
	}
}

// writing returns the Write of that number, the youngest.
func (q *queuePair) writing(number uint32) *written {
	w := &q.served.writes
	if n := w.len(); n == 0 || w.at(n-1).number != number {
		w.push(written{number: number})
	}
	return w.at(w.len() - 1)
}

// written counts a segment that the Store has done with.
func (q *queuePair) segmentDone(io *IO) {
	s := q.served
	s.writes.at(int(io.number-s.writes.front().number)).left--
	if io.Err != nil {
		q.writeFailed(io.number, io.Err)
	}
	for s.writes.len() > 0 && s.writes.front().whole && s.writes.front().left == 0 {
		s.writes.pop()
	}
}

// writeFailed notes what the peer is to be told of a Write. It may not listen, so there is no more of that than a channel has
// requests.
func (q *queuePair) writeFailed(number uint32, err error) {
	q.served.statuses.push(status{subject: number, code: codeOf(err), bad: badByte(err)})
	if q.served.statuses.len() > maxDepth {
		q.reject(iwarp.CauseCatastrophicStream)
	}
}

// settled reports whether the Store has done with the Writes up to a number.
func (s *served) settled(upTo uint32) bool {
	return s.writes.len() == 0 || int32(s.writes.front().number-upTo) > 0
}

// startReads hands the Store what the peer has asked to read, as far as there is memory to read into.
func (q *queuePair) startReads() {
	s := q.served
	for s.unstarted > 0 && q.failure == nil {
		a := q.answers.at(q.answers.len() - s.unstarted)
		if a.err == nil && !q.startRead(a) {
			return
		}
		s.unstarted--
	}
}

func (q *queuePair) startRead(a *answer) bool {
	if !q.agreed && !q.served.settled(a.after) {
		return false // other peers may count on reading what they wrote
	}
	if a.atomic || a.wait {
		return true // nothing to start
	}
	var pieces [][]byte
	for left := int(a.read.Size); left > 0; {
		p := q.borrow(min(left, MaxBorrow))
		if p == nil {
			q.giveBack(pieces)
			q.served.starved = true
			if q.served.short > 0 {
				q.served.short = int(a.read.Size)
			}
			return false
		}
		pieces, left = append(pieces, p), left-len(p)
	}
	a.io = q.newIO(unio.OpRead, a.offset, int64(a.read.Size))
	a.io.Data = append(a.io.Data, pieces...)
	return true
}

// A batch is operations to be started together. Idle ones are the Domain's.
type batch struct{ ios []*IO }

// takeStarts returns what launch is to start once mu is free; nil if there is nothing.
func (q *queuePair) takeStarts() *batch {
	s := q.served
	if s == nil || len(s.starts) == 0 {
		return nil
	}
	b, ok := q.domain.scratch.batches.Get().(*batch)
	if !ok {
		b = &batch{}
	}
	b.ios, s.starts = s.starts, b.ios[:0]
	return b
}

// launch starts operations. mu is not held.
func (q *queuePair) launch(b *batch) {
	if b == nil {
		return
	}
	q.served.service.Store.Start(b.ios)
	clear(b.ios)
	q.domain.scratch.batches.Put(b)
}

// finish takes operations back from the Store.
func (q *queuePair) finish(batch []*IO) {
	q.mu.Lock()
	for _, io := range batch {
		q.takeBack(io)
	}
	if q.failure == nil {
		q.resume()
	}
	if len(batch) >= readAfter {
		q.read(1)
	}
	q.release()
}

// readAfter is how many operations end at a time where it is likely that the peer has asked for more since.
const readAfter = 8

// release gives mu back and does what is left to be done without it.
func (q *queuePair) release() {
	starts, closed := q.takeStarts(), q.closedService()
	q.mu.Unlock()
	q.launch(starts)
	if closed != nil {
		closed()
	}
}

// resume goes on after memory came back or operations have ended, and answers. mu is held.
func (q *queuePair) resume() {
	if q.served.starved {
		q.receive()
	}
	if q.failure == nil {
		q.startReads()
		q.transmit()
	}
	q.attend()
}

// Resume implements Waiter.
func (q *queuePair) Resume() {
	q.mu.Lock()
	if q.failure == nil {
		q.resume()
	}
	q.release()
}

// takeBack takes one operation back.
func (q *queuePair) takeBack(io *IO) {
	s := q.served
	s.pending--
	io.done = true
	switch {
	case q.failure != nil:
		q.giveBack(io.Data)
	case io.Op == unio.OpWrite:
		q.giveBack(io.Data)
		q.segmentDone(io)
		if io.Err != nil && !q.agreed {
			q.terminate(iwarp.Terminate{Cause: iwarp.CauseCatastrophicStream}, fmt.Sprintf("write at %d: %v", io.Offset, io.Err))
			return
		}
	case io.Op == unio.OpRead, io.Op == unio.OpCompareSwap, io.Op == unio.OpFetchAdd:
		return // its answer has it
	default:
		s.replies.push(reply{tag: io.tag, code: codeOf(io.Err), bad: badByte(io.Err)})
		q.in.limit++
	}
	q.recycle(io)
}

func (q *queuePair) recycle(io *IO) {
	clear(io.Data)
	q.served.idle = append(q.served.idle, io)
}

// closedService returns what is to be called when nothing uses the Store any more; once.
func (q *queuePair) closedService() (closed func()) {
	s := q.served
	if s == nil || !q.goodbye.over || s.pending > 0 || s.service == nil {
		return nil
	}
	closed = s.service.Closed
	s.service.Closed = nil
	return closed
}

// starving reports whether nothing more can be read until there is memory.
func (q *queuePair) starving() bool { return q.served != nil && q.served.starved }

// mayEat reports whether what a starving connection waits for has come back to it without its being told.
func (q *queuePair) mayEat() bool {
	s := q.served
	return q.starving() && s.short > 0 && s.borrowed+s.short <= s.service.Memory
}

// hungry takes what had been read when memory ran out, and reports whether it has run out again.
func (q *queuePair) hungry() bool {
	s := q.served
	if s == nil || !s.starved {
		return false
	}
	in := s.backlog
	s.starved, s.backlog = false, in[:0] // which may be all taken, and memory short again
	q.take(in)
	if !s.starved {
		s.backlog = nil
		q.startReads()
	}
	return s.starved
}

// dropping reports whether the Write that is coming has failed already.
func (q *queuePair) dropping() bool { return q.served != nil && q.served.segment.drop != nil }

// refusePlace refuses payload. To a peer of ours that is served it is an error of the one Write.
func (q *queuePair) refusePlace(e *iwarp.Event, why iwarp.Refusal) {
	if q.served == nil || !q.agreed || e.Segment.Opcode != iwarp.OpWrite || e.Segment.STag == q.page.ours {
		q.refuse(why)
		return
	}
	q.served.segment.drop = refusalError(why)
}

// releaseAnswers gives back what the answers that nobody gets have borrowed.
func (q *queuePair) releaseAnswers() {
	s := q.served
	if s == nil {
		return
	}
	for q.answers.len() > 0 {
		if a := q.answers.pop(); a.io != nil && a.io.done {
			q.giveBack(a.io.Data)
		}
	}
	q.giveBack(s.spent)
	s.spent = nil
	if s.sending != nil {
		q.giveBack(s.sending.Data)
		s.sending = nil
	}
	if s.segment.data != nil {
		q.giveBack([][]byte{s.segment.data})
	}
	for _, io := range s.starts { // not with the Store yet
		q.giveBack(io.Data)
		s.pending--
	}
	s.starts, s.segment, s.backlog, s.starved = nil, segment{}, nil, false
}

// answerable reports whether an answer is known.
func (q *queuePair) answerable(a *answer) bool {
	switch {
	case a.err != nil:
		return true
	case a.wait:
		return q.served.settled(a.after)
	case a.io == nil:
		return a.read.Size == 0 || a.memory != nil || a.atomic
	case a.io.done && a.io.Err != nil:
		a.err = a.io.Err
		if !q.agreed {
			q.terminate(iwarp.TerminateRead(a.read, a.msn, iwarp.RefuseFailure, 0), a.err.Error())
			return false
		}
	}
	return a.io.done
}

// declineAnswer tells the peer why there is no answer, then that there is none.
func (q *queuePair) declineAnswer(a *answer) bool {
	s := q.served
	if !s.told {
		s.statuses.push(status{code: codeOf(a.err), bad: badByte(a.err)})
		s.told = true
		return q.beginStatus()
	}
	var err error
	if a.atomic {
		err = q.sender().RespondAtomic(&iwarp.AtomicRequest{ID: a.id}, 0)
	} else {
		err = q.sender().Decline(&a.read)
	}
	if err != nil {
		return false
	}
	s.told = false
	if a.io != nil {
		q.giveBack(a.io.Data)
		s.relieved = true
		q.recycle(a.io)
	}
	q.answers.pop()
	return true
}

// sentAll gives back the borrowed memory of what TCP has taken.
func (q *queuePair) sentAll() {
	if s := q.served; s != nil && len(s.spent) > 0 {
		q.giveBack(s.spent)
		s.spent = s.spent[:0]
		s.relieved = true
	}
}

// relieve goes on where memory was short if answers that have left have given some back: the Store tells of none that was the
// connection's own. It reports whether it has.
func (q *queuePair) relieve() bool {
	s := q.served
	if s == nil || !s.relieved || !s.starved {
		return false
	}
	s.relieved = false
	q.hungry()
	return true
}
