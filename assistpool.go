package unio

import "github.com/unio-stack/unio/internal/memory"

// assistPool recycles a channel's assists and bounds its bounce buffers. The
// buffers are Blocks, so that devices register them like any Buffer.
type assistPool struct {
	spare   []*assist
	bounces []*memory.Block // not in use
	made    int             // bounces in existence
	limit   int
	waiting []*Op // in state opBouncing, in order
}

func (p *assistPool) get() *assist {
	if n := len(p.spare); n > 0 {
		a := p.spare[n-1]
		p.spare = p.spare[:n-1]
		return a
	}
	return new(assist)
}

func (p *assistPool) put(a *assist) {
	clear(a.vec)
	*a = assist{vec: a.vec[:0]}
	p.spare = append(p.spare, a)
}

// takeBounce returns a bounce buffer, or nil after queueing op for one.
func (p *assistPool) takeBounce(op *Op, size int) (*memory.Block, error) {
	if n := len(p.bounces); n > 0 {
		b := p.bounces[n-1]
		p.bounces = p.bounces[:n-1]
		return b, nil
	}
	var err error
	if p.made < p.limit {
		var b *memory.Block
		if b, err = memory.Alloc(size); err == nil {
			p.made++
			return b, nil
		}
	}
	if p.made == 0 {
		return nil, err
	}
	p.waiting = append(p.waiting, op) // one in use will come back
	return nil, nil
}

// putBounce takes a buffer back. If an op was waiting for one, that op now has
// it and is returned.
func (p *assistPool) putBounce(b *memory.Block) *Op {
	if len(p.waiting) == 0 {
		p.bounces = append(p.bounces, b)
		return nil
	}
	op := p.waiting[0]
	p.waiting = remove(p.waiting, op)
	op.assist.bounce = b
	return op
}

// withdraw takes op out of the queue for buffers.
func (p *assistPool) withdraw(op *Op) { p.waiting = remove(p.waiting, op) }

// close frees the buffers. Nothing is in flight.
func (p *assistPool) close() {
	for _, b := range p.bounces {
		_ = b.Free()
	}
	p.bounces, p.made = nil, 0
}
