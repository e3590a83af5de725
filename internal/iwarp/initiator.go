package iwarp

// An Initiator sets up a connection from the side that sends the Request (RFC 5044 section 7.1.2, RFC 6581 section 9).
// Write [Initiator.Request] to the connection, then feed what is read until the status is StatusReady or StatusFailed.
// It is for one goroutine at a time. Give it [ReplyTimeout], or less, and call [Initiator.Expired] after that.
type Initiator struct {
	cfg      SetupConfig // immutable after NewInitiator
	request  []byte      // immutable after NewInitiator
	in       collector
	reply    Frame // valid once the collector is done
	settings Settings
	over     bool // the status is StatusReady or StatusFailed
}

// NewInitiator makes an initiator that sends private, which it copies. It fails with [ErrConfig] if private data
// or a setting exceeds what the frame can carry; for a peer of unknown kind keep private within [SafePrivateData].
func NewInitiator(cfg SetupConfig, private []byte) (*Initiator, error) {
	f := Frame{CRC: cfg.CRC == CRCAlways, Revision: revisionPlain, Private: private}
	limit := MaxPrivateData
	if !cfg.Plain {
		limit -= negotiationSize
		f.Enhanced, f.Revision = true, revisionEnhanced
		f.Negotiation = Negotiation{IRD: cfg.IRD, ORD: cfg.ORD, PeerToPeer: cfg.RTR != 0, RTR: cfg.RTR}
	}
	if err := cfg.check(private, limit); err != nil {
		return nil, err
	}
	if cfg.Plain && cfg.RTR != 0 {
		return nil, configError("an RTR needs the enhanced connection setup")
	}
	request, err := AppendFrame(nil, &f)
	if err != nil {
		return nil, err
	}
	return &Initiator{cfg: cfg, request: request}, nil
}

// Request returns the octets with which the connection begins. They must not be changed.
func (i *Initiator) Request() []byte { return i.request }

// Feed takes octets that came from the responder and returns how many it used. What is left behind an accepting Reply are
// FPDUs, for the Receiver: the responder ought to wait for our first one, but Linux siw does not.
func (i *Initiator) Feed(in []byte) (int, Outcome) {
	if i.over {
		return 0, failed(ErrMisuse)
	}
	f, n, done, err := i.in.feed(in)
	switch {
	case err != nil:
		return n, i.end(failed(err))
	case !done:
		return n, Outcome{}
	}
	i.reply = f
	return n, i.end(i.judge())
}

// Expired reports that the Reply did not come in time.
func (i *Initiator) Expired() Outcome { return i.end(failedWith(ErrTimeout, "no Reply")) }

// Closed reports that the connection ended before the Reply was there.
func (i *Initiator) Closed() Outcome {
	return i.end(failedWith(ErrClosed, "no Reply; the peer may not know iWARP, or MPA revision %d", i.request[keySize+1]))
}

// Settings returns what was agreed on. It is valid after StatusReady.
func (i *Initiator) Settings() Settings { return i.settings }

// Reply returns the responder's frame: its private data, and the IRD and ORD it named. It is valid once it has come, also
// when it rejects, and aliases the Initiator.
func (i *Initiator) Reply() *Frame { return &i.reply }

func (i *Initiator) end(o Outcome) Outcome {
	if i.over {
		return failed(ErrMisuse)
	}
	i.over = true
	return o
}

func (i *Initiator) judge() Outcome {
	f := &i.reply
	switch {
	case !f.Reply:
		return failedWith(ErrFrame, "a Request came instead of a Reply: the peer is an initiator too")
	case f.Revision < revisionPlain || f.Revision > i.request[keySize+1]:
		return failedWith(ErrRevision, "revision %d in answer to %d", f.Revision, i.request[keySize+1])
	case f.Reject:
		return failed(ErrRejected)
	case f.Markers:
		return failed(ErrMarkers)
	case f.CRC && i.cfg.CRC == CRCNever:
		return i.refuseCRC()
	case !i.cfg.Plain && !f.Enhanced:
		return failedWith(ErrEnhanced, "Reply of revision %d without IRD and ORD", f.Revision)
	}
	return i.settle()
}

// refuseCRC ends a connection that the responder has accepted, as far as it knows; RFC 6581 section 9.3 wants it told.
func (i *Initiator) refuseCRC() Outcome {
	o := failed(ErrCRC)
	if i.reply.Enhanced {
		o.Send = lastWord(Settings{Initiator: true, CRC: true}, CauseMPACatastrophic)
	}
	return o
}

func (i *Initiator) settle() Outcome {
	f := &i.reply
	i.settings = Settings{
		Initiator: true, Revision: f.Revision, CRC: f.CRC || i.cfg.CRC == CRCAlways,
		IRD: i.cfg.IRD, ORD: i.cfg.ORD,
	}
	if i.cfg.Plain {
		return Outcome{Status: StatusReady}
	}
	i.settings.Enhanced = true
	i.settings.PeerIRD, i.settings.PeerORD = f.Negotiation.IRD, f.Negotiation.ORD
	ird, ord, rtr, cause, err := i.cfg.conclude(f.Negotiation)
	i.settings.IRD, i.settings.ORD, i.settings.RTR = ird, ord, rtr
	if err == nil {
		return Outcome{Status: StatusReady}
	}
	o := failedWith(err, "IRD %d, ORD %d and RTR set 0x%x against our %d, %d and 0x%x",
		f.Negotiation.IRD, f.Negotiation.ORD, uint8(f.Negotiation.RTR), i.cfg.IRD, i.cfg.ORD, uint8(i.cfg.RTR))
	o.Send = lastWord(i.settings, cause)
	return o
}

// lastWord is the FPDU with a Terminate message that ends a setup (RFC 6581 section 8).
func lastWord(s Settings, cause Cause) []byte {
	s.RTR = 0
	stream, err := NewStream(s, StreamConfig{})
	if err != nil {
		return nil
	}
	batch, err := NewBatch(make([]byte, minArena), make([][]byte, 0, minVec))
	if err != nil || stream.Sender().Terminate(Terminate{Cause: cause}) != nil {
		return nil
	}
	stream.Sender().Fill(batch)
	var octets []byte
	for _, b := range batch.Buffers() {
		octets = append(octets, b...)
	}
	return octets
}
