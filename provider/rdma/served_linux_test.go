package rdma

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"
	"time"
	"unsafe"

	"github.com/unio-stack/unio"
	"github.com/unio-stack/unio/uniotest"
)

// A ram is a Store that is memory: mapped, or borrowed from the heap up to a limit. It carries operations out when they
// are started, or a little later in another goroutine and another order.
type ram struct {
	mu      sync.Mutex
	bytes   []byte
	mapped  bool
	late    bool
	lent    int // bytes
	limit   int
	waiting []Waiter
	fail    atomic.Pointer[error] // what Start is to fail with
	running sync.WaitGroup
}

func (r *ram) Size() int64 { return int64(len(r.bytes)) }

func (r *ram) Memory() []byte {
	if r.mapped {
		return r.bytes
	}
	return nil
}

func (r *ram) Poll() bool { return false }

func (r *ram) Borrow(n int, w Waiter) []byte {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.limit > 0 && r.lent+n > r.limit {
		r.waiting = append(r.waiting, w)
		return nil
	}
	r.lent += n
	return make([]byte, n)
}

func (r *ram) Return(p []byte) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.lent -= len(p)
	for _, w := range r.waiting {
		r.running.Go(w.Resume)
	}
	r.waiting = nil
}

func (r *ram) Start(batch []*IO) {
	if !r.late {
		r.carryOut(batch)
		return
	}
	r.carryOutLater(append([]*IO(nil), batch...))
}

func (r *ram) carryOutLater(batch []*IO) {
	for i := range batch {
		r.running.Go(func() { r.carryOut(batch[i : i+1]) })
	}
}

func (r *ram) carryOut(batch []*IO) {
	r.mu.Lock()
	for _, io := range batch {
		if fail := r.fail.Load(); fail != nil {
			io.Err = *fail
			continue
		}
		at := r.bytes[io.Offset : io.Offset+io.Length]
		switch io.Op {
		case unio.OpRead:
			for _, p := range io.Data {
				at = at[copy(p, at):]
			}
		case unio.OpWrite:
			for _, p := range io.Data {
				at = at[copy(at, p):]
			}
		case unio.OpDiscard, unio.OpWriteZeroes:
			clear(at)
		case unio.OpFetchAdd, unio.OpCompareSwap:
			word := (*uint64)(unsafe.Pointer(unsafe.SliceData(at)))
			io.Value = *word
			if io.Op == unio.OpFetchAdd {
				*word += io.Swap
			} else if *word == io.Compare {
				*word = io.Swap
			}
		}
	}
	r.mu.Unlock()
	Finish(batch)
}

// target serves r as the region "ram", and returns the address and how many services are not closed.
func target(t testing.TB, r *ram, cfg Config) (addr string, open *atomic.Int64) {
	t.Helper()
	open = new(atomic.Int64)
	ops := unio.AllOps
	cfg.Serve = func(in *Incoming) (*Service, error) {
		if in.Unio && in.Region != "ram" {
			return nil, unio.ErrInvalid
		}
		open.Add(1)
		return &Service{
			Store: r, Rights: unio.ReadWrite, Info: StoreInfo{Ops: ops, AtomicUnit: 512, Persistence: unio.Host},
			Closed: func() { open.Add(-1) },
		}, nil
	}
	l, err := Listen(context.Background(), "127.0.0.1:0", cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := l.Close(); err != nil {
			t.Error(err)
		}
		for end := time.Now().Add(20 * time.Second); open.Load() > 0; time.Sleep(time.Millisecond) {
			if time.Now().After(end) {
				t.Fatalf("%d services are still open", open.Load())
			}
		}
		r.running.Wait()
	})
	return l.Addr().String(), open
}

func TestConformanceServed(t *testing.T) {
	for _, c := range []struct {
		name string
		ram  func() *ram
	}{
		{"mapped", func() *ram { return &ram{mapped: true} }},
		{"at once", func() *ram { return &ram{} }},
		{"late", func() *ram { return &ram{late: true} }},
		{"little memory", func() *ram { return &ram{late: true, limit: 1200 << 10} }},
	} {
		if racing && c.name != "late" {
			continue // the one with most going on at a time; all of them run without the detector
		}
		t.Run(c.name, func(t *testing.T) {
			uniotest.Run(t, uniotest.Config{Open: func(t testing.TB) *unio.Device {
				r := c.ram()
				memory, err := unio.NewBuffer(uniotest.Size) // whatever peers do to it at a time is no race of ours
				if err != nil {
					t.Fatal(err)
				}
				t.Cleanup(func() { _ = memory.Free() })
				r.bytes = memory.Bytes()
				addr, _ := target(t, r, Config{})
				dev, err := OpenRegion(context.Background(), addr, "ram", false, Config{})
				if err != nil {
					t.Fatal(err)
				}
				return dev
			}, Allocates: !c.ram().mapped})
		})
	}
}
