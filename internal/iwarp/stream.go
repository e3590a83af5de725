package iwarp

import "sync/atomic"

// A StreamConfig holds what the peers do not negotiate.
type StreamConfig struct {
	// MaxFPDU is the size in octets that no FPDU we send exceeds: the connection's maximum segment size (TCP_MAXSEG),
	// or more towards a peer that is known to take more. From MinFPDU to MaxFPDU; default DefaultFPDU. What comes is
	// accepted at any size.
	MaxFPDU int
	// Extensions accepts Atomics and Immediate Data (RFC 7306) from the peer. Default: they end the stream.
	Extensions bool
	// Segments announces each segment of a Write but the last with EventSegment, once its CRC was good.
	Segments bool
	// Tolerant accepts octets in the response to a Read of none, to be placed anywhere and forgotten. Linux siw sends some if it
	// is transmitting when such a Read comes: it then answers with the size of what it sent before.
	Tolerant bool
	// Declined accepts a Read Response that ends before the octets that were asked for: the peer has agreed to answer so, with
	// Sender.Decline, what it cannot read. Default: it ends the stream (RFC 5040 section 5.2.2).
	Declined bool
}

// A Stream is an RDMAP stream in full operation, on one connection. It has no methods of its own but for its two halves,
// which have separate owners.
type Stream struct {
	link     link
	sender   Sender
	receiver Receiver
}

// NewStream makes a stream from what the connection setup agreed on. It fails with [ErrConfig] if a number is out of range.
func NewStream(s Settings, cfg StreamConfig) (*Stream, error) {
	if cfg.MaxFPDU == 0 {
		cfg.MaxFPDU = DefaultFPDU
	}
	if cfg.MaxFPDU < MinFPDU || cfg.MaxFPDU > MaxFPDU {
		return nil, configError("FPDU of %d octets; from %d to %d are possible", cfg.MaxFPDU, MinFPDU, MaxFPDU)
	}
	if s.IRD > MaxDepth || s.ORD > MaxDepth {
		return nil, configError("IRD %d and ORD %d; at most %d are possible", s.IRD, s.ORD, MaxDepth)
	}
	st := &Stream{}
	st.link = link{initiator: s.Initiator, requests: newRequests(s.ORD), ird: uint32(s.IRD)}
	st.sender = newSender(&st.link, s, cfg)
	st.receiver = newReceiver(&st.link, s, cfg)
	return st, nil
}

// Sender returns the half that sends.
func (s *Stream) Sender() *Sender { return &s.sender }

// Receiver returns the half that receives.
func (s *Stream) Receiver() *Receiver { return &s.receiver }

// A link is what the two halves share.
type link struct {
	initiator bool        // immutable
	heard     atomic.Bool // set by the Receiver with the first FPDU
	requests  requests    // ours, in order; pushed by the Sender, popped by the Receiver

	ird      uint32        // requests of the peer that may wait at a time; immutable
	arrived  atomic.Uint32 // requests of the peer; written by the Receiver
	answered atomic.Uint32 // those whose response has been begun; written by the Sender; never ahead of arrived
}

// mayTalk reports whether s may send at all (RFC 5044 section 7.1.2, rule 4).
func (l *link) mayTalk(s *Sender) bool {
	if s.talking {
		return true
	}
	s.talking = l.initiator || l.heard.Load()
	return s.talking
}

// waiting is how many requests of the peer wait for their response.
func (l *link) waiting() uint32 { return l.arrived.Load() - l.answered.Load() }

// answer counts a response that is being begun. It is called by the Sender.
func (l *link) answer() bool {
	if l.waiting() == 0 {
		return false
	}
	l.answered.Add(1)
	return true
}
