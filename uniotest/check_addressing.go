package uniotest

import (
	"errors"

	"github.com/unio-stack/unio"
)

// A span is a range of a region.
type span struct{ off, end int64 }

func (s span) overlaps(o span) bool { return s.off < o.end && o.off < s.end }

// maxLength is the longest random request.
const maxLength = 300 << 10

// length returns a random length of 1 to maxLength bytes: most are short, many
// are around a multiple of the block size.
func (r *rig) length() int64 {
	block := int64(r.info.BlockSize)
	var n int64
	switch r.rng.IntN(8) {
	case 0, 1:
		n = 1 + r.rng.Int64N(16)
	case 2, 3:
		n = 1 + r.rng.Int64N(4*block)
	case 4:
		n = block*(1+r.rng.Int64N(4)) + r.rng.Int64N(3) - 1
	case 5:
		n = block * (1 + r.rng.Int64N(8))
	case 6:
		n = 1 + r.rng.Int64N(16<<10)
	case 7:
		n = 1 + r.rng.Int64N(maxLength)
	}
	return min(max(n, 1), maxLength)
}

// place returns a random range of the first limit bytes for the operation.
func (r *rig) place(op unio.Opcode, limit int64) span {
	n := r.length()
	if op == unio.OpCompareSwap || op == unio.OpFetchAdd {
		off := r.rng.Int64N(limit/8) * 8
		return span{off, off + 8}
	}
	n = min(n, limit)
	off := r.rng.Int64N(limit - n + 1)
	if r.rng.IntN(3) == 0 {
		off &^= int64(r.info.BlockSize) - 1
	}
	return span{off, off + n}
}

// mixture is what random requests do, with the more interesting repeated.
var mixture = []unio.Opcode{
	unio.OpRead, unio.OpRead, unio.OpRead, unio.OpWrite, unio.OpWrite, unio.OpWrite, unio.OpWrite,
	unio.OpDiscard, unio.OpWriteZeroes, unio.OpCompareSwap, unio.OpFetchAdd,
}

// someOp returns a random operation that the device offers.
func (r *rig) someOp() unio.Opcode {
	for {
		if o := mixture[r.rng.IntN(len(mixture))]; r.ops.Has(o) && (o == unio.OpRead || !r.info.ReadOnly) {
			return o
		}
	}
}

// checkAddressing: any offset, any length, any memory, against a byte array.
func checkAddressing(r *rig) {
	r.needs(unio.OpRead, unio.OpWrite)
	ch := r.channel(unio.ChannelConfig{Depth: r.depth(32)})
	m := make(model, Size)
	for range r.rounds(60) {
		r.areas.reset()
		calls := r.disjoint(m, 1+r.rng.IntN(40))
		reqs := make([]unio.Request, len(calls))
		for i, c := range calls {
			reqs[i] = c.req
			if r.rng.IntN(64) == 0 && c.req.Op != unio.OpRead && r.durable(c.req.Op) {
				reqs[i].Flags = unio.Durable
			}
		}
		for i, done := range r.run(ch, reqs...) {
			r.check(calls[i].verify(done))
		}
	}
	r.compare(ch, m, 0)
}

// disjoint returns up to n calls that do not depend on each other's order.
func (r *rig) disjoint(m model, n int) []*call {
	var calls []*call
	var taken []span
next:
	for range n {
		op := r.someOp()
		s := r.place(op, int64(len(m)))
		for _, t := range taken {
			if s.overlaps(t) {
				continue next
			}
		}
		taken = append(taken, s)
		calls = append(calls, r.newCall(m, r.reg, op, s.off, s.end-s.off))
	}
	return calls
}

// checkEdges: the first and the last bytes of the region.
func checkEdges(r *rig) {
	r.needs(unio.OpRead, unio.OpWrite)
	ch := r.channel(unio.ChannelConfig{Depth: r.depth(8)})
	const tail = 64 << 10
	base := r.reg.Size() - tail
	m := model(r.read(ch, base, tail))
	for _, n := range []int64{1, 7, 8, 511, 512, 513, 4095, 4096, 4097, tail} {
		for _, op := range []unio.Opcode{unio.OpWrite, unio.OpRead, unio.OpWriteZeroes, unio.OpDiscard, unio.OpFetchAdd, unio.OpCompareSwap} {
			if !r.ops.Has(op) {
				continue
			}
			if n < 8 && op >= unio.OpCompareSwap {
				continue
			}
			off := tail - n
			if op >= unio.OpCompareSwap {
				off &^= 7
			}
			c := r.newCall(m, r.reg, op, off, n)
			c.req.Offset += base
			r.check(c.verify(r.run(ch, c.req)[0]))
		}
	}
	r.compare(ch, m, base)
}

// checkNoCopy: a NoCopy channel refuses what would be copied, and copies nothing.
func checkNoCopy(r *rig) {
	r.needs(unio.OpRead, unio.OpWrite)
	ch := r.channel(unio.ChannelConfig{NoCopy: true})
	b, err := unio.NewBuffer(64 << 10)
	if err != nil {
		r.Fatal(err)
	}
	r.Cleanup(func() { _ = b.Free() })
	buf := b.Bytes()
	copy(buf, payload(r.rng, len(buf)))
	whole := unio.Request{Op: unio.OpWrite, Region: r.reg, Offset: 64 << 10, Data: buf}
	r.must(ch, whole)
	r.must(ch, unio.Request{Op: unio.OpRead, Region: r.reg, Offset: 64 << 10, Data: buf})
	if n := ch.Stats().BouncedBytes; n != 0 {
		r.Errorf("%d bytes were copied on a NoCopy channel", n)
	}
	ragged := whole
	ragged.Offset++
	_, err = ch.Post(ragged)
	switch block := r.info.BlockSize; {
	case block > 1 && !errors.Is(err, unio.ErrUnsupported):
		r.Errorf("a ragged write on a NoCopy channel: %v, want ErrUnsupported", err)
	case block == 1 && err != nil:
		r.Errorf("a write that needs no copy is refused: %v", err)
	case block == 1:
		r.drain(ch)
	}
}

// checkBufferReuse: a Buffer that was freed and made again, perhaps at the same
// address, is another one to the device.
func checkBufferReuse(r *rig) {
	r.needs(unio.OpRead, unio.OpWrite)
	ch := r.channel(unio.ChannelConfig{})
	for range r.rounds(40) {
		b, err := unio.NewBuffer(4096 << r.rng.IntN(5))
		if err != nil {
			r.Fatal(err)
		}
		off := r.rng.Int64N(Size - int64(len(b.Bytes())))
		want := payload(r.rng, len(b.Bytes()))
		copy(b.Bytes(), want)
		r.must(ch, unio.Request{Op: unio.OpWrite, Region: r.reg, Offset: off, Data: b.Bytes()})
		clear(b.Bytes())
		r.must(ch, unio.Request{Op: unio.OpRead, Region: r.reg, Offset: off, Data: b.Bytes()})
		if at := differ(b.Bytes(), want); at >= 0 {
			r.Errorf("byte %d of the Buffer is %#x, want %#x", at, b.Bytes()[at], want[at])
		}
		if err := b.Free(); err != nil {
			r.Error(err)
		}
	}
}
