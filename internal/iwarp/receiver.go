package iwarp

import (
	"encoding/binary"

	"github.com/unio-stack/unio/internal/crc32c"
)

// A Receiver takes the octets of the stream. One owner at a time.
//
// Payload is placed before the CRC behind it can be checked, except where the whole FPDU is in the octets that Step is
// given: then the CRC is checked first. A message is delivered only after the CRCs of all its segments were good.
type Receiver struct {
	link       *link
	crc        bool
	extensions bool
	segments   bool
	declined   bool
	tolerant   bool
	rtr        RTRSet // may be the first message, at a responder
	heard      bool   // an FPDU has come

	state    receiverState
	verified bool // the CRC of this FPDU has been checked ahead
	octets   [lengthSize + untaggedSize + maxBody]byte
	have     int // octets of the FPDU's head that are in octets
	need     int // have is to become
	header   int // size of the length field and the DDP header; 0 until it is known
	size     int // ULPDU_Length
	pending  int // octets of the ULPDU behind the head that have not come yet
	crcSoFar uint32
	tail     [trailerSize]byte
	tailHave int
	seg      Segment // valid once header octets have come
	fault    *Error  // why the stream ends; set once

	tag   assembly         // the tagged message under way
	queue [queues]assembly // the untagged ones

	event     Event
	terminate Terminate // goes with fault
}

// An assembly is a message of which segments have come, or in an untagged queue the next one.
type assembly struct {
	open   bool // not the first segment any more, and not the last one yet
	opcode Opcode
	stag   uint32 // tagged
	to     uint64 // tagged: where the message began
	msn    uint32 // untagged
	length uint32 // octets that have come: the MO that is due
}

type receiverState uint8

const (
	stateBetween receiverState = iota // an FPDU is due
	stateHead                         // in the length field, header or body
	statePayload                      // the caller places it
	stateDrain                        // the rest of a bad segment is skipped
	stateTail                         // in padding or CRC
	stateOver
)

func newReceiver(l *link, s Settings, cfg StreamConfig) Receiver {
	r := Receiver{link: l, crc: s.CRC, extensions: cfg.Extensions, segments: cfg.Segments, declined: cfg.Declined, tolerant: cfg.Tolerant}
	if !s.Initiator {
		r.rtr = s.RTR
	}
	for q := range r.queue {
		r.queue[q].msn = firstMSN
	}
	return r
}

// Step takes octets from in up to the next event. It returns how many it used, and the event. The payload that EventPlace
// announces is not among them: it follows, in what is left of in and then on the connection.
func (r *Receiver) Step(in []byte) (int, *Event) {
	at := in
	for {
		var n int
		switch r.state {
		case stateBetween:
			r.reset()
			continue
		case stateHead:
			n = r.stepHead(at)
		case statePayload:
			return len(in) - len(at), r.place()
		case stateDrain:
			n = r.stepDrain(at)
		case stateTail:
			var delivered bool
			n, delivered = r.stepTail(at)
			if delivered {
				return len(in) - len(at) + n, &r.event
			}
		case stateOver:
			return len(in), r.end()
		}
		if n == 0 && len(at) == 0 {
			r.event.Kind = EventNone
			return len(in), &r.event
		}
		at = at[n:]
	}
}

// Want returns how many octets are needed at least until something happens: what is left of a header, of the payload
// that the last EventPlace announced, or of a trailer. It is a hint for reading.
func (r *Receiver) Want() int {
	switch r.state {
	case stateBetween:
		return lengthSize
	case stateHead:
		return r.need - r.have
	case statePayload, stateDrain:
		return r.pending
	case stateTail:
		return r.tailSize() - r.tailHave
	}
	return 0
}

// Placed reports that p, the next octets of the payload that EventPlace announced, has come: read into its place, or
// dropped where the place is gone. It fails with [ErrMisuse] if no payload, or less, is due.
func (r *Receiver) Placed(p []byte) error {
	if r.state != statePayload || len(p) > r.pending {
		return ErrMisuse
	}
	if r.crc && !r.verified {
		r.crcSoFar = sum(r.crcSoFar, p)
	}
	r.placed(len(p))
	return nil
}

// Place copies octets of in to dst, where the payload that EventPlace announced belongs, as many as there are and are due, and
// returns how many those were. past says that dst is large, not in the cache and not read soon. Others may change dst meanwhile,
// but not in.
func (r *Receiver) Place(dst, in []byte, past bool) int {
	if r.state != statePayload {
		return 0
	}
	n := min(len(dst), len(in), r.pending)
	switch {
	case past:
		r.crcSoFar = crc32c.CopyOut(r.crcSoFar, dst, in[:n])
	case r.crc && !r.verified:
		r.crcSoFar = sum(r.crcSoFar, in[:n])
		copy(dst, in[:n])
	default:
		copy(dst, in[:n])
	}
	r.placed(n)
	return n
}

func (r *Receiver) placed(n int) {
	r.pending -= n
	if r.pending == 0 {
		r.state = stateTail
	}
}

// Refuse answers the event that was just returned, EventPlace or EventMessage: the peer may not do this. The stream ends with
// EventFault: at once or, where the CRC is still to come, behind the segment, since then it may be the network that is to blame.
// It fails with [ErrMisuse] in any other state.
func (r *Receiver) Refuse(why Refusal) error {
	between := r.state == stateBetween && r.event.Kind == EventMessage
	if between || r.state == statePayload && r.event.Kind == EventPlace {
		r.fail(why.cause(r.seg.Opcode))
		return nil
	}
	return ErrMisuse
}

