package uniotest

import (
	"bytes"
	"fmt"
	"math/rand/v2"

	"github.com/unio-stack/unio"
)

// exposedSize is how much memory each side exposes in most checks.
const exposedSize = 256 << 10

// checkPeersMemory: a side reads and changes the memory that the other has
// exposed, at any offset and length, from any memory, and nothing beside it.
func checkPeersMemory(d *duo) {
	d.exposes(unio.OpRead, unio.OpWrite)
	for _, way := range [][2]*Peer{{d.a, d.b}, {d.b, d.a}} {
		x, reg := d.window(way[1], exposedSize, unio.ReadWrite)
		if at := other(x.Bytes, 0); at >= 0 {
			d.Fatalf("freshly exposed memory is not zero at byte %d", at)
		}
		r := d.half(first, way[0], reg)
		m := make(model, exposedSize)
		for range d.rounds(30) {
			r.areas.reset()
			calls := r.disjoint(m, 1+r.rng.IntN(30))
			reqs := make([]unio.Request, len(calls))
			for i, c := range calls {
				reqs[i] = c.req
			}
			for i, done := range d.run(way[0].Channel, reqs...) {
				d.check(calls[i].verify(done))
			}
		}
		d.same(x, m)
	}
}

// same compares exposed memory, with nothing in flight, with what it must hold.
func (d *duo) same(x *Exposed, m model) {
	d.Helper()
	if at := differ(x.Bytes, m); at >= 0 {
		d.Fatalf("byte %d of the exposed memory is %#x, want %#x (%d bytes differ)", at, x.Bytes[at], m[at], differing(x.Bytes, m))
	}
}

// checkPeersVisibility: a Write that has completed is in the other side's
// memory, and what that stores there, later Reads return.
func checkPeersVisibility(d *duo) {
	d.exposes(unio.OpRead, unio.OpWrite)
	x, reg := d.window(d.b, exposedSize, unio.ReadWrite)
	for range d.rounds(100) {
		want := payload(d.rng, 1+d.rng.IntN(40000))
		off := d.rng.Int64N(exposedSize - int64(len(want)))
		d.must(d.a.Channel, unio.Request{Op: unio.OpWrite, Region: reg, Offset: off, Data: bytes.Clone(want)})
		if at := differ(x.Bytes[off:][:len(want)], want); at >= 0 {
			d.Fatalf("a completed Write is not in the other side's memory: byte %d of %d is %#x, want %#x", at, len(want), x.Bytes[off+int64(at)], want[at])
		}
		copy(x.Bytes[off:], payload(d.rng, len(want)))
		got := make([]byte, len(want))
		d.must(d.a.Channel, unio.Request{Op: unio.OpRead, Region: reg, Offset: off, Data: got})
		if at := differ(got, x.Bytes[off:][:len(want)]); at >= 0 {
			d.Fatalf("a Read does not return what the other side has stored: byte %d of %d is %#x", at, len(want), got[at])
		}
	}
}

// checkPeersCounting: atomics take effect one after another, from both sides at
// the same time and however many are in flight.
func checkPeersCounting(d *duo) {
	d.exposes(unio.OpFetchAdd)
	const word = 64
	xb, ofB := d.window(d.b, 4096, unio.ReadWrite)
	xa, ofA := d.window(d.a, 4096, unio.ReadWrite)
	each := d.rounds(600)
	sides := []struct {
		p   *Peer
		reg *unio.Region
	}{{d.a, ofB}, {d.b, ofA}}
	d.together(2, func(i int, _ *rand.Rand) error {
		reqs := make([]unio.Request, each)
		for k := range reqs {
			reqs[k] = unio.Request{Op: unio.OpFetchAdd, Region: sides[i].reg, Offset: word, Swap: 1}
		}
		done, err := succeed(sides[i].p.Channel, d.cfg.Patience, reqs)
		if err != nil {
			return err
		}
		given := make([]bool, each)
		for _, c := range done {
			if c.Value >= uint64(each) || given[c.Value] {
				return fmt.Errorf("FetchAdd gave out %d twice, or beyond %d additions", c.Value, each)
			}
			given[c.Value] = true
		}
		return nil
	})
	for _, x := range []*Exposed{xa, xb} {
		if v := number(x.Bytes[word:]); v != uint64(each) {
			d.Errorf("after %d additions of 1 the word is %d", each, v)
		}
	}
}

