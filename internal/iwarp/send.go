package iwarp

import "fmt"

// SendOptions choose among the four forms of a Send (RFC 5040 section 4.1).
type SendOptions struct {
	// Solicited asks for an event at the receiver.
	Solicited bool
	// Invalidates makes the receiver invalidate its STag Invalidate before it is told of the message.
	Invalidates bool
	Invalidate  uint32
}

func (o *SendOptions) opcode() Opcode {
	switch {
	case o.Invalidates && o.Solicited:
		return OpSendSolicitedInvalidate
	case o.Invalidates:
		return OpSendInvalidate
	case o.Solicited:
		return OpSendSolicited
	}
	return OpSend
}

// Send begins a Send (RFC 5040 section 5.3). It takes one of the receives that the peer has posted, also without payload;
// if there is none, or it is too small, the peer ends the stream.
func (s *Sender) Send(o SendOptions, p Payload) error {
	op := o.opcode()
	if err := s.begin(); err != nil {
		return err
	}
	n, ok := p.size()
	if !ok {
		return fmt.Errorf("%w: a message has less than 2^32 octets", ErrLength)
	}
	s.carry(p, n)
	s.untagged(op, queueSend)
	if o.Invalidates {
		s.msg.seg.Invalidate = o.Invalidate
	}
	return nil
}

// Invalidates reports whether messages of this kind name an STag to invalidate.
func (o Opcode) Invalidates() bool { return o == OpSendInvalidate || o == OpSendSolicitedInvalidate }

// Solicited reports whether messages of this kind ask for an event at the receiver.
func (o Opcode) Solicited() bool {
	return o == OpSendSolicited || o == OpSendSolicitedInvalidate || o == OpImmediateSolicited
}

// isSend reports whether messages of this kind are one of the four Sends.
func (o Opcode) isSend() bool { return o >= OpSend && o <= OpSendSolicitedInvalidate }

// deliverSend hands over a Send that has come whole.
func (r *Receiver) deliverSend() {
	r.event.RTR = r.seg.Opcode == OpSend && r.isRTR(RTRSend, r.event.Length)
}
