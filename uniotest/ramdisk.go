package uniotest

import (
	"bytes"
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/unio-stack/unio"
)

// RAMDiskConfig configures a RAMDisk. The zero value is a byte-addressable
// disk of Size bytes that does every operation itself.
type RAMDiskConfig struct {
	// Size in bytes; default Size, or that of Image.
	Size int64
	// Image is what is on the disk at first, for the disk to keep; default
	// zeroes.
	Image []byte
	// BlockSize, MemoryAlign, ZeroUnit and AtomicUnit in bytes, MaxTransfer and
	// MaxDepth are as in unio.Info; default no limits, AtomicUnit a block.
	BlockSize, MemoryAlign, ZeroUnit, AtomicUnit int
	MaxTransfer                                  int64
	MaxDepth                                     int
	// Native is what the disk does itself; default everything.
	Native unio.OpSet
	// NativeDurable are the operations that the disk makes durable by itself.
	NativeDurable unio.OpSet
	// ReadOnly refuses mutations.
	ReadOnly bool
	// Short makes one transfer in so many end early; 0 is never.
	Short int
	// Inline makes one operation in so many end inside Submit; 0 is never.
	Inline int
	// Seed of delays and reordering.
	Seed uint64
}

// A RAMDisk is a disk in memory for tests of what is above a device: it
// completes operations on a goroutine, in random order, after a random short
// time. What the core must never submit (a misaligned or overlong operation,
// one that is not native, more than the depth) fails the test. The bytes
// outlive the devices that Open returns. Its methods may be called from any
// goroutine.
type RAMDisk struct {
	tb    testing.TB
	cfg   RAMDiskConfig
	info  unio.Info
	hooks ramHooks      // immutable after NewRAMDisk
	seeds atomic.Uint64 // gives each queue its own

	mu    sync.Mutex
	bytes []byte // guarded by mu
}

// ramHooks let a test put a defect into the disk. A nil hook is no defect.
type ramHooks struct {
	execute func(q *ramQueue, op *unio.Op) ramResult
	report  func(q *ramQueue, res ramResult)
	cancel  func(q *ramQueue, op *unio.Op) bool
	sleep   func(q *ramQueue)
	close   func(q *ramQueue)
}

// NewRAMDisk returns a disk; tb is told what the core does wrong. There is
// nothing to close but the devices opened from it.
func NewRAMDisk(tb testing.TB, cfg RAMDiskConfig) *RAMDisk {
	if cfg.Image == nil {
		if cfg.Size == 0 {
			cfg.Size = Size
		}
		cfg.Image = make([]byte, cfg.Size)
	}
	cfg.Size = int64(len(cfg.Image))
	cfg.BlockSize = max(cfg.BlockSize, 1)
	cfg.MemoryAlign = max(cfg.MemoryAlign, 1)
	cfg.ZeroUnit = max(cfg.ZeroUnit, 1)
	if cfg.AtomicUnit == 0 {
		cfg.AtomicUnit = cfg.BlockSize
	}
	if cfg.MaxTransfer == 0 {
		cfg.MaxTransfer = math.MaxInt64
	}
	if cfg.Native == 0 {
		cfg.Native = unio.AllOps
	}
	d := &RAMDisk{tb: tb, cfg: cfg, bytes: cfg.Image}
	d.seeds.Store(cfg.Seed)
	d.info = unio.Info{
		Provider: "ramdisk", Name: fmt.Sprintf("ramdisk of %d bytes", cfg.Size),
		Engine: "goroutine", Reason: "for tests",
		Native: cfg.Native, NativeDurable: cfg.NativeDurable,
		BlockSize: cfg.BlockSize, MemoryAlign: cfg.MemoryAlign, ZeroUnit: cfg.ZeroUnit, AtomicUnit: cfg.AtomicUnit,
		MaxTransfer: cfg.MaxTransfer, MaxDepth: cfg.MaxDepth,
		Persistence: unio.Power, ReadOnly: cfg.ReadOnly,
	}
	return d
}

// Open returns a device over the disk; any number may be open.
func (d *RAMDisk) Open() *unio.Device { return unio.NewDevice(ramProvider{d}) }

// Image returns a copy of what is on the disk.
func (d *RAMDisk) Image() []byte {
	d.mu.Lock()
	defer d.mu.Unlock()
	return bytes.Clone(d.bytes)
}

// ramProvider is the unio.Provider of a disk.
type ramProvider struct{ disk *RAMDisk }

func (p ramProvider) Info() unio.Info { return p.disk.info }
func (p ramProvider) Close() error    { return nil }

func (p ramProvider) Attach(_ context.Context, name string, _ unio.Rights) (unio.Handle, error) {
	if name != "" {
		return nil, fmt.Errorf("%w: a ramdisk has one region, \"\"", unio.ErrInvalid)
	}
	return ramHandle(p), nil
}

func (p ramProvider) NewQueue(cfg unio.QueueConfig) (unio.Queue, error) {
	seed := p.disk.seeds.Add(1)
	q := &ramQueue{
		disk: p.disk, depth: cfg.Depth,
		rng:     rand.New(rand.NewPCG(seed, 1)),
		pending: make([]*unio.Op, 0, cfg.Depth),
		ended:   make([]ramResult, 0, cfg.Depth),
		work:    make(chan struct{}, 1),
		wake:    make(chan struct{}, 1),
		stop:    make(chan struct{}),
		stopped: make(chan struct{}),
	}
	go q.serve()
	return q, nil
}

// ramHandle is the disk's only region.
type ramHandle struct{ disk *RAMDisk }

func (h ramHandle) Size() int64  { return h.disk.cfg.Size }
func (h ramHandle) Close() error { return nil }
