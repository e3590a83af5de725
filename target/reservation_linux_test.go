package target

import (
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/unio-stack/unio"
	"github.com/unio-stack/unio/provider/rdma"
)

func hinted(inFlight int64) rdma.Config { return rdma.Config{Hints: rdma.Hints{InFlight: inFlight}} }

// A client is told when there is no memory for it, opening and making channels, and finds it when another has gone.
func TestReservationFromAfar(t *testing.T) {
	m := &medium{}
	tg, addr := served(t, Config{Exports: []Export{{Name: "disk", Device: m.open(t)}}, Memory: 34 << 20})
	first := dial(t, addr, "disk", hinted(15<<20))
	if s := tg.Stats(); s.MemoryReserved != setAside(15<<20) {
		t.Errorf("%+v", s)
	}
	refused := func(what string, err error, words string) {
		t.Helper()
		if !errors.Is(err, unio.ErrBusy) || !strings.Contains(err.Error(), words) {
			t.Errorf("%s: %v, want ErrBusy with %q", what, err, words)
		}
	}
	_, err := rdma.OpenRegion(t.Context(), addr, "disk", false, hinted(2<<20))
	refused("another client", err, "2 MiB in flight cannot be reserved: the target has 1 MiB left: ask for less, or later")
	_, err = rdma.OpenRegion(t.Context(), addr, "disk", false, hinted(17<<20))
	refused("more than a connection may have", err, "17 MiB in flight cannot be reserved: a connection may have 16 MiB: ask for less")
	_, err = first.dev.NewChannel(unio.ChannelConfig{})
	refused("another channel", err, "15 MiB in flight")
	dial(t, addr, "disk", rdma.Config{}) // without hints
	if err := first.dev.Close(); err != nil {
		t.Fatal(err)
	}
	wait(t, func() bool { return tg.Stats().MemoryReserved == 0 })
	second := dial(t, addr, "disk", hinted(2<<20))
	if err := second.do(unio.OpRead, 0, make([]byte, 1<<20)); err != nil {
		t.Error(err)
	}
}

// Up to what it has reserved, a client is served although others have all memory; and beyond that as well, in turns.
func TestReservedIsServed(t *testing.T) {
	m := &medium{}
	tg, addr := served(t, Config{Exports: []Export{{Name: "disk", Device: m.open(t)}}, Memory: 34 << 20})
	c := dial(t, addr, "disk", hinted(256<<10))
	defer exhaust(t, tg)()
	for _, size := range []int{4096, 64 << 10, 5000, 256 << 10} {
		within(t, "the load", func() {
			begun := time.Now()
			p := make([]byte, 16<<20)
			c.pieces(unio.OpRead, 0, p, size) // 64 at a time
			c.pieces(unio.OpWrite, 0, p, size)
			if took := time.Since(begun); took > 5*time.Second {
				t.Errorf("pieces of %d took %v", size, took)
			}
		})
	}
}

// A client whose connection has broken waits for its own old reservation no longer than the old connection lives.
func TestReservationOfBrokenConnection(t *testing.T) {
	m := &medium{stubborn: true}
	tg, addr := served(t, Config{Exports: []Export{{Name: "disk", Device: m.open(t)}}, Memory: 34 << 20})
	c := dial(t, addr, "disk", hinted(15<<20))
	m.hold(unio.AllOps)
	if _, err := c.ch.Post(unio.Request{Op: unio.OpRead, Region: c.reg, Data: make([]byte, 4096)}); err != nil {
		t.Fatal(err)
	}
	wait(t, func() bool { return m.inFlight.Load() == 1 })
	sessions, _ := tg.roster.everybody()
	sessions[0].service.Disconnect()
	wait(t, func() bool { // it tries again, and is refused
		for _, f := range c.dev.Errors() {
			if errors.Is(f.Err, unio.ErrBusy) {
				return true
			}
		}
		return false
	})
	m.hold(0)
	var done [1]unio.Completion
	if _, err := c.ch.Wait(t.Context(), done[:]); err != nil || !errors.Is(done[0].Err, unio.ErrDisconnected) {
		t.Errorf("%v, %v", err, done[0].Err)
	}
	wait(t, func() bool { return c.do(unio.OpRead, 0, make([]byte, 4096)) == nil })
	if s := tg.Stats(); s.MemoryReserved != setAside(15<<20) || s.Connections != 1 {
		t.Errorf("%+v", s)
	}
}

// Clients that come and go at a time, with reservations that do not all fit, leave nothing behind.
func TestReservationsComeAndGo(t *testing.T) {
	m := &medium{}
	tg, addr := served(t, Config{Exports: []Export{{Name: "disk", Device: m.open(t)}}, Memory: 34 << 20})
	var all sync.WaitGroup
	for i := range int64(12) {
		all.Go(func() {
			for range 10 {
				dev, err := rdma.OpenRegion(t.Context(), addr, "disk", false, hinted((i+1)*700<<10))
				if errors.Is(err, unio.ErrBusy) {
					continue
				}
				if err != nil {
					t.Error(err)
					return
				}
				if err := dev.Close(); err != nil {
					t.Error(err)
				}
			}
		})
	}
	within(t, "all of them", all.Wait)
	wait(t, func() bool { s := tg.Stats(); return s.MemoryReserved == 0 && s.Connections == 0 })
	checkPool(t, tg.pool, tg.pool.arenas)
}

// Who sets no connection up is counted and told of, apart from who is rejected.
func TestFailedHandshakes(t *testing.T) {
	var mu sync.Mutex
	count := map[EventKind]int{}
	tg, addr := served(t, Config{Exports: []Export{{Name: "disk", Device: memoryDevice(t, 1<<20)}}, OnEvent: func(e Event) {
		mu.Lock()
		defer mu.Unlock()
		count[e.Kind]++
		if e.Kind == Failed && (e.Peer == nil || e.Err == nil || !strings.Contains(e.Err.Error(), "CRC")) {
			t.Errorf("%+v", e)
		}
	}, RDMA: rdma.Config{CRC: rdma.CRCOff}})
	if _, err := rdma.OpenRegion(t.Context(), addr, "none", false, rdma.Config{CRC: rdma.CRCOff}); err == nil {
		t.Error("opened")
	}
	for range 2 {
		if _, err := rdma.OpenRegion(t.Context(), addr, "disk", false, rdma.Config{}); err == nil {
			t.Error("opened")
		}
	}
	wait(t, func() bool { return tg.Stats().Failed == 2 })
	if s := tg.Stats(); s.Rejected != 1 || s.Connections != 0 {
		t.Errorf("%+v", s)
	}
	mu.Lock()
	defer mu.Unlock()
	if count[Failed] != 2 || count[Rejected] != 1 || Failed.String() != "handshake failed" {
		t.Errorf("events: %v", count)
	}
}
