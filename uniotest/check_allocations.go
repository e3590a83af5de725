package uniotest

import (
	"context"
	"testing"

	"github.com/unio-stack/unio"
)

// checkAllocations: in steady state a request allocates nothing, of whatever
// kind it is.
func checkAllocations(r *rig) {
	r.needs(unio.OpRead, unio.OpWrite)
	if raceDetector {
		r.Skip("not measured: the race detector's runtime allocates")
	}
	if r.cfg.Allocates {
		r.Skip("not applicable: Config.Allocates is set")
	}
	b, err := unio.NewBuffer(64 << 10)
	if err != nil {
		r.Fatal(err)
	}
	r.Cleanup(func() { _ = b.Free() })
	ch := r.channel(unio.ChannelConfig{})
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	for _, c := range r.steady(b.Bytes()) {
		once := func() { r.repeat(ctx, ch, c) }
		for range 30 {
			once() // into the steady state
		}
		per := testing.AllocsPerRun(100, once)
		for range 2 { // the runtime may have allocated for itself
			per = min(per, testing.AllocsPerRun(100, once))
		}
		if per != 0 {
			r.Errorf("%s: %v allocations for %d requests, want none", c.name, per, len(c.reqs))
		}
	}
}

// repeat carries out the batch, without allocating anything itself.
func (r *rig) repeat(ctx context.Context, ch *unio.Channel, c steadyCase) {
	var done [8]unio.Completion
	if n, err := ch.Post(c.reqs...); err != nil || n != len(c.reqs) {
		r.Fatal(n, err)
	}
	for left := c.completions(); left > 0; {
		n, err := ch.Wait(ctx, done[:])
		if n == 0 || err != nil || done[0].Err != nil {
			r.Fatal(n, err, done[0].Err)
		}
		left -= n
	}
}

// A steadyCase is a batch that is posted again and again.
type steadyCase struct {
	name string
	reqs []unio.Request
}

// completions is how many the batch has.
func (c steadyCase) completions() (n int) {
	for i := range c.reqs {
		if c.reqs[i].Flags&unio.Silent == 0 {
			n++
		}
	}
	return n
}

func (r *rig) steady(buf []byte) []steadyCase {
	one := func(op unio.Opcode, off int64, p []byte, f unio.Flags) unio.Request {
		return unio.Request{Op: op, Region: r.reg, Offset: off, Data: p, Flags: f}
	}
	batch := make([]unio.Request, 8)
	for i := range batch {
		batch[i] = one(unio.OpRead, int64(i)*4096, buf[i*4096:(i+1)*4096], 0)
	}
	vec := unio.Request{Op: unio.OpWrite, Region: r.reg, Vec: [][]byte{buf[:4096], buf[8192:12288]}}
	oddVec := unio.Request{Op: unio.OpRead, Region: r.reg, Offset: 9, Vec: [][]byte{buf[1:700], buf[8193:8200]}}
	cases := []steadyCase{
		{"aligned read", batch[:1]},
		{"aligned write", []unio.Request{one(unio.OpWrite, 0, buf[:4096], 0)}},
		{"batch of reads", batch},
		{"fenced write and read", []unio.Request{one(unio.OpWrite, 0, buf[:512], unio.Fence), one(unio.OpRead, 0, buf[:512], unio.Fence)}},
		{"vector", []unio.Request{vec}},
		{"ragged vector", []unio.Request{oddVec}},
		{"ragged write", []unio.Request{one(unio.OpWrite, 17, buf[3:1000], 0)}},
		{"silent write", []unio.Request{one(unio.OpWrite, 17, buf[3:1000], unio.Silent), one(unio.OpRead, 8192, buf[4096:5000], 0)}},
		{"durable write", []unio.Request{one(unio.OpWrite, 0, buf[:4096], unio.Durable)}},
		{"fetch-add", []unio.Request{{Op: unio.OpFetchAdd, Region: r.reg, Offset: 512, Swap: 1}}},
		{"write-zeroes", []unio.Request{{Op: unio.OpWriteZeroes, Region: r.reg, Offset: 5, Length: 9000}}},
	}
	var offered []steadyCase
	for _, c := range cases {
		if q := c.reqs[0]; r.ops.Has(q.Op) && (q.Flags&unio.Durable == 0 || r.durable(q.Op)) {
			offered = append(offered, c)
		}
	}
	return offered
}
