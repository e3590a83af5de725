package target

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/unio-stack/unio"
	"github.com/unio-stack/unio/provider/rdma"
	"github.com/unio-stack/unio/uniotest/faults"
)

func init() { roles["crowd"] = crowd }

// Each client of a crowd has its part of the region, which has so many slots of a page: one for each request in flight.
const (
	crowdClients = 1000
	crowdDepth   = 64
	crowdPage    = 4096
	crowdPart    = 8 * crowdPage // of which Writes and Reads at a time keep to parts of pages
)

// crowdWork is how many requests all have done when no more are posted.
func crowdWork() int64 {
	if raceDetector { // which makes each take long
		return 40 * crowdClients
	}
	return 200 * crowdClients
}

// A crowdReport is what a crowd has done.
type crowdReport struct {
	Least, Median, Most int
	Seconds             float64 // until the last request had ended
}

// crowd is so many clients at a time, each with as many requests in flight all the time.
func crowd(addr string) error {
	var members [crowdClients]*member
	domain := rdma.NewDomain()
	for i := range members {
		_, reg, ch, err := attached(addr, "disk", crowdDepth, rdma.Config{Domain: domain, HandshakeTimeout: time.Minute, KeepAlive: time.Minute})
		if err != nil {
			return fmt.Errorf("client %d: %w", i, err)
		}
		members[i] = &member{reg: reg, ch: ch, base: int64(i) * crowdPart}
	}
	fmt.Println("connected")
	began := time.Now()
	var ended atomic.Int64
	errs := make([]error, len(members))
	var all sync.WaitGroup
	for i, m := range members {
		all.Go(func() { errs[i] = m.work(&ended) })
	}
	all.Wait()
	if err := errors.Join(errs...); err != nil {
		return err
	}
	var done []int
	for _, m := range members {
		done = append(done, m.done)
	}
	slices.Sort(done)
	return json.NewEncoder(os.Stdout).Encode(crowdReport{done[0], done[len(done)/2], done[len(done)-1], time.Since(began).Seconds()})
}

// A member is one client of a crowd. What it has in flight are pairs of a Write of a piece and, when that has ended, a Read.
type member struct {
	reg    *unio.Region
	ch     *unio.Channel
	base   int64
	done   int // requests, when all had done enough
	pieces [crowdDepth][crowdPart / crowdDepth]byte
	turns  [crowdDepth]uint64
}

func (m *member) work(all *atomic.Int64) error {
	ctx, stop := context.WithTimeout(context.Background(), 4*patience)
	defer stop()
	for i := range m.pieces {
		if err := m.post(uint64(i)); err != nil {
			return err
		}
	}
	var done [16]unio.Completion
	for flight := crowdDepth; flight > 0; {
		n, err := m.ch.Wait(ctx, done[:])
		if err != nil {
			return fmt.Errorf("the client at %d, after %d requests, with %d in flight: %w", m.base, m.done, flight, err)
		}
		flight -= n
		for _, c := range done[:n] {
			if err := m.check(&c); err != nil {
				return err
			}
			if all.Add(1) > crowdWork() {
				continue
			}
			m.done++
			if err := m.post(c.ID); err != nil {
				return err
			}
			flight++
		}
	}
	return nil
}

// post posts what is next in a place.
func (m *member) post(i uint64) error {
	p := m.pieces[i][:]
	q := unio.Request{ID: i, Op: unio.OpWrite, Region: m.reg, Offset: m.base + int64(i)*int64(len(p)), Data: p}
	if m.turns[i]++; m.turns[i]%2 == 0 {
		q.Op = unio.OpRead
		clear(p)
	} else {
		stampWords(p, uint64(m.base)<<20|m.turns[i])
	}
	_, err := m.ch.Post(q)
	return err
}

func (m *member) check(c *unio.Completion) error {
	p, turn := m.pieces[c.ID][:], m.turns[c.ID]
	if c.Err != nil || turn%2 == 1 {
		return c.Err
	}
	if got, want := binary.LittleEndian.Uint64(p), uint64(m.base)<<20|(turn-1); got != want || torn(p, len(p)) >= 0 {
		return fmt.Errorf("the client at %d reads %x, and wrote %x", m.base, got, want)
	}
	return nil
}

// A thousand clients with 64 requests each, for which there is not nearly enough memory: all requests end, right, no client
// is left behind, and the target has the memory that it may have and little besides.
func TestThousandClients(t *testing.T) {
	const limit = 12 << 20
	dev, err := faults.Wrap(memoryDevice(t, crowdClients*crowdPart), "any 1/8 delay 1ms", 1) // clients do not reach it themselves
	if err != nil {
		t.Fatal(err)
	}
	tg, addr := served(t, Config{
		Exports: []Export{{Name: "disk", Device: closing(t, dev)}}, Memory: limit, PerConnection: 1 << 20,
		RDMA: rdma.Config{HandshakeTimeout: time.Minute, KeepAlive: time.Minute},
	})
	before := heapInUse()
	c := startClient(t, "crowd", addr)
	if line := c.next(); line != "connected" {
		t.Fatalf("the clients say %q", line)
	}
	connected := heapInUse()
	var most, taken int64
	said := make(chan string, 1)
	go func() { said <- c.next() }()
	var line string
	for line == "" {
		select {
		case line = <-said:
		case <-time.After(20 * time.Millisecond): // a look at what there is
			var m runtime.MemStats
			runtime.ReadMemStats(&m)
			most, taken = max(most, int64(m.HeapAlloc)), max(taken, tg.Stats().MemoryTaken)
		}
	}
	var r crowdReport
	if err := json.Unmarshal([]byte(line), &r); err != nil {
		t.Fatalf("the clients say %q: %v", line, err)
	}
	s := tg.Stats()
	t.Logf("%+v; %d KiB of heap for each connection, then %d; %d KiB of I/O memory; %d waits", r,
		(connected-before)/crowdClients>>10, (most-before)/crowdClients>>10, taken>>10, s.Exports[0].MemoryWaits)
	if taken > limit {
		t.Errorf("%d bytes of I/O memory, the limit is %d", taken, limit)
	}
	if each := (most - before) / crowdClients; each > 160<<10 {
		t.Errorf("%d bytes of heap for each connection", each)
	}
	if s.Exports[0].MemoryWaits == 0 && !raceDetector { // with it the clients are slower than the target
		t.Error("nobody had to wait for memory")
	}
	if s.Admitted != crowdClients {
		t.Errorf("%d connections for %d clients", s.Admitted, crowdClients)
	}
	if r.Least < r.Median/4 && !raceDetector { // with it not all have begun by then
		t.Errorf("a client got %d requests done, half of them at least %d", r.Least, r.Median)
	}
	c.kill()
	wait(t, func() bool { s := tg.Stats(); return s.Connections == 0 && s.Exports[0].MemoryInUse == 0 })
}

func heapInUse() int64 {
	var m runtime.MemStats
	for range 2 { // what a sync.Pool has goes with the second
		runtime.GC()
	}
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}
