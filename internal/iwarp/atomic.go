package iwarp

import (
	"encoding/binary"
	"fmt"
)

// An AtomicRequest changes a word of 8 octets in the receiver's buffer and fetches its old value (RFC 7306 section 5.2.1).
type AtomicRequest struct {
	Op   AtomicOp
	ID   uint32 // comes back in the response; chosen by the Sender
	STag uint32
	TO   uint64 // must name an address that is a multiple of 8

	Value uint64 // to add, or to swap in
	// Mask selects for CmpSwap the bits that are swapped. For FetchAdd each set bit is the highest of a field, and no
	// carry leaves a field; 0 adds whole words.
	Mask        uint64
	Compare     uint64 // CmpSwap: what the word is compared with
	CompareMask uint64 // CmpSwap: which bits are compared
}

func (q *AtomicRequest) String() string {
	return fmt.Sprintf("%v at STag 0x%08x, offset 0x%x", q.Op, q.STag, q.TO)
}

func (q *AtomicRequest) put(b []byte) {
	binary.BigEndian.PutUint32(b, uint32(q.Op))
	binary.BigEndian.PutUint32(b[4:], q.ID)
	binary.BigEndian.PutUint32(b[8:], q.STag)
	binary.BigEndian.PutUint64(b[12:], q.TO)
	binary.BigEndian.PutUint64(b[20:], q.Value)
	binary.BigEndian.PutUint64(b[28:], q.Mask)
	binary.BigEndian.PutUint64(b[36:], q.Compare)
	binary.BigEndian.PutUint64(b[44:], q.CompareMask)
}

// parse reads the request from b, which has atomicRequestSize octets.
func (q *AtomicRequest) parse(b []byte) {
	q.Op = AtomicOp(b[3] & atomicOpMask)
	q.ID = binary.BigEndian.Uint32(b[4:])
	q.STag = binary.BigEndian.Uint32(b[8:])
	q.TO = binary.BigEndian.Uint64(b[12:])
	q.Value = binary.BigEndian.Uint64(b[20:])
	q.Mask = binary.BigEndian.Uint64(b[28:])
	q.Compare = binary.BigEndian.Uint64(b[36:])
	q.CompareMask = binary.BigEndian.Uint64(b[44:])
}

// Apply returns what the word becomes if it is old (RFC 7306 section 5.1). The operation on memory, and that it is atomic,
// is the caller's.
func (q *AtomicRequest) Apply(old uint64) uint64 {
	if q.Op == AtomicCmpSwap {
		if (q.Compare^old)&q.CompareMask != 0 {
			return old
		}
		return old&^q.Mask | q.Value&q.Mask
	}
	// The highest bit of each field takes the carry from below and hands none on.
	return (old&^q.Mask + q.Value&^q.Mask) ^ (old^q.Value)&q.Mask
}

// An AtomicResponse carries the old value of the word (RFC 7306 section 5.2.2).
type AtomicResponse struct {
	ID       uint32 // of the request
	Original uint64
}

func (a *AtomicResponse) put(b []byte) {
	binary.BigEndian.PutUint32(b, a.ID)
	binary.BigEndian.PutUint64(b[4:], a.Original)
}

// parse reads the response from b, which has atomicResponseSize octets.
func (a *AtomicResponse) parse(b []byte) {
	a.ID = binary.BigEndian.Uint32(b)
	a.Original = binary.BigEndian.Uint64(b[4:])
}

// Atomic begins an Atomic Request; q.ID is ignored. The event of its response carries id. It fails with [ErrOutstanding]
// if ORD requests are waiting for their response. Send it only to peers that are known to support it.
func (s *Sender) Atomic(q AtomicRequest, id uint64) error {
	if err := s.begin(); err != nil {
		return err
	}
	q.ID = s.next[queueRequest]
	if q.Op == AtomicFetchAdd {
		q.Compare, q.CompareMask = 0, ^uint64(0)
	}
	if !s.link.requests.push(request{response: OpAtomicResponse, id: id, stag: q.ID}) {
		return ErrOutstanding
	}
	s.control(OpAtomicRequest, queueRequest, atomicRequestSize)
	q.put(s.msg.body[:])
	return nil
}

// RespondAtomic begins the Atomic Response to q, with the old value of the word. Requests of the peer, Reads and Atomics,
// must be answered in the order in which they came. It fails with [ErrMisuse] if no request waits.
func (s *Sender) RespondAtomic(q *AtomicRequest, original uint64) error {
	if err := s.begin(); err != nil {
		return err
	}
	if !s.link.answer() {
		return fmt.Errorf("%w: no request waits for a response", ErrMisuse)
	}
	s.control(OpAtomicResponse, queueAtomic, atomicResponseSize)
	response := AtomicResponse{ID: q.ID, Original: original}
	response.put(s.msg.body[:])
	return nil
}

// deliverAtomicRequest hands over an Atomic Request that has come whole.
func (r *Receiver) deliverAtomicRequest() Cause {
	r.event.Atomic.parse(r.body())
	if op := r.event.Atomic.Op; op != AtomicFetchAdd && op != AtomicCmpSwap {
		return CauseOpcode
	}
	return 0
}

// deliverAtomicResponse hands over an Atomic Response that has come whole: it must be the oldest request's.
func (r *Receiver) deliverAtomicResponse() Cause {
	r.event.AtomicResponse.parse(r.body())
	want := r.link.requests.oldest()
	if want == nil || want.response != OpAtomicResponse {
		return CauseOpcode
	}
	if want.stag != r.event.AtomicResponse.ID {
		return CauseCatastrophicStream
	}
	r.event.ID = want.id
	r.link.requests.pop()
	return 0
}
