package target

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/unio-stack/unio"
	"github.com/unio-stack/unio/internal/workload"
	"github.com/unio-stack/unio/provider/file"
	"github.com/unio-stack/unio/provider/mem"
	"github.com/unio-stack/unio/provider/rdma"
	"github.com/unio-stack/unio/uniotest/faults"
)

var soakTime = flag.Duration("soak", 2*time.Second, "how long TestSoak goes on")

// Clients come to several exports, each do some random work, which they verify, and go; now and then a disk is slow. The first
// wrong byte, and the first error, end it. make soak has it go on for long.
func TestSoak(t *testing.T) {
	dir := t.TempDir()
	slow, err := faults.Wrap(memoryDevice(t, regionSize), "any 1/2000 delay 20ms", 1)
	if err != nil {
		t.Fatal(err)
	}
	mapped, err := mem.OpenFile(t.Context(), filepath.Join(dir, "mapped"), mem.DAXConfig{Size: regionSize, Create: true})
	if err != nil {
		t.Fatal(err)
	}
	exports := []Export{
		{Name: "file", Device: fileDevice(t, dir, file.Config{})},
		{Name: "memory", Device: memoryDevice(t, regionSize)},
		{Name: "slow", Device: closing(t, slow)},
		{Name: "mapped", Device: closing(t, mapped)},
	}
	tg, addr := served(t, Config{Exports: exports, Memory: 32 << 20, PerConnection: 1 << 20})
	seed := uint64(time.Now().UnixNano())
	t.Log("seed", seed)
	var ops, sessions atomic.Int64
	end := time.Now().Add(*soakTime)
	over := make(chan struct{})
	var all sync.WaitGroup
	for i, x := range exports {
		all.Go(func() {
			for rng := rand.New(rand.NewPCG(seed, uint64(i))); time.Now().Before(end) && !t.Failed(); sessions.Add(1) {
				ops.Add(soak(t, addr, x.Name, rng))
			}
		})
	}
	go func() {
		all.Wait()
		close(over)
	}()
	for running := true; running; {
		select {
		case <-over:
			running = false
		case <-time.After(10 * time.Second):
			s := tg.Stats()
			fmt.Printf("soak: %v left, %d operations by %d clients, %d connections now, %d KiB of memory\n",
				time.Until(end).Round(time.Second), ops.Load(), sessions.Load(), s.Connections, s.MemoryTaken>>10)
		}
	}
	wait(t, func() bool { return tg.Stats().Connections == 0 })
	for _, e := range tg.Stats().Exports {
		if e.MemoryInUse != 0 || e.InFlight != 0 || e.Queued != 0 || e.Failed != 0 {
			t.Errorf("at the end: %+v", e)
		}
	}
	t.Logf("%d operations by %d clients", ops.Load(), sessions.Load())
}

// soak is one client's work. It returns how many operations that were.
func soak(t *testing.T, addr, name string, rng *rand.Rand) int64 {
	dev, err := rdma.OpenRegion(t.Context(), addr, name, false, rdma.Config{CRC: rdma.CRC(rng.IntN(2))})
	if err != nil {
		t.Error(err)
		return 0
	}
	defer dev.Close()
	reg, err := dev.Attach(t.Context(), "", unio.ReadWrite)
	if err != nil {
		t.Error(err)
		return 0
	}
	accesses := strings.Fields("randrw randrw randwrite rw write fetch-add compare-swap")
	access, err := workload.ParseAccess(accesses[rng.IntN(len(accesses))], rng.IntN(100)) // percent of reads; without any Write there would be nothing to verify
	if err != nil {
		t.Error(err)
		return 0
	}
	cfg := workload.Config{
		Access: access, BlockSize: 8, Depth: 1 + rng.IntN(64), Channels: 1 + rng.IntN(3), Seed: rng.Uint64(),
		Time: time.Duration(100+rng.IntN(900)) * time.Millisecond,
	}
	if !access.Atomic() {
		cfg.BlockSize = 8 * (8 + rng.IntN(2<<rng.IntN(11)))
		cfg.Verify, cfg.FlushEvery, cfg.Durable = true, rng.IntN(3)*rng.IntN(500), rng.IntN(8) == 0
	}
	r, err := workload.Run(t.Context(), reg, cfg, nil)
	switch {
	case err != nil:
		t.Errorf("%s, %+v: %v", name, cfg, err)
		return 0
	case r.Errors > 0, r.Verify != nil && r.Verify.Mismatches > 0:
		t.Errorf("%s, %+v: %d errors %v, %+v", name, cfg, r.Errors, r.Failure, r.Verify)
	}
	return r.Operations
}
