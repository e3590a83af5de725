package unio

import (
	"encoding/binary"
	"fmt"

	"github.com/unio-stack/unio/internal/memory"
)

// An assist carries out one request that the provider cannot do in one step:
// ragged or misaligned transfers, long ones, short ones, provided atomics and
// zeroes, and durability by a flush. The op's Request is then the current
// step; user is what was posted.
type assist struct {
	user   Request
	length int64
	pos    int64 // bytes of the request that are done
	phase  phase
	bounce *memory.Block // nil until a step needs it
	vec    [][]byte      // the Vec of the current step, if it has one
	stalls int           // steps in a row that moved nothing
	flush  bool          // durable by a flush at the end, not by each step
}

// phase is what the current step is for.
type phase uint8

const (
	phaseNext   phase = iota // between steps
	phaseDirect              // between the medium and the caller's memory, or without memory
	phaseFill                // medium to bounce, for a read
	phaseLoad                // medium to bounce, to be modified and stored
	phaseStore               // bounce to medium
	phaseFlush
)

const (
	// maxBounceSize bytes are copied at most in one step; see Device.bounce.
	maxBounceSize = 64 << 10
	// maxBounces bounds the bounce buffers of a channel, to 1 MiB.
	maxBounces = 16
	maxStalls  = 8
)

// assist takes over a request that start cannot submit as it is.
func (c *Channel) assist(op *Op) {
	c.takeOver(op)
	l := op.Region.store.locks
	if l == nil || !op.Op.mutates() || op.lock != unlocked {
		c.advance(op)
		return
	}
	op.state = opLocking
	granted := false
	if c.rewrites(op) {
		granted = l.exclude(op)
	} else {
		granted = l.share(op)
	}
	if !granted {
		c.locking++
		return
	}
	c.advance(op)
}

// rewrites reports whether op reads bytes in order to write them back.
func (c *Channel) rewrites(op *Op) bool {
	unit := int64(c.dev.info.BlockSize)
	return op.Op.isAtomic() || (op.Offset|op.length)&(unit-1) != 0
}

// resumeShort continues a direct operation that the medium did in part.
func (c *Channel) resumeShort(op *Op) {
	if op.n <= 0 || op.Op.isAtomic() || op.Op.isMessage() || op.Op.isWhole() {
		op.n, op.err = 0, errNoProgress
		c.end(op)
		return
	}
	c.takeOver(op)
	op.assist.pos = roundDown(op.n, int64(c.unit(op.Op)))
	c.advance(op)
}

// takeOver makes op an assisted request.
func (c *Channel) takeOver(op *Op) {
	a := c.assists.get()
	a.user, a.length = op.Request, op.length
	a.flush = op.Flags&Durable != 0 && op.Op.mutates() && !c.dev.durable.Has(op.Op)
	op.assist = a
	c.counts.assisted++
}

// stepFlags are the flags of a step.
func (a *assist) stepFlags() Flags {
	if a.flush {
		return a.user.Flags & Idempotent
	}
	return a.user.Flags & (Durable | Idempotent)
}

var errNoProgress = fmt.Errorf("%w: the medium moved no bytes", ErrMedia)

// unit is what the medium does at once for the operation.
func (c *Channel) unit(o Opcode) int {
	if o.hasRange() {
		return c.dev.info.ZeroUnit
	}
	return c.dev.info.BlockSize
}

// advance chooses and submits the next step, or ends the request.
func (c *Channel) advance(op *Op) {
	a := op.assist
	moved := a.pos >= a.length
	switch {
	case moved && (!a.flush || a.phase == phaseFlush):
		c.finish(op)
	case op.abort:
		op.err = ErrCanceled
		c.finish(op)
	case moved:
		c.issue(op, phaseFlush, Request{Op: OpFlush})
	default:
		c.transfer(op)
	}
}

// finish ends an assisted request: op.err is final.
func (c *Channel) finish(op *Op) {
	op.n = op.assist.pos
	if op.err != nil && op.n == op.assist.length {
		op.n = 0 // the transfer was whole, but not made durable
	}
	c.end(op)
}

// transfer submits the next step of an unfinished request.
func (c *Channel) transfer(op *Op) {
	a := op.assist
	r := &a.user
	at, left := r.Offset+a.pos, a.length-a.pos
	if n := c.directly(r, a.pos, left); n > 0 {
		c.issue(op, phaseDirect, a.directStep(n))
		return
	}
	if a.bounce == nil && !c.takeBounce(op) {
		return
	}
	lo, hi := c.window(r, a.pos, left)
	step := Request{Op: OpRead, Offset: lo, Data: a.bounce.Bytes()[:hi-lo]}
	switch {
	case r.Op == OpRead:
		c.issue(op, phaseFill, step)
	case r.Op.isAtomic(), lo < at, hi > at+left:
		c.issue(op, phaseLoad, step)
	default:
		c.store(op, lo, hi)
	}
}

// directStep is the request for the next n bytes, without a copy.
func (a *assist) directStep(n int64) Request {
	r := &a.user
	step := Request{Op: r.Op, Flags: a.stepFlags(), Offset: r.Offset + a.pos}
	switch {
	case !r.Op.hasData():
		step.Length = n
	case r.Vec == nil:
		step.Data = r.Data[a.pos : a.pos+n]
	default:
		a.vec = cutVec(a.vec[:0], r.Vec, a.pos, n)
		step.Vec = a.vec
	}
	return step
}

