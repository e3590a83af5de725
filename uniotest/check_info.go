package uniotest

import (
	"context"
	"encoding/json"

	"github.com/unio-stack/unio"
)

// checkInfo: the device describes itself completely, and starts out zero.
func checkInfo(r *rig) {
	i := r.info
	for _, f := range []struct{ name, value string }{
		{"Provider", i.Provider}, {"Name", i.Name}, {"Engine", i.Engine},
	} {
		if f.value == "" {
			r.Errorf("Info.%s is empty", f.name)
		}
	}
	for _, f := range []struct {
		name  string
		value int
	}{
		{"BlockSize", i.BlockSize},
		{"MemoryAlign", i.MemoryAlign},
		{"ZeroUnit", i.ZeroUnit},
		{"AtomicUnit", i.AtomicUnit},
	} {
		if f.value < 1 || f.value&(f.value-1) != 0 {
			r.Errorf("Info.%s is %d, not a power of two", f.name, f.value)
		}
	}
	if i.MaxDepth < 1 || i.MaxTransfer < int64(i.BlockSize) {
		r.Errorf("Info.MaxDepth is %d, MaxTransfer %d: nothing could be done", i.MaxDepth, i.MaxTransfer)
	}
	if both := i.Native & i.Provided; both != 0 {
		r.Errorf("%v are native and provided too", both)
	}
	if !r.ops.Has(unio.OpRead) {
		r.Errorf("the device offers %v, and no read", r.ops)
	}
	if _, err := json.Marshal(i); err != nil {
		r.Errorf("Info does not marshal: %v", err)
	}
	r.Logf("device: %+v", i)
	checkRegion(r)
}

// checkRegion: the region says what it is.
func checkRegion(r *rig) {
	if r.reg.Device() != r.dev || r.reg.Name() != r.cfg.Region || r.reg.Rights() != r.rights() {
		r.Errorf("the region says %p, %q, %v; it was attached as %p, %q, %v",
			r.reg.Device(), r.reg.Name(), r.reg.Rights(), r.dev, r.cfg.Region, r.rights())
	}
	if n := r.reg.Size(); n%int64(r.info.BlockSize) != 0 {
		r.Errorf("the region's size %d is not a multiple of its block size %d", n, r.info.BlockSize)
	}
	if _, err := r.dev.Attach(context.Background(), "no such region, surely", unio.ReadOnly); err == nil {
		r.Error("a region that does not exist can be attached")
	}
	ch := r.channel(unio.ChannelConfig{})
	if at := other(r.read(ch, 0, Size), 0); at >= 0 && !r.info.ReadOnly {
		r.Errorf("a fresh region is not zero at byte %d", at)
	}
}
