package iwarp

// A Responder sets up a connection from the side that waits for the Request (RFC 5044 section 7.1.2, RFC 6581 section 9).
// Feed it what is read until the status is StatusDecide, look at [Responder.Request], and call [Responder.Accept] or
// [Responder.Reject]. It is for one goroutine at a time. Give it [RequestTimeout], or less, and call
// [Responder.Expired] after that.
//
// After an accepting Reply the responder must not send anything before it has received the first FPDU; the Stream sees to that.
type Responder struct {
	cfg      SetupConfig // immutable after NewResponder
	in       collector
	request  Frame // valid from StatusDecide on
	settings Settings
	state    responderState
}

type responderState uint8

const (
	awaitRequest responderState = iota
	awaitDecision
	setupOver
)

// NewResponder makes a responder. It fails with [ErrConfig] if a setting is out of range.
func NewResponder(cfg SetupConfig) (*Responder, error) {
	if err := cfg.check(nil, 0); err != nil {
		return nil, err
	}
	return &Responder{cfg: cfg}, nil
}

// Feed takes octets that came from the initiator and returns how many it used.
func (r *Responder) Feed(in []byte) (int, Outcome) {
	if r.state == setupOver {
		return 0, failed(ErrMisuse)
	}
	f, n, done, err := r.in.feed(in)
	switch {
	case err != nil:
		return n, r.end(failed(err))
	case !done:
		return n, Outcome{}
	case n < len(in):
		return n, r.end(failedWith(ErrEarly, "%d octets behind the Request; the initiator must wait for the Reply", len(in)-n))
	}
	r.request = f
	return n, r.judge()
}

// Request returns the initiator's frame: its private data, and the IRD and ORD it named. It is valid from StatusDecide on
// and aliases the Responder.
func (r *Responder) Request() *Frame { return &r.request }

// Accept makes the Reply that accepts the connection, with private, which it copies. It fails with [ErrConfig] if
// private does not fit, in which case the decision is still open, and rejects the connection with [ErrDepth] if the
// initiator permits fewer outstanding Reads than MinORD.
func (r *Responder) Accept(private []byte) Outcome {
	if r.state != awaitDecision {
		return failed(ErrMisuse)
	}
	reply, settings, ok := r.agree()
	reply.Private = private
	reply.Reject = !ok
	octets, err := AppendFrame(nil, &reply)
	if err != nil {
		return Outcome{Status: StatusDecide, Err: err}
	}
	if !ok {
		o := failedWith(ErrDepth, "the initiator permits %d outstanding Reads, %d are needed", r.request.Negotiation.IRD, r.cfg.MinORD)
		o.Send = octets
		return r.end(o)
	}
	r.settings = settings
	return r.end(Outcome{Status: StatusReady, Send: octets})
}

// Reject makes the Reply that rejects the connection, with private, which it copies. It fails with [ErrConfig] if
// private does not fit, in which case the decision is still open.
func (r *Responder) Reject(private []byte) Outcome {
	if r.state != awaitDecision {
		return failed(ErrMisuse)
	}
	reply, _, _ := r.agree()
	reply.Reject, reply.Private = true, private
	octets, err := AppendFrame(nil, &reply)
	if err != nil {
		return Outcome{Status: StatusDecide, Err: err}
	}
	return r.end(Outcome{Status: StatusFailed, Send: octets})
}

// Expired reports that the Request did not come in time.
func (r *Responder) Expired() Outcome { return r.end(failedWith(ErrTimeout, "no Request")) }

// Closed reports that the connection ended before the Request was there.
func (r *Responder) Closed() Outcome { return r.end(failedWith(ErrClosed, "no Request")) }

// Settings returns what was agreed on. It is valid after StatusReady.
func (r *Responder) Settings() Settings { return r.settings }

func (r *Responder) end(o Outcome) Outcome {
	if r.state == setupOver {
		return failed(ErrMisuse)
	}
	r.state = setupOver
	return o
}

func (r *Responder) judge() Outcome {
	f := &r.request
	switch {
	case f.Reply:
		return r.end(failedWith(ErrFrame, "a Reply came instead of a Request: the peer is a responder too"))
	case f.Revision < revisionPlain || f.Revision > revisionEnhanced:
		return r.end(failedWith(ErrRevision, "revision %d; we know 1 and 2", f.Revision))
	case f.Markers:
		return r.refuse(ErrMarkers)
	case f.CRC && r.cfg.CRC == CRCNever:
		return r.refuse(ErrCRC)
	}
	r.state = awaitDecision
	return Outcome{Status: StatusDecide}
}

// refuse rejects the connection without asking the application. The initiator sees which of its wishes are not in
// the Reply; the private data has nothing but the IRD and ORD that must be there, both 0 as Linux siw sends them.
func (r *Responder) refuse(err error) Outcome {
	f := Frame{Reply: true, Reject: true, Revision: r.request.Revision, Enhanced: r.request.Enhanced}
	f.CRC = r.cfg.CRC != CRCNever && (r.request.CRC || r.cfg.CRC == CRCAlways)
	o := failed(err)
	o.Send, _ = AppendFrame(nil, &f) // without private data it cannot fail
	return r.end(o)
}

// agree computes the Reply, but for its private data, and what follows from it.
func (r *Responder) agree() (reply Frame, s Settings, ok bool) {
	asked := &r.request
	reply = Frame{Reply: true, Revision: asked.Revision, Enhanced: asked.Enhanced, CRC: asked.CRC || r.cfg.CRC == CRCAlways}
	s = Settings{Revision: asked.Revision, Enhanced: asked.Enhanced, CRC: reply.CRC, IRD: r.cfg.IRD, ORD: r.cfg.ORD}
	if !asked.Enhanced {
		return reply, s, true
	}
	s.PeerIRD, s.PeerORD = asked.Negotiation.IRD, asked.Negotiation.ORD
	reply.Negotiation, ok = r.cfg.answer(asked.Negotiation)
	s.IRD, s.ORD = r.cfg.responderDepths(reply.Negotiation)
	s.RTR = reply.Negotiation.RTR
	return reply, s, ok
}
