package unio

import (
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"testing"
)

func TestOpErrorSaysEverything(t *testing.T) {
	e := &OpError{
		Op: OpWrite, Device: "disk0", Region: "vol1", Offset: 4096, Length: 512, BadByte: 4100,
		Layer: "rdma", Peer: "10.0.0.1:7471", Detail: "replace the disk", Err: fmt.Errorf("%w: %w", ErrMedia, fs.ErrInvalid),
	}
	const want = `rdma: write disk0 region "vol1" [offset 4096, length 512] at 10.0.0.1:7471: media error: invalid argument at byte 4100 (replace the disk)`
	if got := e.Error(); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	if !errors.Is(e, ErrMedia) || !errors.Is(e, fs.ErrInvalid) {
		t.Error("the causes are lost")
	}
	if got := (&OpError{Op: OpFlush, Layer: LayerCore, BadByte: -1, Err: ErrBusy}).Error(); got != "core: flush: busy" {
		t.Error(got)
	}
}

// What a provider reports, and what the caller gets.
func TestFailWraps(t *testing.T) {
	known := &OpError{Layer: "wire", Peer: "there", BadByte: 1030, Detail: "why", Err: ErrChecksum}
	for _, tc := range []struct {
		name    string
		err     error
		n       int64
		layer   Layer
		badByte int64
		peer    string
		cause   error
	}{
		{"plain", ErrMedia, 0, "fake", -1, "", ErrMedia},
		{"after some bytes", fmt.Errorf("%w: EIO", ErrMedia), 100, "fake", 1124, "", ErrMedia},
		{"an OpError", known, 100, "wire", 1030, "there", ErrChecksum},
		{"a wrapped OpError", fmt.Errorf("more: %w", known), 0, "wire", 1030, "there", ErrChecksum},
		{"cancelled", ErrCanceled, 100, LayerCore, -1, "", ErrCanceled},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r := newRig(t, Info{}, ChannelConfig{})
			mustPost(t, r.ch, r.req(7, OpRead, 1024, 512, 0))
			r.q.mu.Lock()
			r.q.done = append(r.q.done, fakeDone{op: r.q.pending[0], n: tc.n, err: tc.err})
			r.q.pending = nil
			r.q.mu.Unlock()
			done := make([]Completion, 1)
			var oe *OpError
			if r.ch.Poll(done) != 1 || !errors.As(done[0].Err, &oe) || !errors.Is(oe, tc.cause) || done[0].N != tc.n {
				t.Fatalf("%+v", done[0])
			}
			if oe.Op != OpRead || oe.Device != "fake0" || oe.Offset != 1024 || oe.Length != 512 {
				t.Errorf("the request is not described: %+v", oe)
			}
			if oe.Layer != tc.layer || oe.BadByte != tc.badByte || oe.Peer != tc.peer {
				t.Errorf("%+v", oe)
			}
			if known.Op != 0 {
				t.Error("the provider's error was changed")
			}
		})
	}
}

// A failed step describes the request, not the step.
func TestFailDescribesTheRequest(t *testing.T) {
	r := newRig(t, Info{BlockSize: 512}, ChannelConfig{})
	r.q.setMode(modeInline)
	r.q.fail = func(op *Op) error {
		if op.Offset >= 4096 {
			return ErrNoSpace
		}
		return nil
	}
	reg, err := r.dev.Attach(t.Context(), "vol", ReadWrite)
	if err != nil {
		t.Fatal(err)
	}
	mustPost(t, r.ch, Request{ID: 1, Op: OpWrite, Region: reg, Offset: 3000, Data: alignedFrom(2000, 72)})
	done := make([]Completion, 1)
	var oe *OpError
	if r.ch.Poll(done) != 1 || !errors.As(done[0].Err, &oe) || !errors.Is(oe, ErrNoSpace) {
		t.Fatal(done[0].Err)
	}
	if oe.Op != OpWrite || oe.Region != "vol" || oe.Offset != 3000 || oe.Length != 2000 || oe.BadByte != 4608 || done[0].N != 1608 {
		t.Errorf("%+v, %d bytes done", oe, done[0].N)
	}
}

func TestErrorLogKeepsTheLast(t *testing.T) {
	var l errorLog
	if got := l.last(); len(got) != 0 {
		t.Error(got)
	}
	for i := range 100 {
		l.add(fmt.Errorf("failure %d", i))
		got := l.last()
		if want := min(i+1, errorLogSize); len(got) != want {
			t.Fatalf("%d records after %d failures", len(got), i+1)
		}
		if last := got[len(got)-1]; last.Err.Error() != fmt.Sprintf("failure %d", i) || last.Time.IsZero() {
			t.Fatalf("last is %v", last)
		}
	}
	if first := l.last()[0].Err.Error(); first != "failure 36" {
		t.Error(first)
	}
}

func TestNames(t *testing.T) {
	for got, want := range map[string]string{
		OpCompareSwap.String():               "compare-swap",
		Opcode(77).String():                  "op(77)",
		Ops(OpWrite, OpRead).String():        "read,write",
		(Fence | Durable).String():           "fence|durable",
		(Silent | 0x80).String():             "silent|0x80",
		ReadWrite.String():                   "read-write",
		Rights(8).String():                   "rights(0x8)",
		Power.String():                       "power-fail",
		Persistence(9).String():              "persistence(9)",
		strings.ToLower(ErrFull.Error()):     ErrFull.Error(),
		fmt.Sprint(AllOps.Has(opEnd)):        "false",
		fmt.Sprint(AllOps.Has(OpFetchAdd)):   "true",
		fmt.Sprint(AllOps.Has(Opcode(0))):    "false",
		fmt.Sprint(Ops(OpRead).Has(OpWrite)): "false",
	} {
		if got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}
