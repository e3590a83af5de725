package target

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/unio-stack/unio"
	"github.com/unio-stack/unio/provider/file"
	"github.com/unio-stack/unio/provider/mem"
	"github.com/unio-stack/unio/provider/rdma"
	"github.com/unio-stack/unio/uniotest"
	"github.com/unio-stack/unio/uniotest/faults"
)

const regionSize = 8 << 20

// devices are what lanes are tested over.
var devices = []struct {
	name string
	open func(t *testing.T) *unio.Device
}{
	{"mem", func(t *testing.T) *unio.Device { return memoryDevice(t, regionSize) }},
	{"ramdisk", func(t *testing.T) *unio.Device {
		disk := uniotest.NewRAMDisk(t, uniotest.RAMDiskConfig{Size: regionSize, BlockSize: 512, Short: 20, Inline: 3, Seed: 1})
		return closing(t, disk.Open())
	}},
	{"shallow ramdisk", func(t *testing.T) *unio.Device {
		return closing(t, uniotest.NewRAMDisk(t, uniotest.RAMDiskConfig{Size: regionSize, MaxDepth: 2, Seed: 2}).Open())
	}},
	{"file", func(t *testing.T) *unio.Device { return fileDevice(t, t.TempDir(), file.Config{}) }},
	{"buffered file", func(t *testing.T) *unio.Device {
		return fileDevice(t, t.TempDir(), file.Config{Direct: file.Buffered, Engine: file.EnginePosix})
	}},
	{"mapped file", func(t *testing.T) *unio.Device {
		dev, err := mem.OpenFile(context.Background(), filepath.Join(t.TempDir(), "disk"), mem.DAXConfig{Size: regionSize, Create: true})
		if err != nil {
			t.Fatal(err)
		}
		return closing(t, dev)
	}},
}

func fileDevice(t testing.TB, dir string, cfg file.Config) *unio.Device {
	t.Helper()
	cfg.Create, cfg.Size = true, regionSize
	dev, err := file.Open(context.Background(), filepath.Join(dir, "disk"), cfg)
	if err != nil {
		t.Fatal(err)
	}
	return closing(t, dev)
}

// Many clients, each in its own part of the region, read what they wrote, and count together.
func TestManyClients(t *testing.T) {
	for _, d := range devices {
		t.Run(d.name, func(t *testing.T) {
			r := serve(t, Config{Exports: []Export{{Name: "disk", Device: d.open(t)}}})
			const clients, rounds = 12, 24
			const part = 256 << 10
			var all sync.WaitGroup
			for i := range int64(clients) {
				c := r.attach("disk")
				all.Go(func() {
					defer c.close()
					c.verify(t, part*(1+i), part, rounds, rand.New(rand.NewPCG(uint64(i), 9)))
				})
			}
			within(t, "the load", all.Wait)
			c := r.attach("disk")
			defer c.close()
			q := c.request(unio.OpFetchAdd, 8, 8, nil)
			c.post(q)
			if err := q.wait(); err != nil || q.io.Value != clients*rounds {
				t.Errorf("the counter is %d, want %d: %v", q.io.Value, clients*rounds, err)
			}
			s := r.Stats()
			e := s.Exports[0]
			if e.Failed != 0 || e.BytesRead == 0 || e.BytesWritten == 0 || e.MemoryInUse != 0 || e.InFlight != 0 || e.Queued != 0 || s.Connections != 1 || s.Admitted != clients+1 {
				t.Errorf("%+v", s)
			}
		})
	}
}

// verify writes and reads n bytes at off, in requests of many shapes, several at a time.
func (c *client) verify(t *testing.T, off, n int64, rounds int, rng *rand.Rand) {
	model := make([]byte, n)
	for i := range rounds {
		switch i % 4 {
		case 0:
			c.scatterWrites(t, off, model, rng)
		case 1:
			at, k := area(rng, n)
			clear(model[at : at+k])
			op := unio.OpWriteZeroes
			if i%8 == 1 {
				op = unio.OpDiscard
			}
			if err := c.do(op, off+at, k, nil); err != nil {
				t.Error(err)
			}
		case 2:
			if err := c.flush(); err != nil {
				t.Error(err)
			}
		case 3:
			got := make([]byte, n)
			if err := c.read(off, got); err != nil || !bytes.Equal(got, model) {
				t.Errorf("what was read is not what was written: %v", err)
				return
			}
		}
		add := c.request(unio.OpFetchAdd, 8, 8, nil)
		add.io.Swap = 1
		c.post(add)
		if err := add.wait(); err != nil {
			t.Error(err)
		}
	}
}

// scatterWrites writes to disjoint places, in one batch.
func (c *client) scatterWrites(t *testing.T, off int64, model []byte, rng *rand.Rand) {
	var qs []*request
	slot := int64(len(model) / 8)
	for i := range int64(8) {
		at, k := area(rng, slot)
		at += i * slot
		for j := at; j < at+k; j++ {
			model[j] = byte(rng.Uint32())
		}
		qs = append(qs, c.request(unio.OpWrite, off+at, k, bytes.Clone(model[at:at+k])))
	}
	c.post(qs...)
	for _, q := range qs {
		if err := q.wait(); err != nil {
			t.Error(err)
		}
	}
}

