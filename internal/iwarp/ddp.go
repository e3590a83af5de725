package iwarp

import (
	"encoding/binary"
	"fmt"
)

// A Segment is the DDP header of a segment (RFC 5041 section 4) with its RDMAP control field (RFC 5040 section 4.1).
type Segment struct {
	Opcode Opcode
	Tagged bool // the fields STag and TO hold; otherwise Invalidate, Queue, MSN and MO
	Last   bool // no more of this message follows

	STag uint32 // the buffer the payload is for
	TO   uint64 // where in the buffer; without meaning if there is no payload

	Invalidate uint32 // the STag to invalidate, in a Send with Invalidate
	Queue      uint32 // of untagged buffers
	MSN        uint32 // message sequence number in the queue, from 1 on
	MO         uint32 // where in the message the payload begins
}

func (s *Segment) String() string {
	if s.Tagged {
		return fmt.Sprintf("%v to STag 0x%08x, offset 0x%x", s.Opcode, s.STag, s.TO)
	}
	return fmt.Sprintf("%v in queue %d, message %d, offset %d", s.Opcode, s.Queue, s.MSN, s.MO)
}

// headerSize is the size in octets of the DDP header whose control octet is given.
func headerSize(control byte) int {
	if control&ddpTagged != 0 {
		return taggedSize
	}
	return untaggedSize
}

// put writes the header to b, which is taggedSize or untaggedSize octets long.
func (s *Segment) put(b []byte) {
	b[0] = ddpVersion | bit(s.Tagged, ddpTagged) | bit(s.Last, ddpLast)
	b[1] = rdmapVersion<<rdmapVersionShift | byte(s.Opcode)
	if s.Tagged {
		binary.BigEndian.PutUint32(b[2:], s.STag)
		binary.BigEndian.PutUint64(b[6:], s.TO)
		return
	}
	binary.BigEndian.PutUint32(b[2:], s.Invalidate)
	binary.BigEndian.PutUint32(b[6:], s.Queue)
	binary.BigEndian.PutUint32(b[10:], s.MSN)
	binary.BigEndian.PutUint32(b[14:], s.MO)
}

// parse reads the header from b, which has headerSize octets or more. Reserved bits are not looked at.
func (s *Segment) parse(b []byte) {
	*s = Segment{Opcode: Opcode(b[1] & rdmapOpcodeMask), Tagged: b[0]&ddpTagged != 0, Last: b[0]&ddpLast != 0}
	if s.Tagged {
		s.STag = binary.BigEndian.Uint32(b[2:])
		s.TO = binary.BigEndian.Uint64(b[6:])
		return
	}
	s.Invalidate = binary.BigEndian.Uint32(b[2:])
	s.Queue = binary.BigEndian.Uint32(b[6:])
	s.MSN = binary.BigEndian.Uint32(b[10:])
	s.MO = binary.BigEndian.Uint32(b[14:])
}

// checkVersions is what has to be looked at before anything else of a header: the versions, and that the queue is one
// of ours (RFC 5041 section 7.1, RFC 5040 section 7.2). It returns 0 if all is well.
func (s *Segment) checkVersions(b []byte) Cause {
	switch {
	case b[0]&ddpMask != ddpVersion && s.Tagged:
		return CauseTaggedVersion
	case b[0]&ddpMask != ddpVersion:
		return CauseUntaggedVersion
	case !s.Tagged && s.Queue >= queues:
		return CauseQueue
	case b[1]>>rdmapVersionShift != rdmapVersion:
		return CauseRDMAPVersion
	}
	return 0
}
