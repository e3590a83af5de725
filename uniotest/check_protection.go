package uniotest

import (
	"context"
	"errors"
	"math"

	"github.com/unio-stack/unio"
)

// A refusal is a request that must not be posted, and why.
type refusal struct {
	name string
	req  unio.Request
	want error
}

// refuse posts each request between two good ones: the first good one is
// carried out, the bad one is described, nothing after it is posted, and the
// channel goes on.
func (r *rig) refuse(table []refusal) {
	r.Helper()
	ch := r.channel(unio.ChannelConfig{Depth: r.depth(8)})
	whole := model(r.read(ch, 0, Size))
	for _, c := range table {
		good := unio.Request{Op: unio.OpRead, Region: r.reg, Data: make([]byte, 64)}
		posted := ch.Stats().Posted
		n, err := ch.Post(good, c.req, good)
		if n != 1 || !errors.Is(err, c.want) {
			r.Errorf("%s: Post(good, bad, good) returned %d, %v; want 1, %v", c.name, n, err, c.want)
		}
		r.wellDescribed(c, err)
		if all := r.drain(ch); len(all) != n || all[0].Err != nil {
			r.Errorf("%s: completions %+v, want that of the good request", c.name, all)
		}
		if now := ch.Stats().Posted; now != posted+1 {
			r.Errorf("%s: %d requests count as posted, want 1", c.name, now-posted)
		}
		if err := ch.Do(context.Background(), c.req); !errors.Is(err, c.want) {
			r.Errorf("%s: Do returned %v, want %v", c.name, err, c.want)
		}
	}
	r.compare(ch, whole, 0)
}

// wellDescribed checks the fields of the error of a request that was refused.
func (r *rig) wellDescribed(c refusal, err error) {
	r.Helper()
	var oe *unio.OpError
	if !errors.As(err, &oe) {
		r.Errorf("%s: %T %v is not an OpError", c.name, err, err)
		return
	}
	if oe.Op != c.req.Op || oe.Device != r.info.Name || oe.Offset != c.req.Offset || oe.Layer != unio.LayerCore || oe.BadByte != -1 {
		r.Errorf("%s: %+v does not describe %v at offset %d of device %q", c.name, *oe, c.req.Op, c.req.Offset, r.info.Name)
	}
	if c.req.Region != nil && oe.Region != c.req.Region.Name() {
		r.Errorf("%s: the error names region %q, want %q", c.name, oe.Region, c.req.Region.Name())
	}
	if c.want == unio.ErrOutOfRange && oe.Length < 0 {
		r.Errorf("%s: the error gives length %d", c.name, oe.Length)
	}
}

// checkProtection: out of range, beyond the rights, revoked, of another device.
func checkProtection(r *rig) {
	end := r.reg.Size()
	mem := make([]byte, 4096)
	fillByte(mem, poisonByte)
	other := r.cfg.Open(r.T)
	r.adopt(other)
	alien := r.attach(other, r.rights())
	readOnly := r.attach(r.dev, unio.ReadOnly)
	revoked := r.attach(r.dev, r.rights())
	r.check(revoked.Close())
	table := []refusal{
		{"read past the end", unio.Request{Op: unio.OpRead, Region: r.reg, Offset: end - 1, Data: mem[:2]}, unio.ErrOutOfRange},
		{"read at the end", unio.Request{Op: unio.OpRead, Region: r.reg, Offset: end, Data: mem[:1]}, unio.ErrOutOfRange},
		{"read far beyond", unio.Request{Op: unio.OpRead, Region: r.reg, Offset: math.MaxInt64, Data: mem}, unio.ErrOutOfRange},
		{"read before the start", unio.Request{Op: unio.OpRead, Region: r.reg, Offset: -1, Data: mem}, unio.ErrOutOfRange},
		{"read at the smallest offset", unio.Request{Op: unio.OpRead, Region: r.reg, Offset: math.MinInt64, Data: mem}, unio.ErrOutOfRange},
		{"vector past the end", unio.Request{Op: unio.OpRead, Region: r.reg, Offset: end - 9, Vec: [][]byte{mem[:5], mem[5:10]}}, unio.ErrOutOfRange},
		{"another device's region", unio.Request{Op: unio.OpRead, Region: alien, Data: mem}, unio.ErrInvalid},
		{"revoked region", unio.Request{Op: unio.OpRead, Region: revoked, Data: mem}, unio.ErrRevoked},
	}
	if r.ops.Has(unio.OpFlush) {
		table = append(table, refusal{"flush of a revoked region", unio.Request{Op: unio.OpFlush, Region: revoked}, unio.ErrRevoked})
	}
	r.refuse(append(table, r.mutationRefusals(readOnly, mem)...))
	if at := differ(mem, fillOf(len(mem), poisonByte)); at >= 0 {
		r.Errorf("byte %d of the memory of refused requests was changed", at)
	}
}

