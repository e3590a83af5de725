package unio

import (
	"context"
	"errors"
	"math"
	"strings"
	"testing"
)

// Each request that is refused, with its cause and what the message says, on a
// channel that carries out a good request afterwards.
func TestCheckRefuses(t *testing.T) {
	f, dev := newFake(t, Info{BlockSize: 512, Native: Ops(OpRead, OpWrite)})
	_, other := newFake(t, Info{})
	rw, ro := mustAttach(t, dev, ReadWrite), mustAttach(t, dev, ReadOnly)
	wo, revoked := mustAttach(t, dev, WriteOnly), mustAttach(t, dev, ReadWrite)
	_ = revoked.Close()
	ch, err := dev.NewChannel(ChannelConfig{})
	if err != nil {
		t.Fatal(err)
	}
	b := make([]byte, 512)
	const size = fakeSize
	for _, tc := range []struct {
		name string
		req  Request
		want error
		says string
	}{
		{"no operation", Request{Region: rw, Data: b}, ErrInvalid, "unknown operation"},
		{"unknown operation", Request{Op: opEnd, Region: rw, Data: b}, ErrInvalid, "unknown operation"},
		{"operation 255", Request{Op: 255, Region: rw, Data: b}, ErrInvalid, "unknown operation"},
		{"no region", Request{Op: OpRead, Data: b}, ErrInvalid, "no region"},
		{"zero region", Request{Op: OpRead, Region: &Region{}, Data: b}, ErrInvalid, "not attached"},
		{"foreign region", Request{Op: OpRead, Region: mustAttach(t, other, ReadWrite), Data: b}, ErrInvalid, "another device"},
		{"not offered", Request{Op: OpFlush, Region: rw}, ErrUnsupported, "read,write"},
		{"unknown flag", Request{Op: OpRead, Flags: 0x80, Region: rw, Data: b}, ErrInvalid, "0x80"},
		{"revoked", Request{Op: OpRead, Region: revoked, Data: b}, ErrRevoked, ""},
		{"write, read-only", Request{Op: OpWrite, Region: ro, Data: b}, ErrAccess, "read-only"},
		{"zeroes, read-only", Request{Op: OpWriteZeroes, Region: ro, Length: 512}, ErrAccess, "read-only"},
		{"atomic, read-only", Request{Op: OpFetchAdd, Region: ro}, ErrAccess, "read-only"},
		{"atomic, write-only", Request{Op: OpCompareSwap, Region: wo}, ErrAccess, "write-only"},
		{"read, write-only", Request{Op: OpRead, Region: wo, Data: b}, ErrAccess, "write-only"},
		{"durable without flush", Request{Op: OpWrite, Flags: Durable, Region: rw, Data: b}, ErrUnsupported, "Durable"},
		{"no memory", Request{Op: OpRead, Region: rw}, ErrInvalid, "no memory"},
		{"empty memory", Request{Op: OpWrite, Region: rw, Data: b[:0]}, ErrInvalid, "no memory"},
		{"empty Vec", Request{Op: OpRead, Region: rw, Vec: [][]byte{}}, ErrInvalid, "1 to 1024"},
		{"long Vec", Request{Op: OpRead, Region: rw, Vec: make([][]byte, MaxVec+1)}, ErrInvalid, "1 to 1024"},
		{"empty piece", Request{Op: OpRead, Region: rw, Vec: [][]byte{b, nil}}, ErrInvalid, "empty piece"},
		{"Data and Vec", Request{Op: OpRead, Region: rw, Data: b, Vec: [][]byte{b}}, ErrInvalid, "both"},
		{"atomic, odd offset", Request{Op: OpFetchAdd, Region: rw, Offset: 4}, ErrMisaligned, "multiple of 8"},
		{"atomic, odd result", Request{Op: OpFetchAdd, Region: rw, Data: b}, ErrInvalid, "8 bytes"},
		{"atomic with Vec", Request{Op: OpFetchAdd, Region: rw, Vec: [][]byte{b[:8]}}, ErrInvalid, "no such memory"},
		{"no length", Request{Op: OpWriteZeroes, Region: rw}, ErrInvalid, "positive"},
		{"negative length", Request{Op: OpWriteZeroes, Region: rw, Length: -1}, ErrInvalid, "positive"},
		{"zeroes with Data", Request{Op: OpWriteZeroes, Region: rw, Length: 8, Data: b}, ErrInvalid, "no such memory"},
		{"zeroes with Vec", Request{Op: OpWriteZeroes, Region: rw, Length: 2 * size, Vec: [][]byte{b}}, ErrInvalid, "no such memory"},
		{"before the start", Request{Op: OpRead, Region: rw, Offset: -1, Data: b}, ErrOutOfRange, ""},
		{"past the end", Request{Op: OpRead, Region: rw, Offset: size, Data: b}, ErrOutOfRange, ""},
		{"across the end", Request{Op: OpRead, Region: rw, Offset: size - 511, Data: b}, ErrOutOfRange, ""},
		{"Vec across the end", Request{Op: OpRead, Region: rw, Offset: size - 1023, Vec: [][]byte{b, b}}, ErrOutOfRange, ""},
		{"far", Request{Op: OpRead, Region: rw, Offset: math.MaxInt64, Data: b}, ErrOutOfRange, ""},
		{"long", Request{Op: OpWriteZeroes, Region: rw, Offset: 8, Length: math.MaxInt64}, ErrOutOfRange, ""},
		{"atomic at the end", Request{Op: OpFetchAdd, Region: rw, Offset: size}, ErrOutOfRange, ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			n, err := ch.Post(tc.req)
			var oe *OpError
			if n != 0 || !errors.Is(err, tc.want) || !errors.As(err, &oe) {
				t.Fatalf("%d, %v, want an OpError that is %q", n, err, tc.want)
			}
			if !strings.Contains(err.Error(), tc.says) {
				t.Errorf("%q does not say %q", err, tc.says)
			}
			if oe.Op != tc.req.Op || oe.Device != "fake0" || oe.Offset != tc.req.Offset || oe.BadByte != -1 || oe.Layer != LayerCore {
				t.Errorf("%+v", oe)
			}
			if err := ch.Do(context.Background(), tc.req); !errors.Is(err, tc.want) {
				t.Errorf("Do: %v", err)
			}
			if log := dev.Errors(); !errors.Is(log[len(log)-1].Err, tc.want) {
				t.Error("the device does not remember it")
			}
		})
	}
	q := f.queues[0]
	if len(q.takeLog()) != 0 || ch.Stats().Posted != 0 {
		t.Error("something reached the device")
	}
	q.setMode(modeInline)
	if err := ch.Do(context.Background(), Request{Op: OpRead, Region: ro, Data: b}); err != nil {
		t.Error(err)
	}
}

