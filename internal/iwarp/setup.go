package iwarp

import "fmt"

// A CRCPolicy says when the FPDUs of a connection carry CRCs. Either way, both directions do or neither does.
type CRCPolicy uint8

const (
	// CRCAlways asks for CRCs, which the peer may not refuse (RFC 5044 section 7.1.1). It is the default, as section 4.4 demands.
	CRCAlways CRCPolicy = iota
	// CRCIfAsked leaves it to the peer. Linux siw does not ask unless it is told to, and follows a Reply that does.
	CRCIfAsked
	// CRCNever refuses a peer that asks. RFC 5044 section 4.4 permits no such thing; Linux siw offers it too.
	CRCNever
)

// A SetupConfig is one side's part in the negotiation. The zero value asks for CRCs, and permits no Reads in either direction.
type SetupConfig struct {
	CRC CRCPolicy

	// Plain makes an initiator send revision 1, without IRD, ORD and RTR; a responder ignores it. With a plain connection
	// IRD and ORD are not negotiated: the applications must have agreed on them.
	Plain bool

	// IRD is how many of the peer's Reads and Atomics may wait for their response at a time, ORD how many of ours. From 0
	// to MaxDepth.
	IRD, ORD uint16

	// MinORD makes a responder reject an initiator, and an initiator give up on a responder, that permits fewer
	// outstanding Reads than this.
	MinORD uint16

	// RTR makes an initiator ask for the peer-to-peer model, in which it sends one of these messages at once, so that the
	// responder may send first. For a responder it is what is supported; 0 means all of them.
	RTR RTRSet
}

func (c *SetupConfig) check(private []byte, size int) error {
	switch {
	case c.CRC > CRCNever:
		return configError("CRC policy %d", c.CRC)
	case c.IRD > MaxDepth || c.ORD > MaxDepth:
		return configError("IRD %d and ORD %d; at most %d can be negotiated", c.IRD, c.ORD, MaxDepth)
	case c.MinORD > c.ORD:
		return configError("MinORD %d exceeds ORD %d", c.MinORD, c.ORD)
	case c.RTR&^allRTR != 0:
		return configError("RTR set 0x%x", uint8(c.RTR))
	case len(private) > size:
		return configError("%d octets of private data; at most %d fit", len(private), size)
	}
	return nil
}

// Settings are what both sides of a connection have agreed on.
type Settings struct {
	// Initiator is true at the side that sent the Request.
	Initiator bool
	// Revision of MPA: 1 or 2.
	Revision uint8
	// Enhanced is true if IRD, ORD and RTR were negotiated.
	Enhanced bool
	// CRC is true if FPDUs carry CRCs.
	CRC bool
	// IRD and ORD are in force at this side: requests of the peer, and of ours, that may be outstanding.
	IRD, ORD uint16
	// PeerIRD and PeerORD are the numbers the peer sent, for the application (RFC 6581 section 9.1); 0x3fff means that
	// the peer leaves it to the applications. Valid if Enhanced.
	PeerIRD, PeerORD uint16
	// RTR is the one message with which the initiator must begin; 0 if it may begin with anything.
	RTR RTRSet
}

// A Status says how far a connection setup has come.
type Status uint8

const (
	// StatusPending: read from the connection and feed what comes.
	StatusPending Status = iota
	// StatusDecide: the responder's application is to accept or reject.
	StatusDecide
	// StatusReady: the setup is over. Settings holds; make a Stream.
	StatusReady
	// StatusFailed: close the connection, with a FIN rather than a reset so that what was sent arrives. After a rejection
	// (ErrRejected at the initiator, Reject at the responder) it may be used for something else instead.
	StatusFailed
)

// An Outcome is what a step of the setup asks for.
type Outcome struct {
	Status Status
	// Send is to be written to the connection now, whatever the status. It stays valid.
	Send []byte
	// Err says why the status is StatusFailed. It is nil after the application's own Reject.
	Err error
}

func failed(err error) Outcome { return Outcome{Status: StatusFailed, Err: err} }

func failedWith(err error, format string, args ...any) Outcome {
	return failed(fmt.Errorf("%w: "+format, append([]any{err}, args...)...))
}

// A collector gathers one frame, whatever the pieces it comes in. It takes no octet beyond the frame.
type collector struct {
	octets [frameHeaderSize + MaxPrivateData]byte
	have   int
}

// feed takes what belongs to the frame and reports how much that was and whether the frame is complete.
func (c *collector) feed(in []byte) (f Frame, used int, done bool, err error) {
	for {
		var size int
		f, size, err = ParseFrame(c.octets[:c.have])
		if err != nil || c.have == size {
			return f, used, err == nil, err
		}
		n := copy(c.octets[c.have:size], in[used:])
		if n == 0 {
			return f, used, false, nil
		}
		c.have += n
		used += n
	}
}
