package target

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"os"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/unio-stack/unio"
	"github.com/unio-stack/unio/provider/file"
	"github.com/unio-stack/unio/provider/rdma"
)

func init() { roles["havoc"] = havoc }

// What havoc writes to: blocks, of which each Write makes one anew, and behind them words.
const (
	havocBlock    = 32 << 10
	havocBlocks   = 128
	havocWords    = havocBlocks * havocBlock
	havocChannels = 4
	havocEnd      = havocWords + 4096
)

// havoc does everything at a time through some channels, for ever. Each word of a block says which Write it is of.
func havoc(addr string) error {
	var began atomic.Int64
	failed := make(chan error)
	for i := range havocChannels {
		_, reg, ch, err := attached(addr, "disk", 64, rdma.Config{})
		if err != nil {
			return err
		}
		go func() { failed <- wreak(reg, ch, uint64(i), &began) }()
	}
	return <-failed
}

// wreak keeps a channel full, and says when that has been going on for a while.
func wreak(reg *unio.Region, ch *unio.Channel, number uint64, began *atomic.Int64) error {
	rng := rand.New(rand.NewPCG(number, uint64(os.Getpid())))
	slots := make([][]byte, ch.Depth())
	next := func(slot uint64) unio.Request {
		q := unio.Request{ID: slot, Region: reg, Data: slots[slot], Offset: rng.Int64N(havocBlocks) * havocBlock}
		switch n := rng.IntN(16); {
		case n < 9:
			q.Op = unio.OpWrite
			stampWords(q.Data, rng.Uint64())
		case n < 13:
			q.Op = unio.OpRead
		case n < 15:
			q.Op, q.Data, q.Offset, q.Swap = unio.OpFetchAdd, nil, havocWords+8*rng.Int64N(8), 1
		default:
			q.Op, q.Data, q.Offset = unio.OpFlush, nil, 0
		}
		return q
	}
	for i := range slots {
		slots[i] = make([]byte, havocBlock)
		if _, err := ch.Post(next(uint64(i))); err != nil {
			return err
		}
	}
	var done [16]unio.Completion
	for {
		n, err := ch.Wait(context.Background(), done[:])
		if err != nil {
			return err
		}
		for _, c := range done[:n] {
			if c.Err != nil {
				return c.Err
			}
			if began.Add(1) == 500 {
				fmt.Println("going")
			}
			if _, err := ch.Post(next(c.ID)); err != nil {
				return err
			}
		}
	}
}

func stampWords(p []byte, value uint64) {
	for at := 0; at < len(p); at += 8 {
		binary.LittleEndian.PutUint64(p[at:], value)
	}
}

// torn returns the first unit of p whose words are not all the same, or -1.
func torn(p []byte, unit int) int {
	for at := 0; at < len(p); at += unit {
		if u := p[at : at+unit]; !bytes.Equal(u[8:], u[:unit-8]) {
			return at
		}
	}
	return -1
}

// A client is killed in the middle of everything, again and again. The target gets back all that it had, the work of another
// client goes on, and of no unit is a half written.
func TestKilledClient(t *testing.T) {
	for _, d := range []struct {
		name string
		open func(*testing.T) *unio.Device
	}{
		{"file", func(t *testing.T) *unio.Device { return fileDevice(t, t.TempDir(), file.Config{}) }},
		{"memory", func(t *testing.T) *unio.Device { return memoryDevice(t, regionSize) }},
	} {
		t.Run(d.name, func(t *testing.T) { testKilledClient(t, d.open(t)) })
	}
}

func testKilledClient(t *testing.T, dev *unio.Device) {
	const kills = 4
	tg, addr := served(t, Config{Exports: []Export{{Name: "disk", Device: dev}}})
	other := dial(t, addr, "disk", rdma.Config{})
	var rounds atomic.Int64
	ctx, stop := context.WithCancel(t.Context())
	var all sync.WaitGroup
	all.Go(func() {
		for ctx.Err() == nil {
			other.transfer(havocEnd, 64<<10, 16<<10)
			rounds.Add(1)
		}
	})
	defer all.Wait()
	defer stop()

	files := 0
	for i := range kills {
		victim := startClient(t, "havoc", addr)
		if line := victim.next(); line != "going" {
			t.Fatalf("the client says %q", line)
		}
		before := rounds.Load()
		wait(t, func() bool { return rounds.Load() > before }) // beside the victim
		victim.kill()
		before = rounds.Load()
		wait(t, func() bool { return tg.Stats().Connections == 1 })
		wait(t, func() bool { return rounds.Load() > before+1 })
		checkUnits(t, addr)
		if t.Failed() {
			return
		}
		if i == 0 { // with it came the last lane
			files = openFiles(t)
		}
	}
	wait(t, func() bool { return tg.Stats().Connections == 1 })
	if n := openFiles(t); n > files {
		t.Errorf("%d descriptors are open, and %d were after the first client was killed", n, files)
	}
	s := tg.Stats()
	if most := int64(1 + kills*(1+havocChannels)); s.Admitted > most { // fewer if one was killed before it had all of its channels
		t.Errorf("%d connections were admitted, and %d are needed: somebody had to connect again", s.Admitted, most)
	}
	stop()
	all.Wait()
	wait(t, func() bool {
		e := tg.Stats().Exports[0]
		return e.InFlight == 0 && e.Queued == 0 && e.MemoryInUse == 0
	})
	for _, l := range tg.exports.Load().order[0].lanes {
		l.mu.Lock()
		if !l.busy && len(l.free) != len(l.places) {
			t.Errorf("%d of %d places of a lane are free", len(l.free), len(l.places))
		}
		l.mu.Unlock()
	}
}

// checkUnits reads what havoc has written, through a connection of its own.
func checkUnits(t *testing.T, addr string) {
	t.Helper()
	dev, reg, ch, err := attached(addr, "disk", 1, rdma.Config{})
	if err != nil {
		t.Fatal(err)
	}
	defer dev.Close()
	unit := dev.Info().AtomicUnit
	p := make([]byte, havocBlock)
	written := 0
	for at := int64(0); at < havocWords; at += havocBlock {
		if err := ch.Do(t.Context(), unio.Request{Op: unio.OpRead, Region: reg, Offset: at, Data: p}); err != nil {
			t.Fatal(err)
		}
		if i := torn(p, unit); i >= 0 {
			t.Errorf("the %d bytes at %d are half of one Write and half of another", unit, at+int64(i))
		}
		if binary.LittleEndian.Uint64(p) != 0 {
			written++
		}
	}
	if written < havocBlocks/2 {
		t.Errorf("only %d of %d blocks were ever written", written, havocBlocks)
	}
}

func openFiles(t *testing.T) int {
	t.Helper()
	all, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(all)
}
