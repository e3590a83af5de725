package unio

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"unsafe"
)

// The steps a request is carried out in.
func TestAssistSteps(t *testing.T) {
	block := Info{BlockSize: 512, MemoryAlign: 512, Native: Ops(OpRead, OpWrite, OpFlush, OpDiscard, OpWriteZeroes), ZeroUnit: 4096}
	small := block
	small.MaxTransfer = 1024
	plain := Info{BlockSize: 512}
	durable := block
	durable.NativeDurable = Ops(OpWrite)
	for _, tc := range []struct {
		name string
		info Info
		req  func(r *rig) Request
		want []string
	}{
		{
			"aligned write", block, func(r *rig) Request { return r.req(1, OpWrite, 512, 1024, 0) },
			[]string{"write 512+1024"},
		},
		{
			"ragged read", block, func(r *rig) Request { return r.req(1, OpRead, 100, 1000, 0) },
			[]string{"read 0+1536"},
		},
		{
			"ragged write within a block", block, func(r *rig) Request { return r.req(1, OpWrite, 100, 50, 0) },
			[]string{"read 0+512", "write 0+512"},
		},
		{
			"ragged tail", block, func(r *rig) Request { return r.req(1, OpWrite, 512, 1000, 0) },
			[]string{"write 512+512", "read 1024+512", "write 1024+512"},
		},
		{
			"ragged head, misaligned rest", block, func(r *rig) Request { return r.req(1, OpWrite, 100, 1436, 0) },
			[]string{"read 0+1536", "write 0+1536"},
		},
		{"misaligned memory", block, func(r *rig) Request {
			q := r.req(1, OpWrite, 512, 1024, 0)
			q.Data = aligned(1025, 512)[1:]
			return q
		}, []string{"write 512+1024"}},
		{
			"split at MaxTransfer", small, func(r *rig) Request { return r.req(1, OpRead, 0, 2560, 0) },
			[]string{"read 0+1024", "read 1024+1024", "read 2048+512"},
		},
		{"copied within MaxTransfer", small, func(r *rig) Request {
			q := r.req(1, OpWrite, 0, 2048, 0)
			q.Data = aligned(2049, 512)[1:]
			return q
		}, []string{"write 0+1024", "write 1024+1024"}},
		{"Vec, split at MaxTransfer, not copied", small, func(r *rig) Request {
			return Request{ID: 1, Op: OpWrite, Region: r.reg, Vec: [][]byte{aligned(512, 512), aligned(1536, 512), aligned(512, 512)}}
		}, []string{"write 0+1024", "write 1024+1024", "write 2048+512"}},
		{"Vec with an odd piece in the middle", block, func(r *rig) Request {
			return Request{ID: 1, Op: OpWrite, Region: r.reg, Vec: [][]byte{aligned(512, 512), aligned(100, 512), make([]byte, 412), aligned(512, 512)}}
		}, []string{"write 0+512", "write 512+512", "write 1024+512"}},
		{
			"durable by a flush", plain, func(r *rig) Request { return r.req(1, OpWrite, 0, 512, Durable) },
			[]string{"write 0+512", "flush 0+0"},
		},
		{"durable Vec by a flush, not copied", block, func(r *rig) Request {
			return Request{ID: 1, Op: OpWrite, Flags: Durable, Region: r.reg, Vec: [][]byte{aligned(512, 512), aligned(512, 512)}}
		}, []string{"write 0+1024", "flush 0+0"}},
		{
			"durable natively", durable, func(r *rig) Request { return r.req(1, OpWrite, 0, 512, Durable) },
			[]string{"write 0+512"},
		},
		{
			"durable read needs no flush", plain, func(r *rig) Request { return r.req(1, OpRead, 1, 512, Durable) },
			[]string{"read 0+1024"},
		},
		{
			"discard of whole units", block, func(r *rig) Request { return r.req(1, OpDiscard, 4096, 8192, 0) },
			[]string{"discard 4096+8192"},
		},
		{
			"discard with ragged ends", block, func(r *rig) Request { return r.req(1, OpDiscard, 3000, 6000, 0) },
			[]string{"read 2560+1536", "write 2560+1536", "discard 4096+4096", "read 8192+1024", "write 8192+1024"},
		},
		{
			"zeroes in less than a unit", block, func(r *rig) Request { return r.req(1, OpWriteZeroes, 512, 1024, 0) },
			[]string{"write 512+1024"},
		},
		{
			"zeroes not native", plain, func(r *rig) Request { return r.req(1, OpWriteZeroes, 0, 1024, Durable) },
			[]string{"write 0+1024", "flush 0+0"},
		},
		{
			"atomic", plain, func(r *rig) Request { return Request{ID: 1, Op: OpFetchAdd, Region: r.reg, Offset: 1016, Swap: 1} },
			[]string{"read 512+512", "write 512+512"},
		},
		{"atomic that changes nothing", plain, func(r *rig) Request {
			return Request{ID: 1, Op: OpCompareSwap, Region: r.reg, Offset: 8, Compare: 99, Swap: 1}
		}, []string{"read 0+512"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r := newRig(t, tc.info, ChannelConfig{})
			r.q.setMode(modeInline)
			req := tc.req(r)
			if err := r.ch.Do(context.Background(), req); err != nil {
				t.Fatal(err)
			}
			if got := r.q.takeLog(); !slices.Equal(got, tc.want) {
				t.Errorf("steps %q, want %q", got, tc.want)
			}
		})
	}
}