// directly returns how many bytes at pos the medium can move without a copy.
func (c *Channel) directly(r *Request, pos, left int64) int64 {
	d, unit := c.dev, int64(c.unit(r.Op))
	if !d.info.Native.Has(r.Op) || r.Op.isAtomic() || (r.Offset+pos)&(unit-1) != 0 {
		return 0
	}
	if r.Op.hasData() {
		left = min(left, d.alignedRun(r, pos))
	}
	return min(roundDown(left, unit), max(roundDown(d.info.MaxTransfer, unit), unit))
}

// window returns the whole blocks, at most a bounce buffer of them, that the
// next copied step covers. It stops where the rest can go without a copy.
func (c *Channel) window(r *Request, pos, left int64) (lo, hi int64) {
	block := int64(c.dev.info.BlockSize)
	at := r.Offset + pos
	lo = roundDown(at, block)
	hi = lo + min(roundUp(at+left, block)-lo, c.dev.bounce)
	unit := max(block, int64(c.unit(r.Op)))
	next := unit - at&(unit-1) // bytes to the next boundary
	if r.Op.isAtomic() || next >= left {
		return lo, hi
	}
	if c.directly(r, pos+next, left-next) > 0 {
		hi = min(hi, at+next)
	}
	return lo, hi
}

// store writes the request's bytes over the bounce buffer's [lo, hi) and the
// result to the medium.
func (c *Channel) store(op *Op, lo, hi int64) {
	a := op.assist
	r := &a.user
	buf := a.bounce.Bytes()[:hi-lo]
	at := r.Offset + a.pos
	n := min(hi-at, a.length-a.pos)
	own := buf[at-lo : at-lo+n]
	switch {
	case r.Op.isAtomic():
		if !c.modify(op, own) {
			a.pos = a.length
			c.advance(op)
			return
		}
	case r.Op == OpWrite:
		gather(own, r, a.pos)
		c.counts.bounced += n
	default:
		clear(own)
	}
	c.issue(op, phaseStore, Request{Op: OpWrite, Flags: a.stepFlags(), Offset: lo, Data: buf})
}

// modify applies an atomic to its word and reports whether it changed.
func (c *Channel) modify(op *Op, word []byte) bool {
	r := &op.assist.user
	old := binary.LittleEndian.Uint64(word)
	op.value = old
	if r.Op == OpFetchAdd {
		binary.LittleEndian.PutUint64(word, old+r.Swap)
		return r.Swap != 0
	}
	binary.LittleEndian.PutUint64(word, r.Swap)
	return old == r.Compare && r.Swap != old
}

// issue submits one step.
func (c *Channel) issue(op *Op, p phase, step Request) {
	a := op.assist
	a.phase = p
	step.ID, step.Region = a.user.ID, a.user.Region
	op.Request = step
	op.length = step.size()
	c.submit(op)
}

// step takes back a step and goes on.
func (c *Channel) step(op *Op) {
	a := op.assist
	if op.err != nil {
		c.finish(op)
		return
	}
	if a.phase == phaseFlush {
		c.advance(op)
		return
	}
	done := c.covered(op)
	if done <= 0 {
		c.stall(op)
		return
	}
	a.stalls = 0
	switch a.phase {
	case phaseLoad:
		if op.abort {
			c.advance(op)
		} else {
			c.store(op, op.Offset, op.Offset+roundDown(op.n, int64(c.dev.info.BlockSize)))
		}
		return
	case phaseFill:
		at := a.user.Offset + a.pos - op.Offset
		scatter(&a.user, a.pos, op.Data[at:at+done])
		c.counts.bounced += done
	}
	a.pos += done
	c.advance(op)
}

// covered returns how many bytes of the request a step has dealt with. What is
// short ends at a whole block, and of a word there is no part.
func (c *Channel) covered(op *Op) int64 {
	a := op.assist
	end := op.Offset + op.n
	if op.n < op.length {
		if a.user.Op.isAtomic() {
			return 0
		}
		end = roundDown(end, int64(c.unit(op.Op)))
	}
	return min(end-(a.user.Offset+a.pos), a.length-a.pos)
}

// stall tries a step again that moved too little, a few times.
func (c *Channel) stall(op *Op) {
	a := op.assist
	if a.stalls++; op.n <= 0 || a.stalls > maxStalls {
		op.err = errNoProgress
		c.finish(op)
		return
	}
	if a.phase == phaseStore && a.user.Op.isAtomic() {
		c.submit(op) // the word may have changed; do not load and modify it twice
		return
	}
	c.advance(op)
}

// dropAssist gives the op its posted request back.
func (c *Channel) dropAssist(op *Op) {
	a := op.assist
	op.assist = nil
	op.Request, op.length = a.user, a.length
	b := a.bounce
	c.assists.put(a)
	if b == nil {
		return
	}
	if next := c.assists.putBounce(b); next != nil {
		c.advance(next)
	}
}

// takeBounce gets the op a bounce buffer; if it returns false the op waits for
// one, or has failed.
func (c *Channel) takeBounce(op *Op) bool {
	b, err := c.assists.takeBounce(op, int(c.dev.bounce))
	switch {
	case err != nil:
		op.err = fmt.Errorf("%w: bounce buffer: %w", ErrBusy, err)
		c.finish(op)
	case b == nil:
		op.state = opBouncing
	default:
		op.assist.bounce = b
	}
	return b != nil
}
