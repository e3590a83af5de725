package iwarp

// A Refusal is why the owner of the buffers cannot do what the peer asks for. The stream ends with it.
type Refusal uint8

// The refusals.
const (
	// RefuseSTag: there is no such STag, or it has been invalidated.
	RefuseSTag Refusal = iota
	// RefuseForeignSTag: the STag exists, but not for this stream.
	RefuseForeignSTag
	// RefuseBounds: the range is not within the buffer.
	RefuseBounds
	// RefuseWrap: offset and length exceed 64 bits.
	RefuseWrap
	// RefuseAccess: the buffer's rights do not permit it.
	RefuseAccess
	// RefuseNoBuffer: no receive has been posted for the Send.
	RefuseNoBuffer
	// RefuseTooLong: the Send is larger than the receive posted for it.
	RefuseTooLong
	// RefuseInvalidate: the STag named in a Send with Invalidate cannot be invalidated.
	RefuseInvalidate
	// RefuseAlignment: the word of an Atomic is not at a multiple of 8.
	RefuseAlignment
	// RefuseFailure: something else is wrong here, which only this stream suffers from.
	RefuseFailure
)

// CheckRange says whether n octets from the tagged offset to lie within the size octets that begin at base, and if not,
// with what to refuse them (RFC 5041 section 7.1, RFC 5040 section 7.2). It must not be asked if n is 0: then the buffer is not looked at.
func CheckRange(to, n, base, size uint64) (Refusal, bool) {
	switch {
	case to+n < to:
		return RefuseWrap, false
	case to < base || to-base > size || n > size-(to-base):
		return RefuseBounds, false
	}
	return 0, true
}

// taggedCauses are for Writes and Read Responses, which DDP refuses. It has no word for rights: a buffer that may not be
// written is no buffer for a Write (RFC 5041 section 7.1).
var taggedCauses = [...]Cause{
	RefuseSTag: CauseTaggedInvalidSTag, RefuseForeignSTag: CauseTaggedForeignSTag, RefuseBounds: CauseTaggedBounds,
	RefuseWrap: CauseTaggedTOWrap, RefuseAccess: CauseTaggedInvalidSTag,
}

// untaggedCauses are for what RDMAP refuses, or DDP for a Send.
var untaggedCauses = [...]Cause{
	RefuseSTag: CauseInvalidSTag, RefuseForeignSTag: CauseForeignSTag, RefuseBounds: CauseBounds, RefuseWrap: CauseTOWrap,
	RefuseAccess: CauseAccess, RefuseNoBuffer: CauseNoBuffer, RefuseTooLong: CauseTooLong,
	RefuseInvalidate: CauseCannotInvalidate,
}

// cause is what the refusal of a message of the given kind is called on the wire.
func (f Refusal) cause(op Opcode) Cause {
	causes := untaggedCauses[:]
	if op == OpWrite || op == OpReadResponse {
		causes = taggedCauses[:]
	}
	if int(f) < len(causes) && causes[f] != 0 {
		return causes[f]
	}
	return CauseCatastrophicStream
}
