package iwarp

import (
	"encoding/binary"
	"fmt"
)

// A ReadRequest asks for octets of the receiver's buffer (RFC 5040 section 4.4).
type ReadRequest struct {
	SinkSTag   uint32 // where the response is to go: copied into it, without interpretation
	SinkTO     uint64
	Size       uint32 // octets; if 0, neither buffer is looked at
	SourceSTag uint32
	SourceTO   uint64
}

func (q *ReadRequest) String() string {
	return fmt.Sprintf("Read of %d octets of STag 0x%08x, offset 0x%x", q.Size, q.SourceSTag, q.SourceTO)
}

func (q *ReadRequest) put(b []byte) {
	binary.BigEndian.PutUint32(b, q.SinkSTag)
	binary.BigEndian.PutUint64(b[4:], q.SinkTO)
	binary.BigEndian.PutUint32(b[12:], q.Size)
	binary.BigEndian.PutUint32(b[16:], q.SourceSTag)
	binary.BigEndian.PutUint64(b[20:], q.SourceTO)
}

// parse reads the request from b, which has readRequestSize octets.
func (q *ReadRequest) parse(b []byte) {
	q.SinkSTag = binary.BigEndian.Uint32(b)
	q.SinkTO = binary.BigEndian.Uint64(b[4:])
	q.Size = binary.BigEndian.Uint32(b[12:])
	q.SourceSTag = binary.BigEndian.Uint32(b[16:])
	q.SourceTO = binary.BigEndian.Uint64(b[20:])
}

// Read begins a Read Request (RFC 5040 section 5.2.1). The event of its response, and of each piece to be placed, carries
// id. It fails with [ErrOutstanding] if ORD requests are waiting for their response, and with [ErrLength] if the sink's
// offset would wrap.
func (s *Sender) Read(q ReadRequest, id uint64) error {
	if err := s.begin(); err != nil {
		return err
	}
	return s.read(&q, request{response: OpReadResponse, id: id, stag: q.SinkSTag, to: q.SinkTO, left: q.Size, none: q.Size == 0})
}

func (s *Sender) read(q *ReadRequest, expect request) error {
	if q.SinkTO+uint64(q.Size) < q.SinkTO {
		return fmt.Errorf("%w: sink offset 0x%x wraps with %d octets", ErrLength, q.SinkTO, q.Size)
	}
	if !s.link.requests.push(expect) {
		return ErrOutstanding
	}
	s.control(OpReadRequest, queueRequest, readRequestSize)
	q.put(s.msg.body[:])
	return nil
}

// Respond begins the Read Response to q (RFC 5040 section 5.2.2). Requests of the peer, Reads and Atomics, must be
// answered in the order in which they came. It fails with [ErrLength] if p is not as long as was asked for, and with
// [ErrMisuse] if no request waits.
func (s *Sender) Respond(q *ReadRequest, p Payload) error {
	if err := s.begin(); err != nil {
		return err
	}
	n, ok := p.size()
	if !ok || n != q.Size {
		asked := *q // so that only an error costs memory
		return fmt.Errorf("%w: %d octets in answer to a %v", ErrLength, n, &asked)
	}
	if !s.link.answer() {
		return fmt.Errorf("%w: no request waits for a response", ErrMisuse)
	}
	s.carry(p, n)
	s.tagged(OpReadResponse, q.SinkSTag, q.SinkTO)
	return nil
}

// Decline begins a Read Response to q without the octets that were asked for. Only towards a peer that has agreed to
// StreamConfig.Declined. It fails with [ErrMisuse] if no request waits.
func (s *Sender) Decline(q *ReadRequest) error {
	if err := s.begin(); err != nil {
		return err
	}
	if !s.link.answer() {
		return fmt.Errorf("%w: no request waits for a response", ErrMisuse)
	}
	s.carry(Payload{}, 0)
	s.tagged(OpReadResponse, q.SinkSTag, q.SinkTO)
	return nil
}

// receiveReadResponse checks a segment of a Read Response whose header has come: it must be exactly what the oldest
// request asked for, in order.
func (r *Receiver) receiveReadResponse(n uint32) Cause {
	want := r.link.requests.oldest()
	switch {
	case want == nil || want.response != OpReadResponse:
		return CauseOpcode
	case want.none && r.tolerant:
	case n > 0 && r.seg.STag != want.stag:
		return CauseTaggedInvalidSTag
	case n > want.left || n > 0 && r.seg.TO != want.to:
		return CauseTaggedBounds
	case r.seg.Last && n < want.left && !r.declined:
		return CauseCatastrophicStream
	}
	r.event.ID, r.event.RTR = want.id, want.rtr
	return r.checkTagged(n)
}

// placedReadResponse moves on by the n octets of a good segment.
func (r *Receiver) placedReadResponse(n uint32) {
	want := r.link.requests.oldest()
	if !want.none {
		want.to += uint64(n)
		want.left -= n
	}
	if r.seg.Last {
		r.link.requests.pop()
	}
}

// deliverReadRequest hands over a Read Request that has come whole.
func (r *Receiver) deliverReadRequest() {
	r.event.Read.parse(r.body())
	r.event.RTR = r.isRTR(RTRRead, r.event.Read.Size)
}
