package unio

import (
	"context"
	"errors"
	"testing"
)

// wholeInfo offers Append and WriteAtomic.
func wholeInfo() Info {
	return Info{BlockSize: 512, Native: Ops(OpRead, OpWrite, OpFlush) | WholeOps, NativeDurable: WholeOps, MaxTransfer: 4096, MaxAtomic: 1 << 20, MaxRanges: 3}
}

// TestWholeIsNotSplit: an Append or a WriteAtomic reaches the provider as it
// was posted, whatever its length and alignment.
func TestWholeIsNotSplit(t *testing.T) {
	r := newRig(t, wholeInfo(), ChannelConfig{})
	for i, q := range []Request{
		{Op: OpAppend, Data: make([]byte, 10_001)},
		{Op: OpAppend, Flags: Durable, Data: make([]byte, 3)},
		{Op: OpWriteAtomic, Data: make([]byte, 8000), Ranges: []Range{{1, 7999}, {9000, 1}}},
	} {
		q.ID, q.Region = uint64(i), r.reg
		mustPost(t, r.ch, q)
		r.q.finish(q.ID)
		wantIDs(t, r.ch, q.ID)
	}
	if n := r.ch.Stats().Assisted; n != 0 {
		t.Errorf("%d of them were carried out in steps", n)
	}
}

// TestWholeNeedsNativeDurable: no flush is put after what is done as a whole.
func TestWholeNeedsNativeDurable(t *testing.T) {
	info := wholeInfo()
	info.NativeDurable = 0
	r := newRig(t, info, ChannelConfig{})
	_, err := r.ch.Post(Request{Op: OpAppend, Flags: Durable, Region: r.reg, Data: make([]byte, 8)})
	if !errors.Is(err, ErrUnsupported) {
		t.Errorf("%v, want ErrUnsupported", err)
	}
}

func TestAllocatedUnsupported(t *testing.T) {
	r := newRig(t, wholeInfo(), ChannelConfig{})
	if _, err := r.reg.Allocated(context.Background(), 0, 1); !errors.Is(err, ErrUnsupported) {
		t.Errorf("%v, want ErrUnsupported", err)
	}
}