// area returns a random part of n bytes, in half of the cases aligned.
func area(rng *rand.Rand, n int64) (at, k int64) {
	at = rng.Int64N(n - 1)
	k = 1 + rng.Int64N(n-at)
	if rng.IntN(2) == 0 && n > 4096 {
		at &^= 4095
		k = max(k&^4095, 4096)
	}
	return at, min(k, n-at)
}

// One request in a hundred fails; it alone does, with what the device said.
func TestFailuresStayAlone(t *testing.T) {
	disk := uniotest.NewRAMDisk(t, uniotest.RAMDiskConfig{Size: regionSize, Seed: 3})
	dev, err := faults.Wrap(disk.Open(), "read at 1MiB..2MiB error media\nany 1/100 error checksum", 5)
	if err != nil {
		t.Fatal(err)
	}
	r := serve(t, Config{Exports: []Export{{Name: "disk", Device: closing(t, dev)}}})
	var failed atomic.Int64
	var all sync.WaitGroup
	for i := range int64(8) {
		c := r.attach("disk")
		all.Go(func() {
			defer c.close()
			for j := range int64(40) {
				var qs []*request
				for k := range int64(16) {
					q := c.request(unio.OpWrite, 2<<20+(i*16+k)<<12, 4096, bytes.Repeat([]byte{byte(j)}, 4096))
					qs = append(qs, q)
				}
				c.post(qs...)
				for _, q := range qs {
					err := q.wait()
					if err == nil {
						continue
					}
					failed.Add(1)
					if e := (*unio.OpError)(nil); !errors.As(err, &e) || !errors.Is(err, unio.ErrChecksum) || e.Layer != faults.Layer {
						t.Errorf("%v", err)
					}
				}
			}
		})
	}
	within(t, "the load", all.Wait)
	c := r.attach("disk")
	defer c.close()
	err = c.read(1<<20-4096, make([]byte, 8192))
	if e := (*unio.OpError)(nil); !errors.As(err, &e) || !errors.Is(err, unio.ErrMedia) || e.BadByte != 1<<20 {
		t.Errorf("a bad block: %v", err)
	}
	if n := failed.Load(); n < 10 || n > 200 {
		t.Errorf("%d of 5120 requests failed", n)
	}
	if s := r.Stats().Exports[0]; s.Failed != failed.Load()+1 {
		t.Errorf("%d failures counted, %d seen", s.Failed, failed.Load())
	}
}

// What the device refuses fails alone, in the middle of a batch.
func TestRefusedRequest(t *testing.T) {
	r := serve(t, Config{Exports: []Export{{Name: "disk", Device: memoryDevice(t, 1<<20)}}})
	c := r.attach("disk")
	defer c.close()
	qs := []*request{
		c.request(unio.OpWrite, 0, 4096, make([]byte, 4096)),
		c.request(unio.OpWrite, 1<<20-100, 4096, make([]byte, 4096)),
		c.request(unio.OpFetchAdd, 3, 8, nil),
		c.request(unio.OpWrite, 4096, 4096, make([]byte, 4096)),
	}
	c.post(qs...)
	for i, want := range []error{nil, unio.ErrOutOfRange, unio.ErrMisaligned, nil} {
		if err := qs[i].wait(); !errors.Is(err, want) {
			t.Errorf("request %d: %v, want %v", i, err, want)
		}
	}
}

// More operations than the device takes wait in the lane, in order, and none is lost.
func TestQueueBeyondDepth(t *testing.T) {
	m := &medium{}
	r := serve(t, Config{Exports: []Export{{Name: "disk", Device: m.open(t)}}})
	c := r.attach("disk")
	defer c.close()
	all := unio.AllOps
	m.hold(all)
	var qs []*request
	for i := range int64(1000) {
		qs = append(qs, c.request(unio.OpRead, i*4096, 4096, nil))
	}
	c.post(qs...)
	if s := r.Stats().Exports[0]; s.InFlight != laneDepth || s.Queued != 1000-laneDepth || s.MemoryInUse != 1000*4096 {
		t.Errorf("%+v", s)
	}
	m.hold(0)
	for _, q := range qs {
		if err := q.wait(); err != nil {
			t.Fatal(err)
		}
	}
}

// A device whose Submit waits keeps only its own goroutine waiting.
func TestPostingThatWaits(t *testing.T) {
	m := &medium{name: "slow+dax", blocks: true, gate: make(chan struct{})}
	r := serve(t, Config{Exports: []Export{{Name: "disk", Device: m.open(t)}}})
	c := r.attach("disk")
	defer c.close()
	qs := []*request{c.request(unio.OpRead, 0, 4096, nil), c.request(unio.OpRead, 4096, 4096, nil)}
	within(t, "Start", func() { c.post(qs[0]) })
	within(t, "Start", func() { c.post(qs[1]) })
	close(m.gate)
	for _, q := range qs {
		if err := q.wait(); err != nil {
			t.Error(err)
		}
	}
}

