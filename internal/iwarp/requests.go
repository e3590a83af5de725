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
// section 5.5, rule 20; RFC 7306 section 7). The Sender pushes, the Receiver pops, each without waiting for the other.
type requests struct {
	ring   []request // a power of two, so that the numbers may wrap
	limit  uint32    // ORD; limit <= len(ring)
	pushed atomic.Uint32
	popped atomic.Uint32 // never ahead of pushed
}

func newRequests(ord uint16) requests {
	size := 1
	for size < int(ord) {
		size *= 2
	}
	return requests{ring: make([]request, size), limit: uint32(ord)}
}

// push is called by the Sender. It reports whether there was room.
func (q *requests) push(r request) bool {
	n := q.pushed.Load()
	if n-q.popped.Load() >= q.limit {
		return false
	}
	q.ring[n%uint32(len(q.ring))] = r
	q.pushed.Store(n + 1)
	return true
}

// oldest is called by the Receiver, which may change what it returns. It is nil if no request waits.
func (q *requests) oldest() *request {
	n := q.popped.Load()
	if n == q.pushed.Load() {
		return nil
	}
	return &q.ring[n%uint32(len(q.ring))]
}

// pop is called by the Receiver, after oldest.
func (q *requests) pop() { q.popped.Store(q.popped.Load() + 1) }

// len may be called by both.
func (q *requests) len() int { return int(q.pushed.Load() - q.popped.Load()) }
