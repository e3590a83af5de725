package target

import (
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/unio-stack/unio"
	"github.com/unio-stack/unio/provider/rdma"
	"github.com/unio-stack/unio/uniotest/faults"
)

// A disk stalls for more than three times as long as a dead connection is given, as one that stalls for 30 s does with what
// is the default. Another export of the target keeps its latency, the stalled connections live, and what they have asked for
// is done in the end; also where they want more memory than there is.
func TestStalledDisk(t *testing.T) {
	for name, memory := range map[string]int64{"enough memory": 256 << 20, "little memory": 12 << 20} {
		t.Run(name, func(t *testing.T) { testStalledDisk(t, memory) })
	}
}

func testStalledDisk(t *testing.T, memory int64) {
	const keepAlive, stall = 300 * time.Millisecond, time.Second
	m := &medium{}
	healthy, err := faults.Wrap(memoryDevice(t, regionSize), "", 1) // which clients do not reach themselves
	if err != nil {
		t.Fatal(err)
	}
	tg, addr := served(t, Config{
		Exports: []Export{{Name: "stalled", Device: m.open(t)}, {Name: "disk", Device: closing(t, healthy)}},
		RDMA:    rdma.Config{KeepAlive: keepAlive}, Memory: memory, PerConnection: memory / 12,
	})
	cfg := rdma.Config{KeepAlive: keepAlive}
	quick := dial(t, addr, "disk", cfg)
	before := quick.latencies(stall / 4)

	m.hold(unio.AllOps)
	const clients, each = 16, 64
	var all sync.WaitGroup
	for range clients {
		c := dial(t, addr, "stalled", cfg)
		all.Go(func() { c.mixed(t, each) })
	}
	wait(t, func() bool {
		s := tg.Stats().Exports[0]
		return s.InFlight+s.Queued > clients*each/2 || s.MemoryWaits > clients/2
	})
	began := time.Now()
	during := quick.latencies(stall)
	if time.Since(began) < stall {
		t.Errorf("the other export was busy for %v only", time.Since(began))
	}
	t.Logf("median before %v of %d, during the stall %v of %d", median(before), len(before), median(during), len(during))
	if limit := 3*median(before) + time.Millisecond/2; median(during) > limit {
		t.Errorf("while one disk stalls, half of the requests to another take more than %v; it was %v before", median(during), median(before))
	}
	if len(during) < len(before) { // in four times as long
		t.Errorf("%d requests to another disk end while one stalls, in %v; before it were %d in %v", len(during), stall, len(before), stall/4)
	}
	if s := tg.Stats(); s.Connections != clients+1 || s.Admitted != clients+1 {
		t.Errorf("%d connections of %d admitted, want %d that have never broken", s.Connections, s.Admitted, clients+1)
	}
	m.hold(0)
	within(t, "what was stalled", all.Wait)
	if s := tg.Stats(); s.Admitted != clients+1 || s.Exports[0].InFlight+s.Exports[0].Queued != 0 {
		t.Errorf("afterwards: %+v", s)
	}
}

// mixed carries out n requests at a time, which all succeed.
func (r *remote) mixed(t *testing.T, n int) {
	var reqs []unio.Request
	for i := range n {
		q := unio.Request{ID: uint64(i), Op: unio.OpRead, Region: r.reg, Offset: int64(i) << 16, Data: make([]byte, 64<<10)}
		switch i % 4 {
		case 1:
			q.Op = unio.OpWrite
		case 2:
			q.Op, q.Data, q.Swap = unio.OpFetchAdd, nil, 1
		case 3:
			q.Op, q.Data, q.Offset = unio.OpFlush, nil, 0
		}
		reqs = append(reqs, q)
	}
	r.each(reqs, func(q *unio.Request, c *unio.Completion) {
		if c.Err != nil {
			t.Errorf("%v of the stalled disk: %v", q.Op, c.Err)
		}
	})
}

// latencies are those of Reads, one at a time, for a while.
func (r *remote) latencies(d time.Duration) (all []time.Duration) {
	p := make([]byte, 4096)
	for end := time.Now().Add(d); ; {
		began := time.Now()
		if began.After(end) {
			return all
		}
		if err := r.do(unio.OpRead, 0, p); err != nil {
			r.t.Error(err)
			return all
		}
		all = append(all, time.Since(began))
	}
}

func median(all []time.Duration) time.Duration {
	all = slices.Clone(all)
	slices.Sort(all)
	return all[len(all)/2]
}
