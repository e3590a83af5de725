package iwarp

import "encoding/binary"

// A Sender turns messages into FPDUs. Begin a message with one of its methods, then call [Sender.Fill] until it is cut to
// its end; then begin the next. Messages never interleave. A method that fails changes nothing. One owner at a time.
type Sender struct {
	link       *link
	crc        bool
	rtr        RTRSet // owed before anything else
	talking    bool   // mayTalk has been true
	terminated bool
	mulpdu     int
	next       [queues]uint32 // MSN of the next message in each queue
	msg        outgoing
}

// An outgoing is the message that is being cut.
type outgoing struct {
	active   bool
	seg      Segment // header of the next segment, but for Last
	body     [maxBody]byte
	bodySize int
	data     cursor
	volatile bool   // others may change it before it is written
	left     uint32 // octets of data that are not in an FPDU yet
}

func newSender(l *link, s Settings, cfg StreamConfig) Sender {
	snd := Sender{link: l, crc: s.CRC, mulpdu: mulpdu(cfg.MaxFPDU)}
	if s.Initiator {
		snd.rtr = s.RTR
	}
	for q := range snd.next {
		snd.next[q] = firstMSN
	}
	return snd
}

// SetMaxFPDU changes [StreamConfig.MaxFPDU], from the next FPDU on: the connection's maximum segment size may change. A value
// out of range is taken as the nearest one that is possible.
func (s *Sender) SetMaxFPDU(octets int) { s.mulpdu = mulpdu(max(MinFPDU, min(octets, MaxFPDU))) }

// Outstanding returns how many of our Reads and Atomics wait for their response. It may be called by the owner of either half.
func (s *Sender) Outstanding() int { return s.link.requests.len() }

// Waiting returns how many of the peer's Reads and Atomics wait for their response to be begun. It may be called by the
// owner of either half.
func (s *Sender) Waiting() int { return int(s.link.waiting()) }

// OwesRTR reports whether the stream must begin with [Sender.RTR].
func (s *Sender) OwesRTR() bool { return s.rtr != 0 }

// RTR begins the message that tells the responder that we are ready to receive, as was agreed on (RFC 6581 section 9.2). It
// does nothing if none is owed. The peer takes no receive for it. If it is a Read, its response comes as an event
// with RTR set.
func (s *Sender) RTR() (err error) {
	kind := s.rtr
	s.rtr = 0
	switch kind {
	case RTRWrite:
		err = s.Write(rtrSTag, 0, Payload{})
	case RTRSend:
		err = s.Send(SendOptions{}, Payload{})
	case RTRRead:
		if err = s.begin(); err == nil {
			err = s.read(&ReadRequest{SourceSTag: rtrSTag}, request{response: OpReadResponse, rtr: true, none: true})
		}
	}
	if err != nil {
		s.rtr = kind
	}
	return err
}

// begin says whether a message can be begun.
func (s *Sender) begin() error {
	switch {
	case s.terminated:
		return ErrTerminated
	case s.msg.active:
		return ErrPending
	case s.rtr != 0 || !s.link.mayTalk(s):
		return ErrNotReady
	}
	return nil
}

// carry sets the payload, of n octets.
func (s *Sender) carry(p Payload, n uint32) {
	s.msg.bodySize, s.msg.data, s.msg.left, s.msg.volatile = 0, newCursor(p), n, p.Volatile && s.crc
}

func (s *Sender) tagged(op Opcode, stag uint32, to uint64) {
	s.msg.seg = Segment{Opcode: op, Tagged: true, STag: stag, TO: to}
	s.msg.active = true
}

func (s *Sender) untagged(op Opcode, queue uint32) {
	s.msg.seg = Segment{Opcode: op, Queue: queue, MSN: s.next[queue]}
	s.next[queue]++
	s.msg.active = true
}

// control sets up a message that has a body of size octets and no payload; the caller writes the body.
func (s *Sender) control(op Opcode, queue uint32, size int) {
	s.msg.data, s.msg.left, s.msg.bodySize, s.msg.volatile = cursor{}, 0, size, false
	s.untagged(op, queue)
}

// Fill cuts the message that was begun into FPDUs and adds them to b. It reports whether that was all of it; if not, b is
// full: write it, reset it, and call Fill again. Without a message there is nothing to do.
func (s *Sender) Fill(b *Batch) bool {
	for s.msg.active {
		if !s.cut(b) {
			return false
		}
	}
	return true
}

// cut adds one FPDU to b. It reports whether there was room.
func (s *Sender) cut(b *Batch) bool {
	m := &s.msg
	size := untaggedSize
	if m.seg.Tagged {
		size = taggedSize
	}
	size += m.bodySize
	want := int(min(uint64(m.left), uint64(s.mulpdu-size)))
	n, copied, ok := b.admit(lengthSize+size, want, m.data, m.volatile)
	if !ok {
		return false
	}
	start := b.used
	m.seg.Last = uint32(n) == m.left
	m.putHeader(b.take(lengthSize+size), size+n)
	var crc uint32
	if copied {
		crc = b.addCopy(start, n, &m.data, s.crc)
	} else {
		crc = b.addNamed(start, n, &m.data, s.crc, m.volatile)
	}
	b.addTrailer(size+n, crc, s.crc)
	m.advance(uint32(n))
	return true
}

// putHeader writes the length field, the DDP header and the body to b.
func (m *outgoing) putHeader(b []byte, ulpdu int) {
	binary.BigEndian.PutUint16(b, uint16(ulpdu))
	b = b[lengthSize:]
	m.seg.put(b)
	copy(b[headerSize(b[0]):], m.body[:m.bodySize])
}

// advance moves on by n octets.
func (m *outgoing) advance(n uint32) {
	m.left -= n
	m.active = !m.seg.Last
	m.seg.MO += n
	m.seg.TO += uint64(n)
	if !m.active {
		m.data = cursor{}
	}
}

// Abandon gives up the payload of the message under way, which is no longer in use afterwards. A Write ends where it has
// come to: a message says nowhere how long it will be. Any other message must come whole, so what is left of it is copied.
func (s *Sender) Abandon() {
	m := &s.msg
	switch {
	case !m.active || m.left == 0:
	case m.seg.Opcode == OpWrite:
		m.left, m.data = 0, cursor{}
	default:
		left := make([]byte, 0, m.left)
		for len(left) < int(m.left) {
			left = append(left, m.data.next(int(m.left)-len(left))...)
		}
		m.data, m.volatile = cursor{head: left}, false
	}
}

// Left returns how many octets of payload of the message under way are in no FPDU yet; 0 without one.
func (s *Sender) Left() int { return int(s.msg.left) }

// Active reports whether a message has been begun and not been cut to its end.
func (s *Sender) Active() bool { return s.msg.active }