// checkPeersHistory: both sides read and change each other's memory and send
// each other messages, all at once.
func checkPeersHistory(d *duo) {
	d.exposes(unio.OpRead, unio.OpWrite)
	xb, ofB := d.window(d.b, exposedSize, unio.ReadWrite)
	xa, ofA := d.window(d.a, exposedSize, unio.ReadWrite)
	a, b := d.parties(ofB, ofA)
	mb, ma := make(model, exposedSize), make(model, exposedSize)
	for range d.rounds(16) {
		a.mingle(b, mb, 60)
		b.mingle(a, ma, 60)
		d.converse(a, b)
		d.same(xb, mb)
		d.same(xa, ma)
	}
}

// mingle makes n steps: messages, and requests to the other side's memory that
// are fenced where they depend on earlier ones. The last is not Silent.
func (p *party) mingle(to *party, m model, n int) {
	calls := p.chain(m, n)
	silent := 0 // in a row: they keep their places until a later step says that they have ended
	for i, c := range calls {
		c.req.Flags &^= unio.Durable
		if silent == 3 || i == len(calls)-1 {
			c.req.Flags &^= unio.Silent
		}
		if silent++; c.req.Flags&unio.Silent == 0 {
			silent = 0
		}
		for p.rng.IntN(3) == 0 {
			p.say(to, p.someFlags())
		}
		p.do(c)
	}
}

// checkPeersInvalidate: the message has withdrawn the memory before it is
// received, no other memory, and says so.
func checkPeersInvalidate(d *duo) {
	d.exposes(unio.OpWrite)
	for i := range d.rounds(8) {
		a, b := d.either()
		x, reg := d.window(b, exposedSize, unio.ReadWrite)
		_, kept := d.window(b, exposedSize, unio.ReadWrite)
		data := payload(d.rng, 1+d.rng.IntN(exposedSize))
		d.must(a.Channel, unio.Request{Op: unio.OpWrite, Region: reg, Data: data})
		q := unio.Request{Op: unio.OpSend, Region: reg, Flags: unio.Invalidate, Data: data[:min(len(data), i*10, d.longest())]}
		if i%2 == 1 {
			q.Flags |= unio.Solicited
		}
		if i%3 == 1 { // with a Write that is still in flight
			if n, err := a.Channel.Post(unio.Request{ID: 3, Op: unio.OpWrite, Region: reg, Data: data}); n != 1 {
				d.Fatal(err)
			}
		}
		c, buf := d.overwritten(a, b, q, x)
		if c.Err != nil || c.Flags != q.Flags || c.N != int64(len(q.Data)) || differ(buf[:c.N], q.Data) >= 0 {
			d.Fatalf("a message of %d bytes with flags %v was received as %+v", len(q.Data), q.Flags, c)
		}
		d.must(a.Channel, unio.Request{Op: unio.OpWrite, Region: kept, Data: data})
		d.untouchable(a, x, reg)
	}
}

// overwritten sends a message that invalidates, and changes the memory as soon
// as it is received, for [duo.untouchable] to look at.
func (d *duo) overwritten(a, b *Peer, q unio.Request, x *Exposed) (unio.Completion, []byte) {
	d.Helper()
	buf := fillOf(len(q.Data)+7, poisonByte)
	if n, err := b.Channel.Post(unio.Request{Op: unio.OpRecv, Data: buf}); n != 1 {
		d.Fatal(err)
	}
	if n, err := a.Channel.Post(q); n != 1 {
		d.Fatal(err)
	}
	all := d.drain(b.Channel)
	fillByte(x.Bytes, poisonByte)
	for _, c := range d.drain(a.Channel) {
		d.check(c.Err)
	}
	if len(all) != 1 {
		d.Fatalf("%d completions of one Recv", len(all))
	}
	return all[0], buf
}

