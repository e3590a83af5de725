package iwarp

// An EventKind says what the Receiver has come to.
type EventKind uint8

const (
	// EventNone: all octets are used up; come back with more.
	EventNone EventKind = iota
	// EventPlace: the next Length octets of the stream are payload, for the place that Segment names: offset TO of the
	// buffer STag, or offset MO of the receive that message MSN of queue 0 takes. Read them into it, in pieces of any
	// size, and report each piece with Placed; or Refuse them. Until all have been placed the event comes again with what is left.
	EventPlace
	// EventMessage: a message has come whole and is valid. Segment is its header, with TO and MO where it began, and
	// Length the size of its payload. Segment.Opcode says which it is:
	//
	//   - Write: nothing needs to be done, all of it has been placed.
	//   - Send in its four forms: the receive that it took is complete. If Opcode.Invalidates, invalidate
	//     Segment.Invalidate first, or Refuse. A Send without payload comes without EventPlace and takes a receive all the
	//     same (Refuse if there is none), unless RTR is set.
	//   - Immediate Data: Immediate holds; it takes a receive.
	//   - Read Request, Atomic Request: Read or Atomic holds. Answer in order, with Sender.Respond and
	//     Sender.RespondAtomic, or Refuse; later on, a Read is refused with TerminateRead.
	//   - Read Response, Atomic Response: the request ID is complete; AtomicResponse holds.
	//   - Terminate: the stream is over. Terminate and Err hold.
	EventMessage
	// EventSegment: a segment of a Write, not its last, has been placed and is good. Segment is its header, Length the size
	// of its payload. Comes only with StreamConfig.Segments.
	EventSegment
	// EventFault: the peer has broken the protocol, or was refused. Err holds. Send Terminate and close the connection; the
	// Receiver takes nothing more, and this event comes again whatever is fed.
	EventFault
)

// An Event is what the Receiver has come to. It belongs to the Receiver and is valid until its next call. Fields are
// valid where EventKind says so, and are stale otherwise.
type Event struct {
	Kind    EventKind
	Segment Segment
	Length  uint32
	// ID is what Sender.Read or Sender.Atomic was given. Valid for Read Responses, also in EventPlace, and Atomic Responses.
	ID uint64
	// RTR is set with the message by which the initiator says that it is ready to receive, and with the response to it: it
	// concerns no application. A Read that serves as RTR must be answered like any other.
	RTR bool
	// Resumed is set in EventPlace if octets of the segment have been placed already.
	Resumed bool

	Read           ReadRequest
	Atomic         AtomicRequest
	AtomicResponse AtomicResponse
	Immediate      [immediateSize]byte
	Terminate      Terminate
	Err            *Error
}
