package iwarp

import "fmt"

var opcodeNames = [...]string{
	OpWrite: "Write", OpReadRequest: "Read Request", OpReadResponse: "Read Response", OpSend: "Send",
	OpSendInvalidate: "Send with Invalidate", OpSendSolicited: "Send with Solicited Event",
	OpSendSolicitedInvalidate: "Send with Solicited Event and Invalidate", OpTerminate: "Terminate",
	OpImmediate: "Immediate Data", OpImmediateSolicited: "Immediate Data with Solicited Event",
	OpAtomicRequest: "Atomic Request", OpAtomicResponse: "Atomic Response",
}

func (o Opcode) String() string {
	if int(o) < len(opcodeNames) {
		return opcodeNames[o]
	}
	return fmt.Sprintf("opcode 0x%x", uint8(o))
}

func (a AtomicOp) String() string {
	switch a {
	case AtomicFetchAdd:
		return "FetchAdd"
	case AtomicCmpSwap:
		return "CmpSwap"
	}
	return fmt.Sprintf("atomic operation 0x%x", uint8(a))
}

var causeNames = map[Cause]string{
	CauseInvalidSTag:        "invalid STag",
	CauseBounds:             "base or bounds violation",
	CauseAccess:             "access rights violation",
	CauseForeignSTag:        "STag not associated with the stream",
	CauseTOWrap:             "tagged offset wraps",
	CauseCannotInvalidate:   "STag cannot be invalidated",
	CauseProtectionUnstated: "unspecified error",

	CauseRDMAPVersion:              "invalid RDMAP version",
	CauseOpcode:                    "unexpected opcode",
	CauseCatastrophicStream:        "catastrophic error of the stream",
	CauseCatastrophicGlobal:        "catastrophic error of the adapter",
	CauseOperationCannotInvalidate: "STag cannot be invalidated",
	CauseOperationUnstated:         "unspecified error",

	CauseTaggedInvalidSTag: "invalid STag",
	CauseTaggedBounds:      "base or bounds violation",
	CauseTaggedForeignSTag: "STag not associated with the stream",
	CauseTaggedTOWrap:      "tagged offset wraps",
	CauseTaggedVersion:     "invalid DDP version",
	CauseQueue:             "invalid queue number",
	CauseNoBuffer:          "no buffer for the message",
	CauseMSNRange:          "message sequence number out of range",
	CauseMO:                "invalid message offset",
	CauseTooLong:           "message too long for its buffer",
	CauseUntaggedVersion:   "invalid DDP version",

	CauseConnectionLost:  "connection lost",
	CauseCRC:             "CRC mismatch",
	CauseMarker:          "marker and length disagree",
	CauseSetupFrame:      "invalid Request or Reply frame",
	CauseMPACatastrophic: "local catastrophic error",
	CauseIRD:             "insufficient IRD resources",
	CauseRTR:             "no matching RTR option",
}

var classNames = map[Cause]string{
	0x00: "RDMAP, local catastrophic error", 0x01: "RDMAP, remote protection error", 0x02: "RDMAP, remote operation error",
	0x10: "DDP, local catastrophic error", 0x11: "DDP, tagged buffer error", 0x12: "DDP, untagged buffer error",
	0x20: "MPA error",
}

// known reports whether an RFC defines the cause.
func (c Cause) known() bool {
	if c>>8 == CauseLocalCatastrophic>>8 || c>>8 == CauseDDPCatastrophic>>8 {
		return true
	}
	return causeNames[c] != ""
}

func (c Cause) String() string {
	class := classNames[c>>8]
	if class == "" {
		class = "unknown layer or type"
	}
	numbers := fmt.Sprintf("%d/%d/0x%02x", c>>12, c>>8&0xf, uint8(c))
	if name := causeNames[c]; name != "" {
		return fmt.Sprintf("%s (%s, %s)", name, class, numbers)
	}
	return fmt.Sprintf("%s (%s)", class, numbers)
}
