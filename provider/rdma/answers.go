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

	// Of a Store.
	io     *IO    // nil until the Store knows of it, and where none is needed
	offset int64  // in the region
	after  uint32 // the Writes that came before
	wait   bool   // for those Writes
	err    error  // why it is declined
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
	n := uint64(e.Read.Size)
	switch {
	case q.served != nil && q.served.exposure.memory == nil:
		q.toLoad(a)
		return
	case n > 0:
		memory, why, ok := q.reach(e.Read.SourceSTag, e.Read.SourceTO, n, unio.Read)
		if !ok && q.mayDecline() {
			a.err = refusalError(why)
		} else if !ok {
			q.refuse(why)
			return
		}
		a.memory, a.from = memory, q.lookup
	}
	q.answers.push(a)
}

// mayDecline reports whether the peer expects an error where another's connection would end.
func (q *queuePair) mayDecline() bool { return q.served != nil && q.agreed }

// toLoad notes a Read Request that the Store has to carry out.
func (q *queuePair) toLoad(a answer) {
	s := q.served
	a.after = s.began
	if a.read.Size == 0 {
		a.wait = true
		q.answers.push(a)
		q.keepOrder()
		return
	}
	offset, why, ok := q.exposed(a.read.SourceSTag).locate(a.read.SourceTO, uint64(a.read.Size), unio.Read, q)
	if ok && int(a.read.Size) > min(maxServedRead, s.service.Memory) {
		why, ok = iwarp.RefuseFailure, false
	}
	switch {
	case ok:
		a.offset = offset
	case q.mayDecline():
		a.err = refusalError(why)
	default:
		q.refuse(why)
		return
	}
	q.answers.push(a)
	s.unstarted++
	q.startReads()
}

// keepOrder counts an answer that the Store has nothing to do for behind those that it does not know yet.
func (q *queuePair) keepOrder() {
	if q.served.unstarted > 0 {
		q.served.unstarted++
	}
}

// toApply carries out an Atomic Request.
func (q *queuePair) toApply(e *iwarp.Event) {
	r := &e.Atomic
	a := answer{atomic: true, id: r.ID}
	at, why, ok := q.exposed(r.STag).locate(r.TO, wordSize, unio.ReadWrite, q)
	if ok && at%wordSize != 0 {
		why, ok = iwarp.RefuseAlignment, false
	}
	switch {
	case !ok && q.mayDecline():
		a.err = refusalError(why)
	case !ok:
		q.refuse(why)
		return
	case q.lookup.memory != nil:
		a.word = apply(r, q.lookup.memory[at:])
	default:
		a.io = q.newAtomic(r, at)
	}
	q.answers.push(a)
	if q.served != nil {
		q.keepOrder()
	}
}

// newAtomic has the Store carry out an atomic. Masks other than those of whole words no peer of ours sends.
func (q *queuePair) newAtomic(r *iwarp.AtomicRequest, at int64) *IO {
	op := unio.OpFetchAdd
	if r.Op == iwarp.AtomicCmpSwap {
		op = unio.OpCompareSwap
	}
	io := q.newIO(op, at, wordSize)
	io.Compare, io.Swap = r.Compare, r.Value
	return io
}

// beginAnswer begins the response to the peer's oldest request, if it is known.
func (q *queuePair) beginAnswer() bool {
	if q.answers.len() == 0 {
		return false
	}
	a := q.answers.front()
	payload := iwarp.Payload{Data: a.memory, Volatile: a.memory != nil}
	if q.served != nil {
		if !q.answerable(a) {
			return false
		}
		if a.err != nil {
			return q.declineAnswer(a)
		}
		if a.io != nil {
			payload.Vec, a.word = a.io.Data, a.io.Value
		}
	}
	var err error
	if a.atomic {
		err = q.sender().RespondAtomic(&iwarp.AtomicRequest{ID: a.id}, a.word)
	} else {
		err = q.sender().Respond(&a.read, payload)
	}
	if err != nil {
		return false // not ready: before the peer's first FPDU nothing can have been asked
	}
	q.answering = a.from
	if a.io != nil {
		q.served.sending = a.io
	}
	q.answers.pop()
	return true
}

// fence returns when nothing here reads or changes e's memory any more; e is revoked.
func (q *queuePair) fence(e *Exposure) {
	q.mu.Lock()
	q.fenceLocked(e)
	q.release()
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
