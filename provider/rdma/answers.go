package rdma

import (
	"github.com/unio-stack/unio"
	"github.com/unio-stack/unio/internal/iwarp"
)

// An answer is what the peer's Read or atomic gets, once those before it have theirs.
type answer struct {
	read   iwarp.ReadRequest
	memory []byte    // what to read; nil for an atomic
	from   *Exposure // whose memory that is
	atomic bool
	msn    uint32 // of the Read Request
	id     uint32 // of the atomic
	word   uint64 // its result
}

// exposed returns what an STag of the peer's names, or nil.
func (q *queuePair) exposed(stag uint32) *Exposure {
	if e := q.lookup; e != nil && e.stag == stag && !e.revoked.Load() {
		return e
	}
	q.lookup = q.domain.find(stag)
	return q.lookup
}

// reach returns the n bytes that the peer asks for, which it may only if it has the rights; or with what to refuse it.
func (q *queuePair) reach(stag uint32, to, n uint64, need unio.Rights) ([]byte, iwarp.Refusal, bool) {
	return q.exposed(stag).within(to, n, need, q)
}

// toRead notes a Read Request.
func (q *queuePair) toRead(e *iwarp.Event) {
	a := answer{read: e.Read, msn: e.Segment.MSN}
	if n := e.Read.Size; n > 0 {
		memory, why, ok := q.reach(e.Read.SourceSTag, e.Read.SourceTO, uint64(n), unio.Read)
		if !ok {
			q.refuse(why)
			return
		}
		a.memory, a.from = memory, q.lookup
	}
	q.answers.push(a)
}

// toApply carries out an Atomic Request.
func (q *queuePair) toApply(e *iwarp.Event) {
	r := &e.Atomic
	memory, why, ok := q.reach(r.STag, r.TO, wordSize, unio.ReadWrite)
	if ok && r.TO%wordSize != 0 {
		why, ok = iwarp.RefuseAlignment, false
	}
	if !ok {
		q.refuse(why)
		return
	}
	q.answers.push(answer{atomic: true, id: r.ID, word: apply(r, memory)})
}

// beginAnswer begins the response to the peer's oldest request.
func (q *queuePair) beginAnswer() bool {
	if q.answers.len() == 0 {
		return false
	}
	a := q.answers.front()
	var err error
	if a.atomic {
		err = q.sender().RespondAtomic(&iwarp.AtomicRequest{ID: a.id}, a.word)
	} else {
		err = q.sender().Respond(&a.read, iwarp.Payload{Data: a.memory})
	}
	if err != nil {
		return false // not ready: before the peer's first FPDU nothing can have been asked
	}
	q.answering = a.from
	q.answers.pop()
	return true
}

// fence returns when nothing here reads or changes e's memory any more; e is revoked.
func (q *queuePair) fence(e *Exposure) {
	q.mu.Lock()
	q.fenceLocked(e)
	q.mu.Unlock()
}

func (q *queuePair) fenceLocked(e *Exposure) {
	if q.lookup == e {
		q.lookup = nil
	}
	if q.failure != nil {
		return // nothing is read or written any more
	}
	for i := range q.answers.len() {
		if a := q.answers.at(i); a.from == e {
			q.refuseLate(a)
			return
		}
	}
	q.detachBatch()
	if q.answering != e {
		return
	}
	if q.sender().Left() > maxBatch { // too much to copy
		q.reject(iwarp.CauseInvalidSTag)
		return
	}
	q.sender().Abandon()
}
