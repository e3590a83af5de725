package uniotest

import (
	"context"
	"errors"
	"math"

	"github.com/unio-stack/unio"
)

// checkBadInput: what contradicts itself is refused with a precise error.
func checkBadInput(r *rig) {
	p := make([]byte, 64)
	tooMany := make([][]byte, unio.MaxVec+1)
	for i := range tooMany {
		tooMany[i] = p[:1]
	}
	read := func(f func(*unio.Request)) unio.Request {
		q := unio.Request{Op: unio.OpRead, Region: r.reg}
		f(&q)
		return q
	}
	table := []refusal{
		{"the zero request", unio.Request{}, unio.ErrInvalid},
		{"unknown operation", read(func(q *unio.Request) { q.Op, q.Data = 200, p }), unio.ErrInvalid},
		{"no region", unio.Request{Op: unio.OpRead, Data: p}, unio.ErrInvalid},
		{"unknown flag", read(func(q *unio.Request) { q.Flags, q.Data = 0x80, p }), unio.ErrInvalid},
		{"no memory", read(func(*unio.Request) {}), unio.ErrInvalid},
		{"empty memory", read(func(q *unio.Request) { q.Data = p[:0] }), unio.ErrInvalid},
		{"empty vector", read(func(q *unio.Request) { q.Vec = [][]byte{} }), unio.ErrInvalid},
		{"empty piece", read(func(q *unio.Request) { q.Vec = [][]byte{p, {}, p} }), unio.ErrInvalid},
		{"nil piece", read(func(q *unio.Request) { q.Vec = [][]byte{nil} }), unio.ErrInvalid},
		{"too many pieces", read(func(q *unio.Request) { q.Vec = tooMany }), unio.ErrInvalid},
		{"data and vector", read(func(q *unio.Request) { q.Data, q.Vec = p, [][]byte{p} }), unio.ErrInvalid},
	}
	for _, op := range []unio.Opcode{unio.OpDiscard, unio.OpWriteZeroes} {
		for _, n := range []int64{0, -1, math.MinInt64} {
			table = r.ifOffered(table, refusal{op.String() + " of no length", unio.Request{Op: op, Region: r.reg, Length: n}, unio.ErrInvalid})
		}
	}
	for _, op := range []unio.Opcode{unio.OpCompareSwap, unio.OpFetchAdd} {
		table = r.ifOffered(table, refusal{op.String() + " misaligned", unio.Request{Op: op, Region: r.reg, Offset: 12}, unio.ErrMisaligned})
		table = r.ifOffered(table, refusal{op.String() + " across the end", unio.Request{Op: op, Region: r.reg, Offset: r.reg.Size() - 4}, unio.ErrMisaligned})
		table = r.ifOffered(table, refusal{op.String() + " with seven bytes", unio.Request{Op: op, Region: r.reg, Data: p[:7]}, unio.ErrInvalid})
		table = r.ifOffered(table, refusal{op.String() + " with a vector", unio.Request{Op: op, Region: r.reg, Vec: [][]byte{p[:8]}}, unio.ErrInvalid})
	}
	r.refuse(table)
	r.badRanges()
	r.badCalls()
}

func (r *rig) ifOffered(table []refusal, f refusal) []refusal {
	if r.ops.Has(f.req.Op) && !r.info.ReadOnly {
		return append(table, f)
	}
	return table
}

// badCalls are arguments other than requests.
func (r *rig) badCalls() {
	ctx := context.Background()
	for _, rights := range []unio.Rights{0, 0x80, unio.ReadWrite | 0x40} {
		if _, err := r.dev.Attach(ctx, r.cfg.Region, rights); !errors.Is(err, unio.ErrInvalid) {
			r.Errorf("Attach with rights %#x: %v, want ErrInvalid", uint8(rights), err)
		}
	}
	if _, err := r.dev.Attach(ctx, r.cfg.Region, unio.ReadWrite); r.info.ReadOnly && !errors.Is(err, unio.ErrAccess) {
		r.Errorf("Attach of a read-only device for writing: %v, want ErrAccess", err)
	}
	ch := r.channel(unio.ChannelConfig{})
	if n, err := ch.Post(); n != 0 || err != nil {
		r.Errorf("Post of nothing: %d, %v; want 0, nil", n, err)
	}
	if n := ch.Poll(nil); n != 0 {
		r.Errorf("Poll into nothing: %d", n)
	}
	if _, err := unio.NewBuffer(0); err == nil {
		r.Error("a Buffer of 0 bytes can be made")
	}
	if _, err := unio.NewBuffer(-1); err == nil {
		r.Error("a Buffer of -1 bytes can be made")
	}
	r.deadContext(ch)
}

// deadContext: a context that has ended ends nothing else.
func (r *rig) deadContext(ch *unio.Channel) {
	ctx, stop := context.WithCancel(context.Background())
	stop()
	if n, err := ch.Wait(ctx, make([]unio.Completion, 1)); n != 0 || err != nil {
		r.Errorf("Wait with nothing in flight under a context that has ended: %d, %v; want 0, nil", n, err)
	}
	buf := make([]byte, 512)
	err := ch.Do(ctx, unio.Request{Op: unio.OpRead, Region: r.reg, Data: buf})
	if err != nil && !(errors.Is(err, unio.ErrCanceled) && errors.Is(err, context.Canceled)) {
		r.Errorf("Do under a context that has ended: %v; want success, or ErrCanceled and context.Canceled", err)
	}
	fillByte(buf, poisonByte)
	r.read(ch, 0, 512)
	if at := differ(buf, fillOf(512, poisonByte)); at >= 0 {
		r.Error("Do returned while its memory was in use")
	}
}

// checkUnsupported: what the device does not offer is refused before anything
// is posted.
func checkUnsupported(r *rig) {
	var table []refusal
	for op := unio.OpRead; op <= unio.OpFetchAdd; op++ {
		if r.ops.Has(op) {
			continue
		}
		q := unio.Request{Op: op, Region: r.reg}
		switch op {
		case unio.OpRead, unio.OpWrite:
			q.Data = make([]byte, 512)
		case unio.OpDiscard, unio.OpWriteZeroes:
			q.Length = 512
		}
		table = append(table, refusal{op.String(), q, unio.ErrUnsupported}, refusal{op.String(), q, errors.ErrUnsupported})
	}
	for _, q := range []unio.Request{
		{Op: unio.OpAppend, Region: r.reg, Data: make([]byte, 512)},
		{Op: unio.OpWriteAtomic, Region: r.reg, Data: make([]byte, 512), Ranges: []unio.Range{{Length: 512}}},
	} {
		if !r.ops.Has(q.Op) {
			table = append(table, refusal{q.Op.String(), q, unio.ErrUnsupported})
		}
	}
	if len(table) == 0 {
		r.Logf("not applicable: the device offers everything: natively %v, and %v", r.info.Native, r.info.Provided)
		return
	}
	r.refuse(table)
}
