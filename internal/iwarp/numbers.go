package iwarp

import "time"

// The MPA Request and Reply frame (RFC 5044 section 7.1.1, RFC 6581 section 6). Sizes in octets.
const (
	requestKey = "MPA ID Req Frame"
	replyKey   = "MPA ID Rep Frame"
	keySize    = 16

	frameHeaderSize = 20
	negotiationSize = 4 // RFC 6581 section 9: IRD and ORD, at the start of the private data

	frameMarkers  = 0x80 // M
	frameCRC      = 0x40 // C
	frameReject   = 0x20 // R
	frameEnhanced = 0x10 // S, from revision 2 on; reserved before
	frameReserved = 0x0f // Res

	revisionPlain    = 1 // RFC 5044
	revisionEnhanced = 2 // RFC 6581
)

// Limits and times of the connection setup.
const (
	// MaxPrivateData is the size in octets of the private data of a Request or Reply, the 4 octets of the enhanced
	// setup included (RFC 5044 section 7.1.1).
	MaxPrivateData = 512
	// SafePrivateData is how many octets of the application's own private data every known peer can carry: Linux siw
	// takes 256 with the 4 of the enhanced setup, and sends up to 251.
	SafePrivateData = 248

	// RequestTimeout is how long Linux siw waits for the Request: a good value for a responder (RFC 5044 section 7.1.2, rule 10).
	RequestTimeout = 10 * time.Second
	// ReplyTimeout is how long Linux siw waits for the Reply: a good value for an initiator.
	ReplyTimeout = 5 * time.Second
	// FirstFPDUDelay is how long an initiator should wait after the Reply of a Linux siw responder before its first
	// FPDU: one that comes at once may lie unread there until the next segment arrives.
	FirstFPDUDelay = 10 * time.Millisecond
)

// Enhanced connection establishment data (RFC 6581 section 9).
const (
	ulpDepth = 0x3fff // an IRD or ORD that is left to the applications to agree on (section 9.1)

	// MaxDepth is the greatest IRD or ORD that can be negotiated: 14 bits, less the value kept for "not negotiated".
	MaxDepth = ulpDepth - 1

	depthMask      = 0x3fff
	flagPeerToPeer = 0x8000 // A, in the IRD word
	flagRTRSend    = 0x4000 // B, in the IRD word
	flagRTRWrite   = 0x8000 // C, in the ORD word
	flagRTRRead    = 0x4000 // D, in the ORD word

	// rtrSTag is the STag in an RTR Write, and the source STag in an RTR Read. It is never looked up, since both carry
	// no octets; Linux siw and Chelsio adapters use 1.
	rtrSTag = 1
)

// FPDUs (RFC 5044 section 4). Sizes in octets.
const (
	lengthSize  = 2      // ULPDU_Length
	crcSize     = 4      // always present
	maxPad      = 3      // to a multiple of 4
	maxULPDU    = 0xffff // ULPDU_Length has 16 bits
	minMULPDU   = 128    // section 4.5: never shrink the MULPDU below this
	trailerSize = maxPad + crcSize

	// MinFPDU and MaxFPDU bound the size in octets of an FPDU, with its length field, padding and CRC: the lower bound
	// holds an ULPDU of 128 octets, the upper one of 65535.
	MinFPDU = lengthSize + minMULPDU + 2 + crcSize
	MaxFPDU = lengthSize + maxULPDU + maxPad + crcSize

	// DefaultFPDU fills a TCP segment on Ethernet, with IPv6 and time stamps.
	DefaultFPDU = 1428
)

// DDP headers (RFC 5041 section 4). Sizes in octets, without the MPA length field.
const (
	ddpTagged  = 0x80 // T
	ddpLast    = 0x40 // L
	ddpVersion = 1    // DV, the two lowest bits
	ddpMask    = 0x03

	taggedSize   = 14
	untaggedSize = 18

	firstMSN = 1 // section 4.3
)

// The RDMAP control field (RFC 5040 section 4.1).
const (
	rdmapVersion      = 1 // RV, the two highest bits
	rdmapVersionShift = 6
	rdmapOpcodeMask   = 0x0f
)

// An Opcode says what an RDMAP message is (RFC 5040 section 4.1, RFC 7306 section 4.1).
type Opcode uint8

// The RDMAP messages.
const (
	OpWrite                   Opcode = 0x0 // RFC 5040 section 4.3
	OpReadRequest             Opcode = 0x1 // RFC 5040 section 4.4
	OpReadResponse            Opcode = 0x2 // RFC 5040 section 4.5
	OpSend                    Opcode = 0x3 // RFC 5040 section 4.6
	OpSendInvalidate          Opcode = 0x4 // RFC 5040 section 4.7
	OpSendSolicited           Opcode = 0x5 // RFC 5040 section 4.6
	OpSendSolicitedInvalidate Opcode = 0x6 // RFC 5040 section 4.7
	OpTerminate               Opcode = 0x7 // RFC 5040 section 4.8
	OpImmediate               Opcode = 0x8 // RFC 7306 section 6.3
	OpImmediateSolicited      Opcode = 0x9 // RFC 7306 section 6.3
	OpAtomicRequest           Opcode = 0xa // RFC 7306 section 5.2.1
	OpAtomicResponse          Opcode = 0xb // RFC 7306 section 5.2.2
)