// Nothing is allocated for an operation.
func TestAllocations(t *testing.T) {
	if raceDetector {
		t.Skip("not measured: the race detector's runtime allocates")
	}
	shm := func(t *testing.T) *unio.Device { return fileDevice(t, shmDir(t), file.Config{}) }
	for _, d := range []struct {
		name string
		open func(*testing.T) *unio.Device
	}{{"mem", devices[0].open}, {"shm", shm}, {"file", devices[3].open}} {
		t.Run(d.name, func(t *testing.T) {
			done := make(chan error, 8)
			tt, err := newTarget(Config{Exports: []Export{{Name: "disk", Device: d.open(t)}}}, func(batch []*rdma.IO) {
				for _, io := range batch {
					done <- io.Err
				}
			})
			if err != nil {
				t.Fatal(err)
			}
			s := attachBare(t, tt)
			defer func() {
				s.service.Closed()
				if err := tt.Close(); err != nil {
					t.Error(err)
				}
			}()
			once := func() { carryOut(t, s, mixedIOs, done) }
			for range 100 {
				once()
			}
			per := testing.AllocsPerRun(200, once)
			for range 3 { // the runtime may have allocated for itself
				per = min(per, testing.AllocsPerRun(200, once))
			}
			if per != 0 {
				t.Errorf("%v allocations for %d operations", per, len(mixedIOs))
			}
		})
	}
}

// mixedIOs are operations of all kinds.
var mixedIOs = []*rdma.IO{
	{Op: unio.OpRead, Length: 4096},
	{Op: unio.OpWrite, Offset: 1 << 20, Length: 4096},
	{Op: unio.OpRead, Offset: 2 << 20, Length: 100 << 10},
	{Op: unio.OpWrite, Offset: 3<<20 + 7, Length: 1000},
	{Op: unio.OpFetchAdd, Offset: 4 << 20, Length: 8},
	{Op: unio.OpWriteZeroes, Offset: 5 << 20, Length: 8192},
	{Op: unio.OpFlush},
	{Op: unio.OpFlush},
}

// carryOut borrows, starts, waits and returns.
func carryOut(t testing.TB, s *session, ios []*rdma.IO, done <-chan error) {
	for _, io := range ios {
		io.Data = io.Data[:0]
		for left := int(io.Length); left > 0 && (io.Op == unio.OpRead || io.Op == unio.OpWrite); left -= rdma.MaxBorrow {
			io.Data = append(io.Data, s.Borrow(min(left, rdma.MaxBorrow), nil))
		}
	}
	s.Start(ios)
	for range ios {
		if err := <-done; err != nil {
			t.Fatal(err)
		}
	}
	for _, io := range ios {
		for _, p := range io.Data {
			s.Return(p)
		}
	}
}

// BenchmarkStart is what the target adds to 4 KiB in memory: borrowing, a lane, finishing.
func BenchmarkStart(b *testing.B) {
	for _, depth := range []int{1, 16, 64} {
		b.Run(fmt.Sprint("depth=", depth), func(b *testing.B) {
			done := make(chan error, depth)
			tt, err := newTarget(Config{Exports: []Export{{Name: "disk", Device: memoryDevice(b, regionSize)}}}, func(batch []*rdma.IO) {
				for _, io := range batch {
					done <- io.Err
				}
			})
			if err != nil {
				b.Fatal(err)
			}
			defer tt.Close()
			s := attachBare(b, tt)
			var ios []*rdma.IO
			for i := range int64(depth) {
				ios = append(ios, &rdma.IO{Op: unio.OpRead, Offset: i << 12, Length: 4096})
			}
			b.ReportAllocs()
			for b.Loop() {
				carryOut(b, s, ios, done)
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*depth), "ns/io")
			s.service.Closed()
		})
	}
}

func TestWordsAreLittleEndian(t *testing.T) {
	r := serve(t, Config{Exports: []Export{{Name: "disk", Device: memoryDevice(t, 1<<20)}}})
	c := r.attach("disk")
	defer c.close()
	q := c.request(unio.OpCompareSwap, 16, 8, nil)
	q.io.Swap = 0x0102030405060708
	c.post(q)
	if err := q.wait(); err != nil || q.io.Value != 0 {
		t.Fatal(err, q.io.Value)
	}
	got := make([]byte, 8)
	if err := c.read(16, got); err != nil || binary.LittleEndian.Uint64(got) != q.io.Swap {
		t.Error(err, got)
	}
}

// What a device ends while it is posted has ended when Start returns, without another goroutine.
func TestPromptDevice(t *testing.T) {
	m := &medium{}
	r := serve(t, Config{Exports: []Export{{Name: "disk", Device: m.open(t)}}})
	c := r.attach("disk")
	defer c.close()
	for range 1000 {
		q := c.request(unio.OpRead, 0, 4096, nil)
		c.post(q)
		select {
		case err := <-q.done:
			q.forget()
			if err != nil {
				t.Fatal(err)
			}
		default:
			t.Fatal("it has not ended")
		}
	}
}
