package iwarp

import "math"

// A Payload is what a message carries: the octets of Data, then those of each element of Vec. They belong to the stream
// until the message has left through a Batch; nothing is copied when the message is begun, and the slice of slices
// must not change until then either.
type Payload struct {
	Data []byte
	Vec  [][]byte
	// Volatile says that others may change the octets meanwhile, so that they are copied once before a CRC is computed.
	// It takes a Batch with Copies.
	Volatile bool
}

// size is the payload's length in octets; ok is false if it exceeds that of a message (RFC 5041 section 5.2).
func (p *Payload) size() (n uint32, ok bool) {
	total := uint64(len(p.Data))
	for _, b := range p.Vec {
		total += uint64(len(b))
	}
	return uint32(total), total <= math.MaxUint32
}

// A cursor walks through a payload.
type cursor struct {
	head []byte   // what is left of the piece at the cursor
	rest [][]byte // the pieces after it
}

func newCursor(p Payload) cursor { return cursor{head: p.Data, rest: p.Vec} }

// next removes up to n octets, all of one piece. It returns nothing only if n is 0 or no octet is left.
func (c *cursor) next(n int) []byte {
	for len(c.head) == 0 && len(c.rest) > 0 {
		c.head, c.rest = c.rest[0], c.rest[1:]
	}
	n = min(n, len(c.head))
	piece := c.head[:n:n]
	c.head = c.head[n:]
	return piece
}

// within returns how many of the next n octets lie in the first limit pieces, and how many pieces those are.
func (c cursor) within(n, limit int) (octets, pieces int) {
	for octets < n && pieces < limit {
		piece := c.next(n - octets)
		if len(piece) == 0 {
			break
		}
		octets += len(piece)
		pieces++
	}
	return octets, pieces
}
