package iwarp

import "sync/atomic"

// A request is one of ours, Read or Atomic, that waits for its response.
type request struct {
	response Opcode
	rtr      bool
	none     bool   // Read: of no octets
	stag     uint32 // Read: the sink; Atomic: the request's ID
	left     uint32 // Read: octets that have not come yet
	to       uint64 // Read: where the next octet goes
	id       uint64 // the caller's
}

// requests is the queue of our requests, as long as ORD permits: responses come in the order of the requests (RFC 5040
// section 5.5, rule 20; RFC 7306 section 7). The Sender pushes, the Receiver pops, each without waiting for the other. Its memory
// is a ring, which the Sender replaces by one of twice the size when it is full: few connections ever use what ORD permits.
type requests struct {
	limit  uint32 // ORD
	pushed atomic.Uint32
	popped atomic.Uint32 // never ahead of pushed
	in     *requestRing  // the Sender's
	out    *requestRing  // the Receiver's: in, or one that it has to empty first
}

// A requestRing has requests up to number last, from where on next has them.
type requestRing struct {
	ring []request // a power of two, so that the numbers may wrap
	next atomic.Pointer[requestRing]
	last uint32 // number of the first request of next; set before next
}

const firstRing = 4

func newRequests(ord uint16) requests {
	r := &requestRing{ring: make([]request, firstRing)}
	return requests{limit: uint32(ord), in: r, out: r}
}

func (r *requestRing) at(n uint32) *request { return &r.ring[n%uint32(len(r.ring))] }

// push is called by the Sender. It reports whether there was room.
func (q *requests) push(r request) bool {
	n := q.pushed.Load()
	waiting := n - q.popped.Load()
	if waiting >= q.limit {
		return false
	}
	if waiting >= uint32(len(q.in.ring)) {
		larger := &requestRing{ring: make([]request, 2*len(q.in.ring))}
		q.in.last = n
		q.in.next.Store(larger)
		q.in = larger
	}
	*q.in.at(n) = r
	q.pushed.Store(n + 1)
	return true
}

// oldest is called by the Receiver, which may change what it returns. It is nil if no request waits.
func (q *requests) oldest() *request {
	n := q.popped.Load()
	if n == q.pushed.Load() {
		return nil
	}
	for next := q.out.next.Load(); next != nil && int32(n-q.out.last) >= 0; next = q.out.next.Load() {
		q.out = next
	}
	return q.out.at(n)
}

// pop is called by the Receiver, after oldest.
func (q *requests) pop() { q.popped.Store(q.popped.Load() + 1) }

// len may be called by both.
func (q *requests) len() int { return int(q.pushed.Load() - q.popped.Load()) }