// Every shape of request against a byte array, with a device that does short
// transfers at random. The fake checks what reaches it.
func TestAssistAgainstModel(t *testing.T) {
	for _, info := range []Info{
		{BlockSize: 512, MemoryAlign: 512},
		{BlockSize: 512, MaxTransfer: 1024},
		{BlockSize: 4096, MemoryAlign: 64, MaxTransfer: 8192},
		{BlockSize: 1, MaxTransfer: 700},
		{BlockSize: 1, MemoryAlign: 64},
		{BlockSize: 512, ZeroUnit: 4096, Native: Ops(OpRead, OpWrite, OpFlush, OpDiscard, OpWriteZeroes)},
		{BlockSize: 128 << 10},
	} {
		t.Run(fmt.Sprintf("block %d, memory %d, zero %d, max %d", info.BlockSize, info.MemoryAlign, info.ZeroUnit, info.MaxTransfer), func(t *testing.T) {
			seed := rand.Uint64()
			t.Logf("seed %d", seed)
			rng := rand.New(rand.NewPCG(seed, 0))
			r := newRig(t, info, ChannelConfig{})
			r.q.setMode(modeInline)
			r.q.short = func(op *Op) int64 {
				if rng.IntN(4) == 0 && op.Size() > 1 {
					return 1 + rng.Int64N(op.Size()-1)
				}
				return op.Size()
			}
			model := bytes.Clone(r.mem)
			for range 400 {
				modelStep(t, r, rng, model)
			}
			if !bytes.Equal(model, r.mem) {
				t.Error("the medium differs from the model")
			}
		})
	}
}

// modelStep does a random request on the device and on the model.
func modelStep(t *testing.T, r *rig, rng *rand.Rand, model []byte) {
	t.Helper()
	n := 1 + rng.IntN(20_000)
	if rng.IntN(3) == 0 {
		n = 1 + rng.IntN(300)
	}
	off := rng.IntN(len(model) - n)
	q := Request{Region: r.reg, Offset: int64(off), Flags: Flags(rng.IntN(2)) * Durable}
	switch ops := []Opcode{OpRead, OpWrite, OpWrite, OpWriteZeroes, OpFetchAdd, OpDiscard}; ops[rng.IntN(len(ops))] {
	case OpRead:
		q.Op = OpRead
		want := model[off : off+n]
		q.Data, q.Vec = randomMemory(rng, make([]byte, n))
		modelDo(t, r, q)
		if got := slices.Concat(append(q.Vec, q.Data)...); !bytes.Equal(got, want) {
			t.Fatalf("read [%d, +%d] differs from the model", off, n)
		}
	case OpWrite:
		q.Op = OpWrite
		p := make([]byte, n)
		for i := range p {
			p[i] = byte(rng.Uint32())
		}
		q.Data, q.Vec = randomMemory(rng, p)
		modelDo(t, r, q)
		copy(model[off:], p)
	case OpWriteZeroes, OpDiscard:
		q.Op, q.Length = OpWriteZeroes, int64(n)
		modelDo(t, r, q)
		clear(model[off : off+n])
	case OpFetchAdd:
		q.Op, q.Offset, q.Swap, q.Data = OpFetchAdd, q.Offset&^7, rng.Uint64(), make([]byte, 8)
		word := model[q.Offset:]
		old := binary.LittleEndian.Uint64(word)
		modelDo(t, r, q)
		if got := binary.LittleEndian.Uint64(q.Data); got != old {
			t.Fatalf("old value of the word at %d: %#x, want %#x", q.Offset, got, old)
		}
		binary.LittleEndian.PutUint64(word, old+q.Swap)
	}
}