// untouchable checks that p cannot read or change memory that is withdrawn and
// poisoned, and that nothing has.
func (d *duo) untouchable(p *Peer, x *Exposed, reg *unio.Region) {
	d.Helper()
	data := fillOf(4096, 7)
	reqs := []unio.Request{
		{Op: unio.OpWrite, Region: reg, Data: bytes.Clone(data)},
		{Op: unio.OpRead, Region: reg, Data: data},
		{Op: unio.OpFetchAdd, Region: reg, Swap: 1},
	}
	for _, q := range reqs {
		if !d.ops.Has(q.Op) {
			continue
		}
		err := d.attempt(p, q)
		if !forbidden(err, unio.ErrRevoked, unio.ErrAccess) {
			d.Errorf("%v of withdrawn memory: %v, want ErrRevoked", q.Op, err)
		}
	}
	if at := differ(data, fillOf(len(data), 7)); at >= 0 {
		d.Errorf("a Read of withdrawn memory returned byte %d of it", at)
	}
	if at := other(x.Bytes, poisonByte); at >= 0 {
		d.Errorf("byte %d of withdrawn memory was changed to %#x", at, x.Bytes[at])
	}
}

// attempt carries out one request and returns how it failed, posted or not.
func (d *duo) attempt(p *Peer, q unio.Request) error {
	d.Helper()
	n, err := p.Channel.Post(q)
	if n == 0 {
		return err
	}
	all := d.drain(p.Channel)
	if len(all) != 1 {
		d.Fatalf("%d completions of one request: %+v", len(all), all)
	}
	return all[0].Err
}

// checkPeersProtection: memory that is exposed to be read cannot be changed, and
// what is exposed to be written cannot be read.
func checkPeersProtection(d *duo) {
	d.exposes(unio.OpRead, unio.OpWrite)
	buf := fillOf(4096, poisonByte)
	for _, tc := range []struct {
		exposed unio.Rights
		op      unio.Opcode
	}{
		{unio.ReadOnly, unio.OpWrite},
		{unio.ReadOnly, unio.OpFetchAdd},
		{unio.ReadOnly, unio.OpCompareSwap},
		{unio.WriteOnly, unio.OpRead},
		{unio.WriteOnly, unio.OpFetchAdd},
	} {
		if !d.ops.Has(tc.op) {
			continue
		}
		a, b := d.either()
		x := b.Expose(d.T, exposedSize, tc.exposed)
		fillByte(x.Bytes, 5)
		reg, err := x.Attach(unio.ReadWrite)
		if err == nil {
			d.Cleanup(func() { d.end("Close of a region of a peer's memory", reg.Close) })
			q := unio.Request{Op: tc.op, Region: reg, Compare: 0x0505050505050505, Swap: 1}
			if tc.op == unio.OpRead || tc.op == unio.OpWrite {
				q.Data = buf
			}
			err = d.attempt(a, q)
		}
		if !forbidden(err, unio.ErrAccess) {
			d.Errorf("%v of memory that is exposed %v: %v, want ErrAccess", tc.op, tc.exposed, err)
		}
		if at := other(buf, poisonByte); at >= 0 {
			d.Errorf("byte %d of memory that is exposed %v was read", at, tc.exposed)
		}
		if at := other(x.Bytes, 5); at >= 0 {
			d.Errorf("byte %d of memory that is exposed %v was changed", at, tc.exposed)
		}
		d.usable(a, x, tc.exposed)
	}
}

// usable checks that p can do what is permitted, unless the connection has ended
// for what is not.
func (d *duo) usable(p *Peer, x *Exposed, rights unio.Rights) {
	d.Helper()
	reg, err := x.Attach(rights)
	if err != nil {
		if !lost(err) {
			d.Errorf("attach memory as it is exposed, %v: %v", rights, err)
		}
		return
	}
	defer reg.Close()
	op := unio.OpRead
	if rights == unio.WriteOnly {
		op = unio.OpWrite
	}
	err = d.attempt(p, unio.Request{Op: op, Region: reg, Data: make([]byte, 100)})
	if err != nil && !lost(err) {
		d.Errorf("%v of memory that is exposed %v: %v", op, rights, err)
	}
}
