package iwarp

import "math"

// This file holds what a Receiver checks of a segment, and what a good one does: RFC 5041 section 7.1, RFC 5040 section 7.2,
// RFC 7306 section 8.2.

// length is how many octets follow the DDP header in the segment.
func (r *Receiver) length() uint32 { return uint32(lengthSize + r.size - r.header) }

// body is what has come behind the DDP header, of a message that has a body and no payload.
func (r *Receiver) body() []byte { return r.octets[r.header:r.have] }

// receiveHeader looks at a DDP header that has come.
func (r *Receiver) receiveHeader() {
	header := r.octets[lengthSize:r.header]
	r.seg.parse(header)
	r.event.RTR = false
	c := r.seg.checkVersions(header)
	switch {
	case c != 0:
	case r.seg.Tagged:
		c = r.receiveTagged(r.length())
	default:
		c = r.receiveUntagged(r.length())
	}
	switch {
	case c != 0:
		r.fail(c)
	case !r.seg.Tagged && !r.seg.Opcode.isSend():
		r.need += int(r.length())
	default:
		r.endHead()
	}
}

func (r *Receiver) receiveTagged(n uint32) Cause {
	switch r.seg.Opcode {
	case OpWrite:
		return r.receiveWrite(n)
	case OpReadResponse:
		return r.receiveReadResponse(n)
	}
	return CauseOpcode
}

// checkTagged is what holds for both tagged messages. Without payload, buffer and offset are not looked at (RFC 5041 section 5.2).
func (r *Receiver) checkTagged(n uint32) Cause {
	t := &r.tag
	switch {
	case t.open && t.opcode != r.seg.Opcode:
		return CauseOpcode
	case n > 0 && t.length > 0 && t.stag != r.seg.STag:
		return CauseTaggedInvalidSTag
	case n > 0 && r.seg.TO+uint64(n) < r.seg.TO:
		return CauseTaggedTOWrap
	case n > 0 && t.length > 0 && r.seg.TO != t.to+uint64(t.length), n > math.MaxUint32-t.length:
		return CauseTaggedBounds
	}
	return 0
}

// untaggedQueue is the queue that messages of a kind go through. ok is false if they are tagged, or not known.
func (r *Receiver) untaggedQueue(op Opcode) (queue uint32, ok bool) {
	switch op {
	case OpSend, OpSendInvalidate, OpSendSolicited, OpSendSolicitedInvalidate:
		return queueSend, true
	case OpReadRequest:
		return queueRequest, true
	case OpTerminate:
		return queueTerminate, true
	case OpImmediate, OpImmediateSolicited:
		return queueSend, r.extensions
	case OpAtomicRequest:
		return queueRequest, r.extensions
	case OpAtomicResponse:
		return queueAtomic, r.extensions
	}
	return 0, false
}

func (r *Receiver) receiveUntagged(n uint32) Cause {
	queue, ok := r.untaggedQueue(r.seg.Opcode)
	q := &r.queue[r.seg.Queue]
	switch {
	case !ok:
		return CauseOpcode
	case queue != r.seg.Queue:
		return CauseQueue
	case r.seg.MSN != q.msn:
		return CauseMSNRange
	case r.seg.MO != q.length:
		return CauseMO
	case n > math.MaxUint32-q.length:
		return CauseTooLong
	case !r.seg.Opcode.isSend():
		return r.receiveControl(n, q)
	}
	return 0
}

// receiveControl checks a message that has a body: it must come in one segment, and have the right size.
func (r *Receiver) receiveControl(n uint32, q *assembly) Cause {
	smallest, largest := bodySizes(r.seg.Opcode)
	switch {
	case q.open:
		return CauseMO
	case n > largest:
		return CauseTooLong
	case n < smallest || !r.seg.Last:
		return CauseOperationUnstated
	case r.seg.Queue == queueRequest && r.link.waiting() >= r.link.ird:
		return CauseNoBuffer
	}
	return 0
}

func bodySizes(op Opcode) (smallest, largest uint32) {
	switch op {
	case OpReadRequest:
		return readRequestSize, readRequestSize
	case OpAtomicRequest:
		return atomicRequestSize, atomicRequestSize
	case OpAtomicResponse:
		return atomicResponseSize, atomicResponseSize
	case OpTerminate:
		return terminateControlSize, terminateSize
	}
	return immediateSize, immediateSize
}

// accept takes a segment that is complete and good. It reports whether there is an event.
func (r *Receiver) accept() bool {
	if r.seg.Tagged {
		if r.seg.Opcode == OpReadResponse {
			r.placedReadResponse(r.length())
		}
		r.tag.add(r)
	} else {
		r.queue[r.seg.Queue].add(r)
	}
	switch {
	case r.seg.Last:
		return r.deliver()
	case r.segments && r.seg.Opcode == OpWrite:
		r.event.Kind, r.event.Segment, r.event.Length = EventSegment, r.seg, r.length()
		return true
	}
	return false
}

// add counts a segment of the message. With the last one the event gets the message's size and beginning, and the
// next message is due.
func (a *assembly) add(r *Receiver) {
	if a.length == 0 {
		a.opcode, a.stag, a.to = r.seg.Opcode, r.seg.STag, r.seg.TO
	}
	a.length += r.length()
	a.open = !r.seg.Last
	if a.open {
		return
	}
	r.event.Segment, r.event.Length = r.seg, a.length
	r.event.Segment.TO, r.event.Segment.MO = a.to, 0
	a.length = 0
	a.msn++
}

// deliver makes an event of a message that has come whole. It reports false if the message turns out to be bad.
func (r *Receiver) deliver() bool {
	var c Cause
	switch r.seg.Opcode {
	case OpWrite:
		r.event.RTR = r.isRTR(RTRWrite, r.event.Length)
	case OpReadResponse:
	case OpReadRequest:
		r.deliverReadRequest()
	case OpImmediate, OpImmediateSolicited:
		r.deliverImmediate()
	case OpAtomicRequest:
		c = r.deliverAtomicRequest()
	case OpAtomicResponse:
		c = r.deliverAtomicResponse()
	case OpTerminate:
		c = r.deliverTerminate()
	default:
		r.deliverSend()
	}
	if c != 0 {
		r.fail(c)
		return false
	}
	if r.seg.Queue == queueRequest && !r.seg.Tagged {
		r.link.arrived.Add(1)
	}
	r.rtr = 0 // only the first message can be one
	r.event.Kind = EventMessage
	return true
}

// isRTR reports whether a message of the given kind and size is the RTR that was agreed on.
func (r *Receiver) isRTR(kind RTRSet, size uint32) bool { return r.rtr == kind && size == 0 }
