package iwarp

import (
	"encoding/binary"
	"fmt"
)

// A Frame is an MPA Request or Reply (RFC 5044 section 7.1.1, RFC 6581 section 6).
type Frame struct {
	Reply    bool
	Markers  bool // M: the sender wants markers in what it receives
	CRC      bool // C: the sender wants CRCs in both directions
	Reject   bool // R: the connection is rejected; without meaning in a Request
	Enhanced bool // S: Negotiation is there; only with Revision 2
	// Reserved are the other bits of the flags. Nothing is to be read into them; zero when sending.
	Reserved uint8
	Revision uint8
	// Negotiation is valid if Enhanced is set.
	Negotiation Negotiation
	// Private is the application's private data, without the 4 octets of Negotiation. In a parsed frame it is part of
	// the parsed octets.
	Private []byte
}

// A Negotiation is the enhanced connection establishment data (RFC 6581 section 9).
type Negotiation struct {
	IRD        uint16 // Reads and Atomics that the sender lets be outstanding towards it
	ORD        uint16 // Reads and Atomics that the sender wants to have outstanding
	PeerToPeer bool   // A: the initiator sends an RTR first
	RTR        RTRSet // which RTRs the sender supports; without meaning unless PeerToPeer
}

// An RTRSet is a set of messages that can tell the responder that the initiator is ready to receive (RFC 6581 section
// 9.2). Each is a message of the named kind with no payload.
type RTRSet uint8

// The ready-to-receive messages.
const (
	RTRSend RTRSet = 1 << iota
	RTRWrite
	RTRRead

	allRTR = RTRSend | RTRWrite | RTRRead
)

// AppendFrame appends the octets of a frame to dst. It fails with [ErrConfig] if the frame has too much private data,
// an IRD or ORD above 14 bits, or is enhanced with a revision below 2.
func AppendFrame(dst []byte, f *Frame) ([]byte, error) {
	size := len(f.Private)
	if f.Enhanced {
		size += negotiationSize
	}
	switch {
	case size > MaxPrivateData:
		return dst, configError("%d octets of private data; at most %d fit", len(f.Private), MaxPrivateData-(size-len(f.Private)))
	case f.Enhanced && f.Revision < revisionEnhanced:
		return dst, configError("enhanced frame of revision %d", f.Revision)
	case f.Negotiation.IRD > depthMask || f.Negotiation.ORD > depthMask:
		return dst, configError("IRD %d and ORD %d; both have 14 bits", f.Negotiation.IRD, f.Negotiation.ORD)
	}
	key := requestKey
	if f.Reply {
		key = replyKey
	}
	dst = append(dst, key...)
	dst = append(dst, f.flags(), f.Revision)
	dst = binary.BigEndian.AppendUint16(dst, uint16(size))
	if f.Enhanced {
		dst = f.Negotiation.append(dst)
	}
	return append(dst, f.Private...), nil
}

func (f *Frame) flags() byte {
	return f.Reserved | bit(f.Markers, frameMarkers) | bit(f.CRC, frameCRC) | bit(f.Reject, frameReject) | bit(f.Enhanced, frameEnhanced)
}

func bit(on bool, flag byte) byte {
	if on {
		return flag
	}
	return 0
}

func (n *Negotiation) append(dst []byte) []byte {
	ird, ord := n.IRD, n.ORD
	if n.PeerToPeer {
		ird |= flagPeerToPeer
	}
	if n.RTR&RTRSend != 0 {
		ird |= flagRTRSend
	}
	if n.RTR&RTRWrite != 0 {
		ord |= flagRTRWrite
	}
	if n.RTR&RTRRead != 0 {
		ord |= flagRTRRead
	}
	dst = binary.BigEndian.AppendUint16(dst, ird)
	return binary.BigEndian.AppendUint16(dst, ord)
}

// ParseFrame parses the frame at the start of b. It returns the frame and its size in octets; a size greater than len(b)
// means that so many octets, or more, are needed first, and the frame is not valid then. A frame that can no longer become
// valid fails with [ErrFrame] as soon as that shows. Octets behind the frame are not looked at.
func ParseFrame(b []byte) (Frame, int, error) {
	if n := min(len(b), keySize); string(b[:n]) != requestKey[:n] && string(b[:n]) != replyKey[:n] {
		return Frame{}, 0, fmt.Errorf("%w: key %q", ErrFrame, b[:n])
	}
	if len(b) < frameHeaderSize {
		return Frame{}, frameHeaderSize, nil
	}
	private := int(binary.BigEndian.Uint16(b[18:]))
	if private > MaxPrivateData {
		return Frame{}, 0, fmt.Errorf("%w: %d octets of private data; at most %d are allowed", ErrFrame, private, MaxPrivateData)
	}
	size := frameHeaderSize + private
	f := parseFrameHeader(b)
	if f.Enhanced && private < negotiationSize {
		return Frame{}, 0, fmt.Errorf("%w: enhanced with %d octets of private data, of which IRD and ORD need %d", ErrFrame, private, negotiationSize)
	}
	if len(b) < size {
		return Frame{}, size, nil
	}
	f.Private = b[frameHeaderSize:size:size]
	if f.Enhanced {
		f.Negotiation = parseNegotiation(f.Private)
		f.Private = f.Private[negotiationSize:]
	}
	return f, size, nil
}

func parseFrameHeader(b []byte) Frame {
	flags := b[16]
	f := Frame{
		Reply:    string(b[:keySize]) == replyKey,
		Markers:  flags&frameMarkers != 0,
		CRC:      flags&frameCRC != 0,
		Reject:   flags&frameReject != 0,
		Reserved: flags & frameReserved,
		Revision: b[17],
	}
	if f.Revision >= revisionEnhanced {
		f.Enhanced = flags&frameEnhanced != 0
	} else {
		f.Reserved |= flags & frameEnhanced // RFC 5044: reserved, and not checked
	}
	return f
}

func parseNegotiation(b []byte) Negotiation {
	ird, ord := binary.BigEndian.Uint16(b), binary.BigEndian.Uint16(b[2:])
	n := Negotiation{IRD: ird & depthMask, ORD: ord & depthMask, PeerToPeer: ird&flagPeerToPeer != 0}
	if ird&flagRTRSend != 0 {
		n.RTR |= RTRSend
	}
	if ord&flagRTRWrite != 0 {
		n.RTR |= RTRWrite
	}
	if ord&flagRTRRead != 0 {
		n.RTR |= RTRRead
	}
	return n
}