// modelDo does a request. One that short transfers got nowhere with is done
// again, except an atomic, whose effect is then unknown.
func modelDo(t *testing.T, r *rig, q Request) {
	t.Helper()
	short := r.q.short
	if q.Op.isAtomic() && r.info.BlockSize > 8 {
		r.q.short = nil
	}
	err := r.ch.Do(context.Background(), q)
	if errors.Is(err, errNoProgress) && !q.Op.isAtomic() {
		r.q.short = nil
		err = r.ch.Do(context.Background(), q)
	}
	r.q.short = short
	if err != nil {
		t.Fatal(err)
	}
}

// randomMemory returns p's bytes at a random address, whole or in pieces.
func randomMemory(rng *rand.Rand, p []byte) (data []byte, vec [][]byte) {
	m := aligned(len(p)+64, 4096)
	m = m[rng.IntN(2)*rng.IntN(64):][:len(p)]
	copy(m, p)
	if rng.IntN(2) == 0 {
		return m, nil
	}
	for len(m) > 0 {
		n := min(len(m), []int{512, 4096, 1 + rng.IntN(3000)}[rng.IntN(3)])
		vec, m = append(vec, m[:n:n]), m[n:]
	}
	return nil, vec
}

// A word that reached the medium in part is not added to twice.
func TestAssistAtomicStoreShort(t *testing.T) {
	for _, block := range []int{1, 512} {
		r := newRig(t, Info{BlockSize: block}, ChannelConfig{})
		r.q.setMode(modeInline)
		stores := 0
		r.q.short = func(op *Op) int64 {
			if op.Op == OpWrite {
				if stores++; stores <= 2 {
					return 3
				}
			}
			return op.Size()
		}
		r.mem[0] = 10
		q := Request{Op: OpFetchAdd, Region: r.reg, Swap: 5, Data: make([]byte, 8)}
		if err := r.ch.Do(context.Background(), q); err != nil {
			t.Fatal(err)
		}
		if r.mem[0] != 15 || q.Data[0] != 10 || stores != 3 {
			t.Errorf("blocks of %d: word %d, old value %d, %d stores", block, r.mem[0], q.Data[0], stores)
		}
	}
}

// A device that gets nowhere is an error, not a loop.
func TestAssistNoProgress(t *testing.T) {
	for name, tc := range map[string]struct {
		n   int64 // bytes each operation moves
		req func(r *rig) Request
	}{
		"nothing":              {0, func(r *rig) Request { return r.req(1, OpRead, 0, 4096, 0) }},
		"less than a block":    {100, func(r *rig) Request { return r.req(1, OpRead, 0, 4096, 0) }},
		"ragged, nothing":      {0, func(r *rig) Request { return r.req(1, OpWrite, 1, 4096, 0) }},
		"ragged, a few bytes":  {100, func(r *rig) Request { return r.req(1, OpWrite, 1, 4096, 0) }},
		"atomic, a few bytes":  {5, func(r *rig) Request { return Request{Op: OpFetchAdd, Region: r.reg, Swap: 1} }},
		"zeroes, a few bytes":  {5, func(r *rig) Request { return r.req(1, OpWriteZeroes, 0, 4096, 0) }},
		"nothing, of a stream": {0, func(r *rig) Request { return r.req(1, OpWrite, 0, 1<<20, 0) }},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, Info{BlockSize: 512}, ChannelConfig{})
			r.q.setMode(modeInline)
			r.q.short = func(*Op) int64 { return tc.n }
			if err := r.ch.Do(context.Background(), tc.req(r)); !errors.Is(err, ErrMedia) {
				t.Errorf("%v, want ErrMedia", err)
			}
			r.q.short = nil
			if err := r.ch.Do(context.Background(), r.req(2, OpWrite, 1, 4096, 0)); err != nil {
				t.Errorf("the request after it: %v", err)
			}
		})
	}
}