// Closed reports that the connection has ended. It returns nil if that was between two messages, or after the end of
// the stream, and otherwise an [*Error] that says what is missing.
func (r *Receiver) Closed() error {
	clean := r.state == stateBetween || r.state == stateHead && r.have == 0
	open := r.tag.open
	for _, q := range r.queue {
		open = open || q.open
	}
	switch {
	case r.state == stateOver || clean && !open:
		return nil
	case clean:
		return &Error{Cause: CauseConnectionLost, Detail: "in the middle of a message"}
	}
	return &Error{Cause: CauseConnectionLost, Detail: "in the middle of an FPDU"}
}

// reset begins an FPDU.
func (r *Receiver) reset() {
	r.state, r.verified = stateHead, false
	r.have, r.need, r.header, r.pending = 0, lengthSize, 0, 0
	r.tailHave, r.crcSoFar = 0, 0
}

// stepHead takes the length field, the DDP header, and the body of a message that has one.
func (r *Receiver) stepHead(in []byte) (used int) {
	whole := r.have == 0
	for r.state == stateHead {
		n := copy(r.octets[r.have:r.need], in[used:])
		r.have += n
		used += n
		if r.have < r.need {
			return used
		}
		r.grow()
	}
	if whole && r.crc {
		r.verify(in)
	}
	return used
}

// grow decides what of the head comes next, once need octets of it have come.
func (r *Receiver) grow() {
	switch {
	case r.need == lengthSize:
		r.size = int(binary.BigEndian.Uint16(r.octets[:]))
		if r.size < taggedSize {
			r.fail(CauseCatastrophicStream)
			return
		}
		r.need = lengthSize + taggedSize
	case r.header == 0 && r.need < lengthSize+headerSize(r.octets[lengthSize]):
		if r.size < untaggedSize {
			r.fail(CauseCatastrophicStream)
			return
		}
		r.need = lengthSize + untaggedSize
	case r.header == 0:
		r.header = r.need
		r.receiveHeader()
	default:
		r.endHead()
	}
}

// endHead leaves the head for what follows it.
func (r *Receiver) endHead() {
	r.pending = lengthSize + r.size - r.have
	r.state = stateTail
	if r.pending > 0 {
		r.state = statePayload
	}
	if r.crc {
		r.crcSoFar = sum(0, r.octets[:r.have])
	}
}

// verify checks the CRC ahead, if in, which begins with the FPDU, has all of it.
func (r *Receiver) verify(in []byte) {
	end := lengthSize + r.size + pad(r.size)
	if r.fault != nil || len(in) < end+crcSize {
		return
	}
	if sum(0, in[:end]) == binary.LittleEndian.Uint32(in[end:]) {
		r.verified = true
		return
	}
	r.fail(CauseCRC)
}

// place is the event for the payload that is due.
func (r *Receiver) place() *Event {
	done := int(r.length()) - r.pending
	r.event.Kind, r.event.Length, r.event.Resumed = EventPlace, uint32(r.pending), done > 0
	r.event.Segment = r.seg
	if r.seg.Tagged {
		r.event.Segment.TO += uint64(done)
	} else {
		r.event.Segment.MO += uint32(done)
	}
	return &r.event
}

// stepDrain skips what is left of a segment at fault, for its CRC.
func (r *Receiver) stepDrain(in []byte) int {
	n := min(len(in), r.pending)
	r.crcSoFar = sum(r.crcSoFar, in[:n])
	r.pending -= n
	if r.pending == 0 {
		r.state = stateTail
	}
	return n
}

func (r *Receiver) tailSize() int { return pad(r.size) + crcSize }

// stepTail takes padding and CRC. It reports whether there is an event.
func (r *Receiver) stepTail(in []byte) (used int, delivered bool) {
	size := r.tailSize()
	used = copy(r.tail[r.tailHave:size], in)
	r.tailHave += used
	if r.tailHave < size {
		return used, false
	}
	r.hear()
	if !r.crcIsGood() {
		r.fault = nil // what looked like the peer's fault is the network's
		r.fail(CauseCRC)
	}
	if r.fault != nil {
		r.state = stateOver
		return used, false
	}
	r.state = stateBetween
	return used, r.accept()
}

// hear lets a responder talk.
func (r *Receiver) hear() {
	if !r.heard {
		r.heard = true
		r.link.heard.Store(true)
	}
}

func (r *Receiver) crcIsGood() bool {
	if !r.crc || r.verified {
		return true
	}
	padding := pad(r.size)
	return sum(r.crcSoFar, r.tail[:padding]) == binary.LittleEndian.Uint32(r.tail[padding:])
}

// end is the event of a stream that is over.
func (r *Receiver) end() *Event {
	if r.fault == nil { // a Terminate came
		r.event.Kind = EventNone
		return &r.event
	}
	r.event.Kind, r.event.Terminate, r.event.Err = EventFault, r.terminate, r.fault
	return &r.event
}

// fail ends the stream. If the CRC of the segment is still to come, that is looked at first.
func (r *Receiver) fail(c Cause) {
	if r.fault != nil {
		return // the first one counts (RFC 5040 section 7.1, rule 4)
	}
	r.terminate = r.compose(c)
	r.fault = &Error{Cause: c, Detail: r.detail()}
	r.hear()
	switch {
	case c == CauseCRC || !r.crc || r.verified || r.state == stateBetween:
		r.state = stateOver
	case r.state == stateHead:
		r.endHead()
		if r.pending > 0 {
			r.state = stateDrain
		}
	case r.state == statePayload:
		r.state = stateDrain
	}
}

// hasHeader reports whether the DDP header has come, so that seg holds.
func (r *Receiver) hasHeader() bool { return r.header > 0 && r.have >= r.header }

// detail says which segment an error is in.
func (r *Receiver) detail() string {
	if !r.hasHeader() {
		return "segment shorter than its header"
	}
	return r.seg.String()
}
