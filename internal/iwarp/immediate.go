package iwarp

// Immediate begins an Immediate Data message (RFC 7306 section 6). It takes one of the receives that the peer has posted,
// and is delivered in order with the Sends; behind a Write it tells the peer that the Write is placed. Send it only to
// peers that are known to support it.
func (s *Sender) Immediate(data [8]byte, solicited bool) error {
	op := OpImmediate
	if solicited {
		op = OpImmediateSolicited
	}
	if err := s.begin(); err != nil {
		return err
	}
	s.control(op, queueSend, immediateSize)
	copy(s.msg.body[:], data[:])
	return nil
}

// deliverImmediate hands over immediate data that has come whole.
func (r *Receiver) deliverImmediate() {
	r.event.Immediate = [immediateSize]byte(r.body())
}