// What lies at the very edge is carried out.
func TestCheckAccepts(t *testing.T) {
	r := newRig(t, Info{BlockSize: 512}, ChannelConfig{})
	r.q.setMode(modeInline)
	b := make([]byte, 512)
	many := make([][]byte, MaxVec)
	for i := range many {
		many[i] = b[i%512:][:1]
	}
	for name, q := range map[string]Request{
		"last byte":         {Op: OpRead, Offset: fakeSize - 1, Data: b[:1]},
		"everything":        {Op: OpWriteZeroes, Length: fakeSize},
		"last word":         {Op: OpFetchAdd, Offset: fakeSize - 8},
		"word without Data": {Op: OpCompareSwap, Data: nil},
		"1024 pieces":       {Op: OpWrite, Vec: many},
		"flush":             {Op: OpFlush, Offset: -7, Length: 1 << 62},
		"durable read":      {Op: OpRead, Flags: Durable, Data: b},
	} {
		q.Region = r.reg
		if err := r.ch.Do(context.Background(), q); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestAtomics(t *testing.T) {
	for name, native := range map[string]OpSet{"provided": 0, "native": AllOps} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, Info{BlockSize: 512, Native: native}, ChannelConfig{})
			r.q.setMode(modeInline)
			done := make([]Completion, 1)
			for _, tc := range []struct {
				req        Request
				old, after uint64
			}{
				{Request{Op: OpFetchAdd, Swap: 5}, 0, 5},
				{Request{Op: OpFetchAdd, Swap: ^uint64(0)}, 5, 4},
				{Request{Op: OpFetchAdd}, 4, 4},
				{Request{Op: OpCompareSwap, Compare: 5, Swap: 9}, 4, 4},
				{Request{Op: OpCompareSwap, Compare: 4, Swap: 9}, 4, 9},
				{Request{Op: OpCompareSwap, Compare: 9, Swap: 9, Flags: Durable}, 9, 9},
			} {
				tc.req.Region, tc.req.Offset, tc.req.Data = r.reg, 1024, make([]byte, 8)
				mustPost(t, r.ch, tc.req)
				if r.ch.Poll(done) != 1 || done[0] != (Completion{N: 8, Value: tc.old}) {
					t.Fatalf("%+v: %+v", tc.req, done[0])
				}
				if got := uint64(tc.req.Data[0]); got != tc.old || tc.after != uint64(r.mem[1024]) {
					t.Errorf("%+v: old value %d in Data, then %d", tc.req, got, r.mem[1024])
				}
			}
		})
	}
}
