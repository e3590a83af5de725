package iwarp

// This file holds the arithmetic of RFC 6581 section 9: what a responder answers, and what follows for both sides.

// answer is the responder's part of section 9.1 and 9.2: what it puts into its Reply. ok is false if the initiator
// permits fewer Reads than MinORD; the answer then tells how many are wanted.
func (c *SetupConfig) answer(asked Negotiation) (reply Negotiation, ok bool) {
	reply = Negotiation{PeerToPeer: asked.PeerToPeer, IRD: ulpDepth, ORD: ulpDepth}
	if asked.PeerToPeer {
		reply.RTR = c.pickRTR(asked.RTR)
	}
	if asked.ORD != ulpDepth {
		reply.IRD = max(min(c.IRD, asked.ORD), readRTRDepth(reply))
	}
	if asked.IRD == ulpDepth {
		return reply, true
	}
	reply.ORD = min(c.ORD, asked.IRD)
	if reply.ORD < c.MinORD {
		reply.ORD = c.MinORD
		return reply, false
	}
	return reply, true
}

// readRTRDepth is the IRD that the RTR itself needs.
func readRTRDepth(n Negotiation) uint16 {
	if n.PeerToPeer && n.RTR == RTRRead {
		return 1
	}
	return 0
}

// pickRTR chooses one RTR of those the initiator supports, as Chelsio adapters need it. If there is none in common it
// names one that we support, as section 9.2 has it, and the initiator gives up.
func (c *SetupConfig) pickRTR(offered RTRSet) RTRSet {
	supported := c.RTR
	if supported == 0 {
		supported = allRTR
	}
	if common := offered & supported; common != 0 {
		return common.first()
	}
	return supported.first()
}

// first is the cheapest RTR of a set: a Write disturbs no queue, a Read uses up a request, a Send a message number.
func (s RTRSet) first() RTRSet {
	for _, one := range []RTRSet{RTRWrite, RTRRead, RTRSend} {
		if s&one != 0 {
			return one
		}
	}
	return 0
}

// responderDepths are the IRD and ORD in force at the responder after reply.
func (c *SetupConfig) responderDepths(reply Negotiation) (ird, ord uint16) {
	ird, ord = reply.IRD, reply.ORD
	if ird == ulpDepth {
		ird = max(c.IRD, readRTRDepth(reply))
	}
	if ord == ulpDepth {
		ord = c.ORD
	}
	return ird, ord
}

// conclude is the initiator's part: the settings that follow from an accepting Reply, or the cause with which the
// connection is to be terminated.
func (c *SetupConfig) conclude(reply Negotiation) (ird, ord uint16, rtr RTRSet, cause Cause, err error) {
	ird, ord = c.IRD, c.ORD
	if reply.IRD != ulpDepth {
		ord = min(ord, reply.IRD)
	}
	switch {
	case reply.ORD != ulpDepth && reply.ORD > ird, ord < c.MinORD:
		return ird, ord, 0, CauseIRD, ErrDepth
	case c.RTR == 0:
		return ird, ord, 0, 0, nil
	}
	if rtr = c.commonRTR(reply); rtr == 0 {
		return ird, ord, 0, CauseRTR, ErrRTR
	}
	if rtr == RTRRead {
		ord = max(ord, 1)
	}
	return ird, ord, rtr, 0, nil
}

// commonRTR is the RTR that the initiator is to send, or 0 if it cannot send any that the responder supports.
func (c *SetupConfig) commonRTR(reply Negotiation) RTRSet {
	if !reply.PeerToPeer {
		return 0
	}
	common := reply.RTR & c.RTR
	if reply.IRD == 0 {
		common &^= RTRRead
	}
	return common.first()
}
