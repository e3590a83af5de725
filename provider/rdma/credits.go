package rdma

import (
	"encoding/binary"

	"github.com/unio-stack/unio/internal/iwarp"
)

// credits are how many Sends the peer has Recvs for. Numbers count messages from the beginning and wrap around.
type credits struct {
	unlimited   bool // the peer does not say
	limit, sent uint32
}

func (c *credits) available() bool { return c.unlimited || int32(c.limit-c.sent) > 0 }

func (c *credits) spend() { c.sent++ }

// A controlPage is memory by which one end tells the other about itself: an RDMA Write to an STag that the private data
// named. Its registers are big-endian; docs/protocol.md lists them.
type controlPage struct {
	ours, theirs uint32 // STags; 0 for peers of other make
	content      [controlSize]byte
	update       [commandSize]byte // the small message that is under way; copied as it is cut
}

const (
	controlSize   = 64
	registerLimit = 0 // 4 octets: messages that may be sent, from the beginning
	limitSize     = 4
)

// within returns the n octets of the page from to on.
func (p *controlPage) within(to uint64, n int) ([]byte, iwarp.Refusal, bool) {
	if why, ok := iwarp.CheckRange(to, uint64(n), 0, controlSize); !ok {
		return nil, why, false
	}
	return p.content[to : to+uint64(n)], 0, true
}

// turned reads what the peer has written to our page, at to. Only a limit that is higher counts: one that is lower is none.
func (q *queuePair) turned(to uint64) {
	if to == registerStatus {
		q.toldStatus()
		return
	}
	c := &q.own.credits
	if limit := binary.BigEndian.Uint32(q.page.content[registerLimit:]); int32(limit-c.limit) > 0 {
		c.limit = limit
	}
}

// beginCredits tells the peer of Recvs, once it knows of less than half of those that it has not used; or of a quarter where the
// owner is likely to send something soon, with which it can be told.
func (q *queuePair) beginCredits() bool {
	in := &q.in
	known, unused := int32(in.told-in.arrived), int32(in.limit-in.arrived)
	if known == unused || q.page.theirs == 0 || 2*known > unused || in.quiet && 4*known > unused {
		return false
	}
	binary.BigEndian.PutUint32(q.page.update[:], in.limit)
	if q.sender().Write(q.page.theirs, registerLimit, iwarp.Payload{Data: q.page.update[:limitSize]}) != nil {
		return false
	}
	in.told = in.limit
	return true
}

// immediate is the value of an Immediate as it goes over the wire, and immediateValue the reverse.
func immediate(value uint64) (b [8]byte) {
	binary.BigEndian.PutUint64(b[:], value)
	return b
}

func immediateValue(b [8]byte) uint64 { return binary.BigEndian.Uint64(b[:]) }