// Failing at any step ends the request with the step's error, what was done
// before it, and no lock or bounce buffer left behind.
func TestAssistFailsAtAnyStep(t *testing.T) {
	for step := range 6 {
		r := newRig(t, Info{BlockSize: 512}, ChannelConfig{Depth: 2})
		r.q.setMode(modeInline)
		n := 0
		r.q.fail = func(*Op) error {
			if n++; n == step+1 {
				return fmt.Errorf("%w: step %d", ErrMedia, step)
			}
			return nil
		}
		// load and store of the head, direct middle, load and store of the tail, flush
		mustPost(t, r.ch, Request{Op: OpWrite, Flags: Durable, Region: r.reg, Offset: 10, Data: alignedFrom(5000, 502)})
		done := make([]Completion, 1)
		if r.ch.Poll(done) != 1 || !errors.Is(done[0].Err, ErrMedia) || done[0].N >= 5000 {
			t.Fatalf("step %d: %+v", step, done[0])
		}
		if n != step+1 {
			t.Errorf("%d steps although number %d failed", n, step)
		}
		if err := r.ch.Do(context.Background(), r.req(2, OpWrite, 10, 5000, 0)); err != nil {
			t.Errorf("the request after it: %v", err)
		}
	}
}

// alignedFrom returns n bytes whose byte number from is at a multiple of 4096.
func alignedFrom(n, from int) []byte {
	b := aligned(n+4096, 4096)
	return b[4096-from:][:n:n]
}

func TestAssistBouncesAreBoundedAndShared(t *testing.T) {
	const depth = 3 * maxBounces
	r := newRig(t, Info{BlockSize: 512}, ChannelConfig{Depth: depth})
	for id := range uint64(depth) {
		mustPost(t, r.ch, r.req(id, OpWrite, int64(id)*512+1, 10, 0))
	}
	if r.ch.assists.made != maxBounces || len(r.q.ids()) != maxBounces {
		t.Errorf("%d buffers, %d steps", r.ch.assists.made, len(r.q.ids()))
	}
	r.q.setMode(modeAsync)
	ended := 0
	for range 100 * depth {
		ended += len(pollIDs(r.ch))
	}
	if ended != depth || len(r.ch.assists.bounces) != maxBounces {
		t.Errorf("%d ended, %d buffers given back", ended, len(r.ch.assists.bounces))
	}
}

