package uniotest

import (
	"encoding/binary"

	"github.com/unio-stack/unio"
)

func isMessage(o unio.Opcode) bool { return unio.MessageOps.Has(o) }

// step does one thing of those that can be done, after a random time, and
// reports whether there was one.
func (q *pairQueue) step() bool {
	e := q.end
	e.pair.mu.Lock()
	dice := e.rng.Uint32()
	e.pair.mu.Unlock()
	dawdle(dice)
	e.pair.mu.Lock()
	defer e.pair.mu.Unlock()
	first := e.rng.IntN(len(q.ops) + 1)
	for i := range len(q.ops) + 1 {
		if k := (first + i) % (len(q.ops) + 1); k == len(q.ops) {
			if q.deliver() {
				return true
			}
		} else if q.ready(k) {
			op := q.ops[k]
			q.ops = append(q.ops[:k], q.ops[k+1:]...)
			q.report(q.perform(op))
			return true
		}
	}
	return false
}

// ready reports whether the operation may be carried out before those that were
// submitted earlier and are still to do.
func (q *pairQueue) ready(i int) bool {
	if !isMessage(q.ops[i].Op) {
		return true
	}
	p, to := q.end.pair, q.end.peer
	if len(to.inbox) >= p.cfg.Window && !p.hooks.endless {
		return false
	}
	for _, before := range q.ops[:i] {
		if isMessage(before.Op) || before.Op == unio.OpWrite && !p.hooks.hasty {
			return false
		}
	}
	return true
}

// perform carries an operation out.
func (q *pairQueue) perform(op *unio.Op) pairResult {
	if h := q.end.pair.hooks.perform; h != nil {
		return h(q, op)
	}
	return q.carryOut(op)
}

func (q *pairQueue) carryOut(op *unio.Op) pairResult {
	if isMessage(op.Op) {
		return q.send(op)
	}
	x := op.Handle().(pairHandle).exposure
	if err := x.permit(op.Op); err != nil {
		return q.refuse(op, err)
	}
	res := pairResult{op: op, n: op.Size()}
	switch op.Op {
	case unio.OpRead:
		scatter(&op.Request, x.bytes[op.Offset:][:op.Size()])
	case unio.OpWrite:
		gather(x.bytes[op.Offset:][:0], &op.Request)
	default:
		res.value = atomically(x.bytes[op.Offset:][:8], &op.Request)
	}
	return res
}

// permit says why the peer may not do this to the memory, or nil.
func (x *exposure) permit(o unio.Opcode) error {
	need := unio.ReadWrite
	switch o {
	case unio.OpRead:
		need = unio.Read
	case unio.OpWrite:
		need = unio.Write
	}
	switch {
	case x.revoked:
		return unio.ErrRevoked
	case need&^x.rights != 0:
		return unio.ErrAccess
	}
	return nil
}

// refuse ends an operation that the peer does not permit.
func (q *pairQueue) refuse(op *unio.Op, cause error) pairResult {
	if q.end.pair.cfg.Fatal {
		q.end.pair.sever()
	}
	return pairResult{op: op, err: q.end.mishap(cause)}
}

// send puts a message into the peer's inbox.
func (q *pairQueue) send(op *unio.Op) pairResult {
	to := q.end.peer
	p := parcel{flags: op.Flags & (unio.Solicited | unio.Invalidate), data: to.memory()}
	if op.Op == unio.OpImmediate {
		p.flags, p.value = p.flags|unio.Immediate, op.Swap
	} else {
		p.data = gather(p.data, &op.Request)
	}
	if op.Flags&unio.Invalidate != 0 {
		p.invalidate = op.Handle().(pairHandle).exposure
		if p.invalidate.revoked {
			return q.refuse(op, unio.ErrRevoked)
		}
	}
	to.inbox = append(to.inbox, p)
	if to.queue != nil {
		signal(to.queue.work)
	}
	return pairResult{op: op, n: op.Size()}
}

// deliver hands the oldest message that has arrived to the oldest Recv, and
// reports whether there was both.
func (q *pairQueue) deliver() bool {
	e := q.end
	if len(q.recvs) == 0 || len(e.inbox) == 0 {
		return false
	}
	p, recv := e.take(), q.recvs[0]
	q.recvs = append(q.recvs[:0], q.recvs[1:]...)
	if h := e.pair.hooks.deliver; h != nil {
		q.report(h(q, p, recv))
	} else {
		q.report(q.receive(p, recv))
	}
	e.reuse(p)
	if e.peer.queue != nil {
		signal(e.peer.queue.work) // there is room
	}
	q.failUnservable()
	return true
}

// receive ends a Recv with a message.
func (q *pairQueue) receive(p parcel, recv *unio.Op) pairResult {
	if int64(len(p.data)) > recv.Size() {
		q.end.pair.sever()
		return pairResult{op: recv, err: q.end.mishap(unio.ErrOutOfRange)}
	}
	if p.invalidate != nil {
		p.invalidate.revoke()
	}
	scatter(&recv.Request, p.data)
	return pairResult{op: recv, n: int64(len(p.data)), flags: p.flags, value: p.value}
}

// gather appends the request's memory to dst.
func gather(dst []byte, r *unio.Request) []byte {
	dst = append(dst, r.Data...)
	for _, p := range r.Vec {
		dst = append(dst, p...)
	}
	return dst
}

// scatter copies src, no longer than the request's memory, into that.
func scatter(r *unio.Request, src []byte) {
	n := copy(r.Data, src)
	for _, p := range r.Vec {
		n += copy(p, src[n:])
	}
}

// atomically carries out an atomic on a word and returns its old value.
func atomically(word []byte, r *unio.Request) (old uint64) {
	old = binary.LittleEndian.Uint64(word)
	switch {
	case r.Op == unio.OpFetchAdd:
		binary.LittleEndian.PutUint64(word, old+r.Swap)
	case old == r.Compare:
		binary.LittleEndian.PutUint64(word, r.Swap)
	}
	return old
}

// verify says what is wrong with an operation that the core submitted.
func (q *pairQueue) verify(op *unio.Op) error {
	e := q.end
	h, reaches := op.Handle().(pairHandle)
	switch {
	case !e.info.Native.Has(op.Op):
		return misfit(op, "not native")
	case reaches && h.exposure.end != e.peer:
		return misfit(op, "the handle is not of the peer's memory")
	case length(&op.Request) != op.Size():
		return misfit(op, "the memory has another length")
	case isMessage(op.Op):
		return q.verifyMessage(op, reaches)
	case !reaches:
		return misfit(op, "no region")
	case op.Offset < 0 || op.Size() <= 0 || op.Offset > h.Size()-op.Size():
		return misfit(op, "outside the region of %d bytes", h.Size())
	}
	return nil
}

func (q *pairQueue) verifyMessage(op *unio.Op, reaches bool) error {
	switch {
	case reaches != (op.Flags&unio.Invalidate != 0):
		return misfit(op, "a region, or none, and the flags %v do not agree", op.Flags)
	case op.Op == unio.OpSend && op.Size() > q.end.info.MaxMessage:
		return misfit(op, "longer than %d", q.end.info.MaxMessage)
	case op.Op == unio.OpImmediate && op.Size() != 0:
		return misfit(op, "an Immediate message with memory")
	}
	return nil
}
