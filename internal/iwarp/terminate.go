package iwarp

import (
	"encoding/binary"
	"fmt"
)

// A Terminate message ends a stream and says why (RFC 5040 section 4.8).
type Terminate struct {
	Cause Cause

	// HasLength tells that Length holds: the size in octets of the DDP segment at fault, header included (Linux siw
	// leaves the header out).
	HasLength bool
	Length    uint16
	// DDP is the header of that segment, of 14 or 18 octets, if DDPSize is not 0.
	DDP     [untaggedSize]byte
	DDPSize uint8
	// Read is the body of the Read Request at fault, if HasRead is set. Linux siw makes the two up again, with the size
	// of the Read where the MSN belongs in DDP.
	Read    ReadRequest
	HasRead bool

	// Swapped tells that the control field has the bit order of Linux siw instead of the RFC's. Leave it false when
	// sending to anyone but a test.
	Swapped bool
	// Ambiguous tells, in a received message, that the control field makes sense in both orders. Cause is then the RFC's
	// reading, and Other the one of Linux siw.
	Ambiguous bool
	Other     Cause
}

func (t *Terminate) String() string {
	text := t.Cause.String()
	if t.Ambiguous {
		text += ", or " + t.Other.String()
	}
	if s, ok := t.Segment(); ok {
		text += ": " + s.String()
	}
	if t.HasRead {
		text += fmt.Sprintf(": %v", &t.Read)
	}
	return text
}

// put writes the message to b, which has terminateSize octets, and returns its size.
func (t *Terminate) put(b []byte) int {
	clear(b[:terminateControlSize])
	cause, l, d, r := t.Cause, byte(terminateLength), byte(terminateDDP), byte(terminateRDMAP)
	if t.Swapped {
		cause, l, d, r = swap(cause), swappedLength, swappedDDP, swappedRDMAP
	}
	binary.BigEndian.PutUint16(b, uint16(cause))
	b[2] = bit(t.HasLength, l) | bit(t.DDPSize > 0, d) | bit(t.HasRead, r)
	n := terminateControlSize
	if t.HasLength || t.DDPSize > 0 {
		binary.BigEndian.PutUint16(b[n:], t.Length)
		n += segmentLengthSize
	}
	n += copy(b[n:], t.DDP[:t.DDPSize])
	if t.HasRead {
		t.Read.put(b[n:])
		n += readRequestSize
	}
	return n
}

// swap exchanges the nibbles of layer and type.
func swap(c Cause) Cause { return c&0x00ff | c>>4&0x0f00 | c<<4&0xf000 }

// parse reads the message from b. It reports whether all that the header control bits announce is there; octets behind
// that are ignored.
func (t *Terminate) parse(b []byte) bool {
	*t = Terminate{}
	if len(b) < terminateControlSize {
		return false
	}
	flags := t.parseControl(b)
	b = b[terminateControlSize:]
	t.HasLength = flags&terminateLength != 0
	if flags&(terminateLength|terminateDDP) != 0 {
		if len(b) < segmentLengthSize {
			return false
		}
		t.Length = binary.BigEndian.Uint16(b)
		b = b[segmentLengthSize:]
	}
	if flags&terminateDDP != 0 {
		if len(b) == 0 || len(b) < headerSize(b[0]) {
			return false
		}
		t.DDPSize = uint8(copy(t.DDP[:headerSize(b[0])], b))
		b = b[t.DDPSize:]
	}
	if flags&terminateRDMAP == 0 {
		return true
	}
	if len(b) < readRequestSize {
		return false
	}
	t.Read.parse(b)
	t.HasRead = true
	return true
}

// parseControl finds out the bit order, sets the cause, and returns the header control bits in the RFC's places.
func (t *Terminate) parseControl(b []byte) byte {
	plain := Cause(binary.BigEndian.Uint16(b))
	swapped, flags := swap(plain), b[2]
	t.Cause = plain
	switch {
	case flags&terminateFlags != 0:
	case flags&swappedFlags != 0, !plain.known() && swapped.known():
		t.Cause, t.Swapped = swapped, true
	case swapped.known() && swapped != plain:
		t.Ambiguous, t.Other = true, swapped
	}
	if !t.Swapped {
		return flags & terminateFlags
	}
	return bit(flags&swappedLength != 0, terminateLength) | bit(flags&swappedDDP != 0, terminateDDP) | bit(flags&swappedRDMAP != 0, terminateRDMAP)
}

// TerminateRead returns the message that ends the stream because the Read Request q, which had the number msn in its queue
// and was delivered before, cannot be answered: sent octets of the response have gone already. The returned request says
// what was left (RFC 5040 section 4.8).
func TerminateRead(q ReadRequest, msn uint32, why Refusal, sent uint32) Terminate {
	t := Terminate{Cause: why.cause(OpReadRequest), HasLength: true, Length: untaggedSize + readRequestSize, DDPSize: untaggedSize}
	header := Segment{Opcode: OpReadRequest, Last: true, Queue: queueRequest, MSN: msn}
	header.put(t.DDP[:])
	sent = min(sent, q.Size)
	q.SinkTO += uint64(sent)
	q.SourceTO += uint64(sent)
	q.Size -= sent
	if t.Cause>>8 == CauseInvalidSTag>>8 {
		t.Read, t.HasRead = q, true
	}
	return t
}

// Terminate begins the last message of the stream; what was begun before and is not cut to its end is dropped, and nothing
// can be sent afterwards. Write it and close the connection with a FIN, so that it arrives. It fails with [ErrTerminated] if
// one was sent before, and with [ErrNotReady] at a responder that has received no FPDU.
func (s *Sender) Terminate(t Terminate) error {
	switch {
	case s.terminated:
		return ErrTerminated
	case !s.link.mayTalk(s):
		return ErrNotReady
	}
	s.rtr = 0
	s.control(OpTerminate, queueTerminate, terminateSize)
	s.msg.bodySize = t.put(s.msg.body[:])
	s.terminated = true
	return nil
}

// deliverTerminate hands over the peer's last word.
func (r *Receiver) deliverTerminate() Cause {
	t := &r.event.Terminate
	if !t.parse(r.body()) {
		return CauseOperationUnstated
	}
	detail := ""
	if t.DDPSize > 0 || t.Ambiguous {
		detail = t.String()
	}
	r.event.Err = &Error{Cause: t.Cause, Remote: true, Detail: detail}
	r.state = stateOver
	return 0
}

// compose makes the message for an error in the segment whose header has come: RFC 5040 section 4.8, figure 10 says what
// it includes.
func (r *Receiver) compose(c Cause) Terminate {
	t := Terminate{Cause: c}
	if c>>12 == layerMPA || c>>8 == CauseLocalCatastrophic>>8 || !r.hasHeader() {
		return t
	}
	t.HasLength, t.Length = true, uint16(r.size)
	t.DDPSize = uint8(copy(t.DDP[:], r.octets[lengthSize:r.header]))
	if c>>8 == CauseInvalidSTag>>8 && r.seg.Opcode == OpReadRequest && len(r.body()) == readRequestSize {
		t.Read.parse(r.body())
		t.HasRead = true
	}
	return t
}

// Segment returns the header of the segment at fault, if the message has it.
func (t *Terminate) Segment() (s Segment, ok bool) {
	if t.DDPSize > 0 {
		s.parse(t.DDP[:])
	}
	return s, t.DDPSize > 0
}
