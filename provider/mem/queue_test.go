package mem

import (
	"context"
	"testing"
	"testing/synctest"

	"github.com/unio-stack/unio"
)

// TestSleep blocks until it is woken, also by a Wake that came before, and
// once for any number of them.
func TestSleep(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := newQueue(&device{})
		q.Wake()
		q.Wake()
		q.Sleep()
		woken := false
		go func() {
			q.Sleep()
			woken = true
		}()
		synctest.Wait()
		if woken {
			t.Error("woke without a Wake")
		}
		q.Wake()
		synctest.Wait()
		if !woken {
			t.Error("sleeps on")
		}
	})
}

// TestNothingIsAllocated per request, of any kind.
func TestNothingIsAllocated(t *testing.T) {
	forEach(t, 1<<20, func(t *testing.T, r *rig) {
		vec := [][]byte{make([]byte, 100), make([]byte, 3), make([]byte, 4096)}
		reqs := []unio.Request{
			{Op: unio.OpRead, Data: make([]byte, 4096)},
			{Op: unio.OpWrite, Data: make([]byte, 4096)},
			{Op: unio.OpWrite, Offset: 3, Data: make([]byte, 77)},
			{Op: unio.OpRead, Vec: vec, Offset: 9},
			{Op: unio.OpWrite, Vec: vec},
			{Op: unio.OpFetchAdd, Swap: 1},
			{Op: unio.OpCompareSwap, Offset: 8},
			{Op: unio.OpWriteZeroes, Offset: 100, Length: 100},
			{Op: unio.OpFlush},
			{Op: unio.OpDiscard, Offset: 1 << 18, Length: 1 << 17},
			{Op: unio.OpWrite, Flags: unio.Durable, Data: make([]byte, 64)},
		}
		for i := range reqs {
			reqs[i].Region = r.reg
		}
		done := make([]unio.Completion, len(reqs))
		if n := testing.AllocsPerRun(50, func() {
			if n, err := r.ch.Post(reqs...); n != len(reqs) || r.ch.Poll(done) != n {
				t.Error(n, err)
			}
		}); n > 2 { // the discard's and the flush's system calls
			t.Errorf("%v allocations in %d requests", n, len(reqs))
		}
		if n := testing.AllocsPerRun(50, func() {
			if n, err := r.ch.Post(reqs[:8]...); n != 8 || r.ch.Poll(done) != n {
				t.Error(n, err)
			}
		}); n != 0 {
			t.Errorf("%v allocations without system calls", n)
		}
	})
}

// TestInfo holds what people and programs read.
func TestInfo(t *testing.T) {
	dram, dax := dramRig(t, 4096).dev.Info(), fileRig(t, 4096)
	if dram.Provider != "mem" || dram.Engine != "copy" || dram.Persistence != unio.Volatile {
		t.Errorf("DRAM: %+v", dram)
	}
	i := dax.dev.Info()
	if i.Provider != "dax" || i.Name != dax.path || i.Reason == "" {
		t.Errorf("file: %+v", i)
	}
	if i.Engine == "mapped-msync" && len(i.Notes) == 0 {
		t.Error("the fallback to msync is not noted")
	}
	for _, i := range []unio.Info{dram, i} {
		if i.Native != unio.AllOps || i.Provided != 0 || i.NativeDurable != mutations || i.AtomicUnit != 8 || i.BlockSize != 1 || i.MemoryAlign != 1 {
			t.Errorf("%s: %+v", i.Provider, i)
		}
	}
}

// TestLongRequests are done in pieces.
func TestLongRequests(t *testing.T) {
	const size = 5*piece + 1234
	forEach(t, size+100, func(t *testing.T, r *rig) {
		data := pattern(size, 8)
		r.write(51, data, 0)
		r.wantBytes(51, data)
		r.must(unio.Request{Op: unio.OpWriteZeroes, Offset: 52, Length: size - 2})
		clear(data[1 : size-1])
		r.wantBytes(51, data)
		if err := r.ch.Do(context.Background(), unio.Request{Op: unio.OpFlush, Region: r.reg}); err != nil {
			t.Error(err)
		}
	})
}