func TestAssistNoCopy(t *testing.T) {
	r := newRig(t, Info{BlockSize: 512, MemoryAlign: 512, MaxTransfer: 1024}, ChannelConfig{NoCopy: true})
	r.q.setMode(modeInline)
	for name, q := range map[string]Request{
		"ragged":     r.req(1, OpRead, 1, 512, 0),
		"length":     r.req(1, OpRead, 0, 511, 0),
		"memory":     {Op: OpRead, Region: r.reg, Data: aligned(513, 512)[1:]},
		"Vec":        {Op: OpRead, Region: r.reg, Vec: [][]byte{aligned(512, 512), aligned(513, 512)[1:]}},
		"Vec length": {Op: OpRead, Region: r.reg, Vec: [][]byte{aligned(500, 512), aligned(524, 512)}},
	} {
		if n, err := r.ch.Post(q); n != 0 || !errors.Is(err, ErrUnsupported) {
			t.Errorf("%s: %d, %v", name, n, err)
		}
	}
	for name, q := range map[string]Request{
		"long":        r.req(1, OpWrite, 0, 8192, 0),
		"long Vec":    {Op: OpRead, Region: r.reg, Vec: [][]byte{aligned(4096, 512), aligned(512, 512)}},
		"durable Vec": {Op: OpWrite, Flags: Durable, Region: r.reg, Vec: [][]byte{aligned(512, 512)}},
	} {
		if err := r.ch.Do(context.Background(), q); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	if n := r.ch.Stats().BouncedBytes; n != 0 {
		t.Errorf("%d bytes copied", n)
	}
}

// Nothing is read from or written to the caller's memory after the completion.
func TestAssistLeavesMemoryAlone(t *testing.T) {
	r := newRig(t, Info{BlockSize: 512}, ChannelConfig{})
	for name, q := range map[string]Request{
		"read":         r.req(1, OpRead, 10, 2000, 0),
		"aligned read": r.req(1, OpRead, 0, 2048, 0),
		"atomic":       {ID: 1, Op: OpFetchAdd, Region: r.reg, Swap: 1, Data: make([]byte, 8)},
	} {
		t.Run(name, func(t *testing.T) {
			r.q.setMode(modeHeld)
			for i := range r.mem {
				r.mem[i] = 0xee
			}
			mustPost(t, r.ch, q)
			r.ch.CancelAll()
			for r.ch.inFlight() > 0 {
				r.ch.poll(nil)
				r.ch.reap()
			}
			done := make([]Completion, 1)
			if r.ch.Poll(done) != 1 || !errors.Is(done[0].Err, ErrCanceled) {
				t.Fatal(done[0].Err)
			}
			for i := range q.Data {
				q.Data[i] = 0x55
			}
			r.q.setMode(modeAsync)
			pollIDs(r.ch)
			if bytes.ContainsFunc(q.Data, func(b rune) bool { return b != 0x55 }) {
				t.Error("memory was written to after the completion")
			}
		})
	}
}

// A region that reaches to the end of what an int64 can say.
func TestAssistAtTheEndOfOffsets(t *testing.T) {
	const size = math.MaxInt64 &^ 4095
	f, dev := newFake(t, Info{BlockSize: 4096})
	f.size = size
	reg := mustAttach(t, dev, ReadWrite)
	ch, err := dev.NewChannel(ChannelConfig{})
	if err != nil {
		t.Fatal(err)
	}
	ch.q.(*fakeQueue).setMode(modeInline)
	for name, q := range map[string]Request{
		"last byte":   {Op: OpWrite, Offset: size - 1, Data: []byte{1}},
		"last word":   {Op: OpFetchAdd, Offset: size - 8, Swap: 1},
		"last blocks": {Op: OpWrite, Offset: size - 9000, Data: make([]byte, 9000)},
		"zeroes":      {Op: OpWriteZeroes, Offset: size - 100_001, Length: 100_001},
	} {
		q.Region = reg
		if err := ch.Do(context.Background(), q); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	for name, q := range map[string]Request{
		"past it":       {Op: OpRead, Offset: size, Data: make([]byte, 1)},
		"across it":     {Op: OpRead, Offset: size - 1, Data: make([]byte, 2)},
		"overflowing":   {Op: OpRead, Offset: math.MaxInt64, Data: make([]byte, 2)},
		"negative":      {Op: OpRead, Offset: -1, Data: make([]byte, 2)},
		"most negative": {Op: OpRead, Offset: math.MinInt64, Data: make([]byte, 2)},
		"long zeroes":   {Op: OpWriteZeroes, Offset: 1, Length: math.MaxInt64},
		"atomic":        {Op: OpFetchAdd, Offset: size},
		"low atomic":    {Op: OpFetchAdd, Offset: math.MinInt64},
	} {
		q.Region = reg
		if err := ch.Do(context.Background(), q); !errors.Is(err, ErrOutOfRange) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestOpIsSmall(t *testing.T) {
	if n := unsafe.Sizeof(Op{}); n > 256 {
		t.Errorf("an Op takes %d bytes", n)
	}
}