func fillOf(n int, b byte) []byte {
	p := make([]byte, n)
	fillByte(p, b)
	return p
}

// mutationRefusals are those of the operations that change something.
func (r *rig) mutationRefusals(readOnly *unio.Region, mem []byte) (table []refusal) {
	end := r.reg.Size()
	add := func(name string, q unio.Request, want error) {
		if r.ops.Has(q.Op) && !r.info.ReadOnly {
			table = append(table, refusal{name, q, want})
		}
	}
	for _, op := range []unio.Opcode{unio.OpDiscard, unio.OpWriteZeroes} {
		add(op.String()+" past the end", unio.Request{Op: op, Region: r.reg, Offset: end - 8, Length: 9}, unio.ErrOutOfRange)
		add(op.String()+" that overflows", unio.Request{Op: op, Region: r.reg, Offset: 512, Length: math.MaxInt64}, unio.ErrOutOfRange)
		add(op.String()+" of a read-only region", unio.Request{Op: op, Region: readOnly, Length: 8}, unio.ErrAccess)
	}
	for _, op := range []unio.Opcode{unio.OpCompareSwap, unio.OpFetchAdd} {
		add(op.String()+" at the end", unio.Request{Op: op, Region: r.reg, Offset: end &^ 7, Swap: 1}, unio.ErrOutOfRange)
		add(op.String()+" before the start", unio.Request{Op: op, Region: r.reg, Offset: -8, Swap: 1}, unio.ErrOutOfRange)
		add(op.String()+" of a read-only region", unio.Request{Op: op, Region: readOnly, Swap: 1}, unio.ErrAccess)
	}
	add("write past the end", unio.Request{Op: unio.OpWrite, Region: r.reg, Offset: end - 4095, Data: mem}, unio.ErrOutOfRange)
	add("write to a read-only region", unio.Request{Op: unio.OpWrite, Region: readOnly, Data: mem}, unio.ErrAccess)
	if r.info.ReadOnly {
		return table
	}
	writeOnly := r.attach(r.dev, unio.WriteOnly)
	add("fetch-add of a write-only region", unio.Request{Op: unio.OpFetchAdd, Region: writeOnly, Swap: 1}, unio.ErrAccess)
	return append(table, refusal{"read of a write-only region", unio.Request{Op: unio.OpRead, Region: writeOnly, Data: mem}, unio.ErrAccess})
}

// checkRevocation: Region.Close returns when nothing that names the region is
// in flight, and leaves other regions of that name working.
func checkRevocation(r *rig) {
	ch := r.channel(unio.ChannelConfig{Depth: r.depth(32)})
	for range r.rounds(30) {
		reg := r.attach(r.dev, r.rights())
		reqs := make([]unio.Request, ch.Depth())
		for i := range reqs {
			reqs[i] = unio.Request{Op: unio.OpRead, Region: reg, Offset: int64(i) * 5000, Data: make([]byte, 5000)}
		}
		if n, err := ch.Post(reqs...); n != len(reqs) {
			r.Fatalf("Post accepted %d of %d: %v", n, len(reqs), err)
		}
		r.end("Region.Close", reg.Close)
		left := make([]unio.Completion, len(reqs))
		if n := ch.Poll(left); n != len(reqs) {
			r.Fatalf("Region.Close returned while %d of %d requests were in flight", len(reqs)-n, len(reqs))
		}
		for _, q := range reqs {
			fillByte(q.Data, poisonByte)
		}
		if _, err := ch.Post(reqs[0]); !errors.Is(err, unio.ErrRevoked) {
			r.Fatalf("Post to a closed region: %v, want ErrRevoked", err)
		}
		r.end("Region.Close of a closed region", reg.Close)
		r.read(ch, 0, 512)
		for _, q := range reqs {
			if at := differ(q.Data, fillOf(len(q.Data), poisonByte)); at >= 0 {
				r.Fatalf("byte %d of a buffer was written to after its region was closed", at)
			}
		}
	}
}