// Queues of untagged buffers (RFC 5040 section 4.1, RFC 7306 section 10.2).
const (
	queueSend      = 0 // Sends and immediate data
	queueRequest   = 1 // Read Requests and Atomic Requests
	queueTerminate = 2
	queueAtomic    = 3 // Atomic Responses
	queues         = 4
)

// Bodies behind the DDP header. Sizes in octets.
const (
	readRequestSize    = 28 // RFC 5040 section 4.4
	immediateSize      = 8  // RFC 7306 section 6.2
	atomicRequestSize  = 52 // RFC 7306 section 5.2.1
	atomicResponseSize = 12 // RFC 7306 section 5.2.2
	terminateSize      = terminateControlSize + segmentLengthSize + untaggedSize + readRequestSize
	maxBody            = max(atomicRequestSize, terminateSize)
)

// The Terminate header (RFC 5040 section 4.8).
const (
	terminateControlSize = 4 // layer, type, code, header control, reserved
	segmentLengthSize    = 2

	terminateLength = 0x80 // M: DDP segment length valid
	terminateDDP    = 0x40 // D: DDP header included
	terminateRDMAP  = 0x20 // R: RDMAP header included
	terminateFlags  = terminateLength | terminateDDP | terminateRDMAP

	// Linux siw lays the control field out with the bit fields of a little-endian host.
	swappedLength = 0x01
	swappedDDP    = 0x02
	swappedRDMAP  = 0x04
	swappedFlags  = swappedLength | swappedDDP | swappedRDMAP
)

// An AtomicOp is what an Atomic Request does (RFC 7306 section 10.1).
type AtomicOp uint8

// The atomic operations.
const (
	AtomicFetchAdd AtomicOp = 0 // RFC 7306 section 5.1.1
	AtomicCmpSwap  AtomicOp = 2 // RFC 7306 section 5.1.2

	atomicOpMask = 0x0f
)

// A Cause is why a stream was terminated: layer (4 bits), error type (4 bits) and error code (8 bits), as in the first
// 16 bits of the Terminate control field (RFC 5040 section 4.8).
type Cause uint16

// Layer 0, RDMAP (RFC 5040 section 4.8, figure 9).
const (
	CauseLocalCatastrophic Cause = 0x0000 // any code

	// Type 1, remote protection error.
	CauseInvalidSTag        Cause = 0x0100
	CauseBounds             Cause = 0x0101
	CauseAccess             Cause = 0x0102
	CauseForeignSTag        Cause = 0x0103 // STag not associated with the stream
	CauseTOWrap             Cause = 0x0104
	CauseCannotInvalidate   Cause = 0x0109
	CauseProtectionUnstated Cause = 0x01ff

	// Type 2, remote operation error.
	CauseRDMAPVersion              Cause = 0x0205
	CauseOpcode                    Cause = 0x0206
	CauseCatastrophicStream        Cause = 0x0207
	CauseCatastrophicGlobal        Cause = 0x0208
	CauseOperationCannotInvalidate Cause = 0x0209 // STag cannot be invalidated, as an operation error
	CauseOperationUnstated         Cause = 0x02ff
)

// Layer 1, DDP (RFC 5041 section 7.2).
const (
	CauseDDPCatastrophic Cause = 0x1000

	// Type 1, tagged buffer error.
	CauseTaggedInvalidSTag Cause = 0x1100
	CauseTaggedBounds      Cause = 0x1101
	CauseTaggedForeignSTag Cause = 0x1102
	CauseTaggedTOWrap      Cause = 0x1103
	CauseTaggedVersion     Cause = 0x1104

	// Type 2, untagged buffer error.
	CauseQueue           Cause = 0x1201
	CauseNoBuffer        Cause = 0x1202
	CauseMSNRange        Cause = 0x1203
	CauseMO              Cause = 0x1204
	CauseTooLong         Cause = 0x1205
	CauseUntaggedVersion Cause = 0x1206
)

// Layer 2, MPA (RFC 5044 section 8, RFC 6581 section 8).
const (
	CauseConnectionLost  Cause = 0x2001 // never on the wire
	CauseCRC             Cause = 0x2002
	CauseMarker          Cause = 0x2003 // markers are never in use here
	CauseSetupFrame      Cause = 0x2004 // never on the wire
	CauseMPACatastrophic Cause = 0x2005
	CauseIRD             Cause = 0x2006 // insufficient IRD resources
	CauseRTR             Cause = 0x2007 // no matching RTR option
)

const (
	layerRDMAP = 0
	layerDDP   = 1
	layerMPA   = 2
)
