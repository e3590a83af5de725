package rdma

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/unio-stack/unio"
)

// OpenRegion opens a region that a target serves at addr, "host:port", as a device: its channels are connections, which come
// back by themselves when they break. The device has that one region, whose name is "". With readOnly it is opened for
// reading only. It fails as [Dial] does, with [unio.ErrUnsupported] if the peer is no target, and with [unio.ErrBusy] if it has
// not the memory that Config.Hints ask for: ask for less, or try again when others have gone. So does the making of channels.
func OpenRegion(ctx context.Context, addr, regionName string, readOnly bool, cfg Config) (*unio.Device, error) {
	cfg.PrivateData = []byte(regionName)
	cfg.features = featureStorage
	if readOnly {
		cfg.features |= featureReadOnly
	}
	cfg, err := cfg.withDefaults()
	if err == nil && cfg.Verbs {
		err = fmt.Errorf("%w: a region of a target cannot be opened as plain verbs do", unio.ErrInvalid)
	}
	if err != nil {
		return nil, fmt.Errorf("open region %q at %s: %w", regionName, addr, err)
	}
	if cfg.Domain == nil {
		cfg.Domain = NewDomain()
	}
	s := &storage{addr: addr, name: regionName, cfg: cfg}
	q, err := s.connect(ctx)
	if err != nil {
		return nil, fmt.Errorf("open region %q: %w", regionName, err)
	}
	s.first = q
	s.info = s.describe(q)
	dev := unio.NewDevice(s)
	s.report.Store(&reporter{dev.Report})
	return dev, nil
}

// storage is the provider of a region that a target serves.
type storage struct {
	addr   string // immutable
	name   string // immutable
	cfg    Config // complete; immutable
	info   unio.Info
	size   int64 // of the region; immutable after Open
	report atomic.Pointer[reporter]

	// acked counts mutations that have ended, flushed those of them that a Flush has made durable. instances counts how often
	// the target was found to be another while there was a difference: what it had not flushed may be lost.
	acked, flushed atomic.Int64
	instances      atomic.Uint32

	mu       sync.Mutex
	first    *queuePair // until a channel has it; guarded by mu
	instance uint64     // of the target that was reached last; guarded by mu
	store    StoreInfo  // guarded by mu
}

// A reporter is the Device's log of failures.
type reporter struct{ report func(error) }

// maxStorageTransfer bytes are what one message asks of a target, which has to borrow memory for it.
const maxStorageTransfer = 1 << 20

// connect makes a connection to the region.
func (s *storage) connect(ctx context.Context) (*queuePair, error) {
	q, data, err := dial(ctx, s.addr, &s.cfg)
	if err != nil {
		return nil, err
	}
	if err := s.recognise(q, data); err != nil {
		return nil, errors.Join(fmt.Errorf("%s: %w", s.addr, err), q.Close())
	}
	return q, nil
}

// recognise checks that the region is what it was.
func (s *storage) recognise(q *queuePair, data []byte) error {
	if q.home == nil {
		return fmt.Errorf("%w: the peer serves no regions", unio.ErrUnsupported)
	}
	var info StoreInfo
	if len(data) < keySize {
		return fmt.Errorf("%w: the target's reply is too short", unio.ErrInvalid)
	}
	rights, instance, err := info.parse(data[keySize:])
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.instance == 0 {
		s.store, s.size = info, q.home.Size
		s.info.ReadOnly = rights&unio.Write == 0 || s.cfg.features&featureReadOnly != 0
	}
	if info != s.store || q.home.Size != s.size {
		return fmt.Errorf("%w: the region has become another one: %d bytes, %v; it had %d, %v",
			unio.ErrRevoked, q.home.Size, info.Ops, s.size, s.store.Ops)
	}
	if s.instance != 0 && s.instance != instance && s.acked.Load() > s.flushed.Load() {
		s.instances.Add(1)
	}
	s.instance = instance
	return nil
}

// flushedUpTo notes that so many mutations are durable.
func (s *storage) flushedUpTo(n int64) {
	for {
		was := s.flushed.Load()
		if was >= n || s.flushed.CompareAndSwap(was, n) {
			return
		}
	}
}

// describe makes the device's Info of what the target has said.
func (s *storage) describe(q *queuePair) unio.Info {
	i := s.info
	i.Provider, i.Name, i.Engine, i.Reason = "rdma", s.addr+"/"+s.name, "iwarp", "the protocol of RDMA over TCP"
	i.Native, i.AtomicUnit, i.Persistence = s.store.Ops, s.store.AtomicUnit, s.store.Persistence
	i.MaxTransfer, i.MaxDepth, i.Shared = maxStorageTransfer, maxDepth, true
	if !q.peer.CRC {
		i.Notes = append(i.Notes, "no CRCs: TCP's checksum is all there is")
	}
	return i
}

// Info implements unio.Provider.
func (s *storage) Info() unio.Info { return s.info }

// Attach implements unio.Provider. There is one region, without a name.
func (s *storage) Attach(_ context.Context, name string, _ unio.Rights) (unio.Handle, error) {
	if name != "" {
		return nil, fmt.Errorf("%w: no such region: this device is the region %q, and has the name \"\" for it", unio.ErrInvalid, s.name)
	}
	return &region{key: Key{Size: s.size}, home: true}, nil
}

// NewQueue implements unio.Provider.
func (s *storage) NewQueue(unio.QueueConfig) (unio.Queue, error) {
	s.mu.Lock()
	q := s.first
	s.first = nil
	s.mu.Unlock()
	if q == nil {
		var err error
		if q, err = s.connect(context.Background()); err != nil {
			return nil, err
		}
	}
	return newSession(s, q), nil
}

// Close implements unio.Provider.
func (s *storage) Close() error {
	s.mu.Lock()
	q := s.first
	s.first = nil
	s.mu.Unlock()
	if q != nil {
		return q.Close()
	}
	return nil
}
