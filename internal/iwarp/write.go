package iwarp

import "fmt"

// Write begins an RDMA Write (RFC 5040 section 5.1) of p to the peer's buffer stag, from the tagged offset to on.
// A Write without payload is permitted, and addresses nothing. It is complete when TCP has it; that it was placed shows
// only when a later Read or Send has been answered. It fails with [ErrLength] if the payload is too long or the offset wraps.
func (s *Sender) Write(stag uint32, to uint64, p Payload) error {
	if err := s.begin(); err != nil {
		return err
	}
	n, ok := p.size()
	if !ok || to+uint64(n) < to {
		return fmt.Errorf("%w: %d octets from offset 0x%x; a message has less than 2^32 octets and its offset must not wrap", ErrLength, n, to)
	}
	s.carry(p, n)
	s.tagged(OpWrite, stag, to)
	return nil
}

// receiveWrite checks a segment of a Write whose header has come.
func (r *Receiver) receiveWrite(n uint32) Cause { return r.checkTagged(n) }
