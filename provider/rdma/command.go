package rdma

import (
	"encoding/binary"

	"github.com/unio-stack/unio"
	"github.com/unio-stack/unio/internal/iwarp"
)

// A command is what RDMAP has no message for: a Send to a target, which is answered with a reply, another Send. Commands may
// be answered in any order. docs/protocol.md has the pictures.
type command struct {
	op     uint8
	tag    uint16 // comes back in the reply
	stag   uint32
	to     uint64 // tagged offset
	length uint64
}

const (
	commandSize = 24
	replySize   = 16
	// maxCommands of a connection are under way at a time.
	maxCommands = 128

	commandFlush   = 1
	commandDiscard = 2
	commandZeroes  = 3
)

func commandOf(op unio.Opcode) uint8 {
	switch op {
	case unio.OpFlush:
		return commandFlush
	case unio.OpDiscard:
		return commandDiscard
	}
	return commandZeroes
}

func (c *command) put(b []byte) {
	b[0], b[1] = c.op, 0
	binary.BigEndian.PutUint16(b[2:], c.tag)
	binary.BigEndian.PutUint32(b[4:], c.stag)
	binary.BigEndian.PutUint64(b[8:], c.to)
	binary.BigEndian.PutUint64(b[16:], c.length)
}

func (c *command) parse(b []byte) {
	c.op, c.tag = b[0], binary.BigEndian.Uint16(b[2:])
	c.stag, c.to, c.length = binary.BigEndian.Uint32(b[4:]), binary.BigEndian.Uint64(b[8:]), binary.BigEndian.Uint64(b[16:])
}

// A reply says how a command has ended.
type reply struct {
	tag  uint16
	code uint32
	bad  int64
}

func (r *reply) put(b []byte) {
	binary.BigEndian.PutUint16(b, r.tag)
	binary.BigEndian.PutUint16(b[2:], 0)
	binary.BigEndian.PutUint32(b[4:], r.code)
	binary.BigEndian.PutUint64(b[8:], uint64(r.bad))
}

func (r *reply) parse(b []byte) {
	r.tag, r.code, r.bad = binary.BigEndian.Uint16(b), binary.BigEndian.Uint32(b[4:]), int64(binary.BigEndian.Uint64(b[8:]))
}

// toCapsule is where the octets of a command or reply go.
func (q *queuePair) toCapsule(at, n int) ([]byte, iwarp.Refusal, bool) {
	if at+n > len(q.capsule) {
		return nil, iwarp.RefuseTooLong, false
	}
	return q.capsule[at : at+n], 0, true
}

// commanded carries out a command of the peer's.
func (q *queuePair) commanded(n int) {
	if q.in.arrived == q.in.told { // what waits to be told does not count: the peer may never listen
		q.refuse(iwarp.RefuseNoBuffer)
		return
	}
	q.in.arrived++
	var c command
	var err error
	if n != commandSize {
		err = unio.ErrInvalid
	} else if c.parse(q.capsule[:]); c.op < commandFlush || c.op > commandZeroes {
		err = unio.ErrUnsupported
	} else {
		err = q.order(&c)
	}
	if err != nil {
		q.served.replies.push(reply{tag: c.tag, code: codeOf(err), bad: -1})
		q.in.limit++
	}
}

// order has the Store carry out a command that is one.
func (q *queuePair) order(c *command) error {
	op, need, n := unio.OpFlush, unio.Rights(0), c.length
	switch c.op {
	case commandDiscard:
		op, need = unio.OpDiscard, unio.Write
	case commandZeroes:
		op, need = unio.OpWriteZeroes, unio.Write
	case commandFlush:
		n = 0
	}
	if !q.served.service.Info.Ops.Has(op) {
		return unio.ErrUnsupported
	}
	offset, why, ok := q.exposed(c.stag).locate(c.to, n, need, q)
	if !ok {
		return refusalError(why)
	}
	q.newIO(op, offset, int64(n)).tag = c.tag
	return nil
}

// refusalError is what a peer of ours is told where another's connection would end.
func refusalError(why iwarp.Refusal) error {
	switch why {
	case iwarp.RefuseBounds, iwarp.RefuseWrap:
		return unio.ErrOutOfRange
	case iwarp.RefuseAccess, iwarp.RefuseForeignSTag:
		return unio.ErrAccess
	case iwarp.RefuseAlignment:
		return unio.ErrMisaligned
	}
	return unio.ErrRevoked
}

// beginReply answers a command.
func (q *queuePair) beginReply() bool {
	s := q.served
	if s == nil || s.replies.len() == 0 {
		return false
	}
	s.replies.front().put(q.page.update[:])
	if q.sender().Send(iwarp.SendOptions{}, iwarp.Payload{Data: q.page.update[:replySize]}) != nil {
		return false
	}
	s.replies.pop()
	return true
}

// beginCommand sends op, which RDMAP has no message for.
func (q *queuePair) beginCommand(op *unio.Op) error {
	k := q.keyOf(op)
	tag := q.own.freeTag()
	c := command{op: commandOf(op.Op), tag: uint16(tag), stag: k.STag, to: k.Base + uint64(op.Offset), length: uint64(op.Size())}
	c.put(q.page.update[:])
	err := q.sender().Send(iwarp.SendOptions{}, iwarp.Payload{Data: q.page.update[:commandSize]})
	if err != nil {
		return err
	}
	q.own.credits.spend()
	q.own.commands[tag] = sent{op: op, busy: true, number: q.own.credits.sent}
	return nil
}

// sent is a command that is with the target.
type sent struct {
	op     *unio.Op // nil if it was cancelled
	busy   bool     // the reply has not come
	number uint32   // of the message
}

// freeTag returns a tag that no command under way has. The target's limit bounds how many there are.
func (o *requests) freeTag() int {
	for tag := range o.commands {
		if !o.commands[tag].busy {
			return tag
		}
	}
	o.commands = append(o.commands, sent{})
	return len(o.commands) - 1
}

// replied ends a command.
func (q *queuePair) replied(n int) {
	var r reply
	if n == replySize {
		r.parse(q.capsule[:])
	}
	if n != replySize || int(r.tag) >= len(q.own.commands) || !q.own.commands[r.tag].busy {
		q.reject(iwarp.CauseOperationUnstated)
		return
	}
	op := q.own.commands[r.tag].op
	q.own.commands[r.tag] = sent{}
	if op == nil {
		return
	}
	if err := q.remoteError(r.code, r.bad); err != nil {
		q.end(op, 0, err)
		return
	}
	q.end(op, op.Size(), nil)
}
