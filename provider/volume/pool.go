package volume

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/unio-stack/unio"
	"github.com/unio-stack/unio/provider/volume/catalogue"
	"github.com/unio-stack/unio/provider/volume/internal/format"
	"github.com/unio-stack/unio/provider/volume/internal/table"
)

// A Pool is a device whose regions are the pool's volumes. Its methods may be
// called from any goroutine. Close makes everything clean, and closes the
// catalogue and the members' devices.
type Pool struct {
	*unio.Device
	p *pool
}

// pool is the provider of a Pool.
type pool struct {
	cfg     Config // immutable
	id      format.ID
	members []*member           // immutable
	cat     catalogue.Catalogue // immutable
	info    unio.Info           // immutable
	sums    bool                // immutable
	extent  int64               // bytes; immutable
	shift   uint                // of extent; immutable
	block   int64               // unio.Info.BlockSize; immutable
	active  *table.Table[entry, *entry]
	keep    *keeper
	face    *Pool
	// watched is set while the keeper waits for requests to end.
	watched atomic.Bool

	mu     sync.Mutex
	queues map[*queue]struct{} // guarded by mu

	faults     atomic.Int64
	faultNanos atomic.Int64
}

// assemble makes a pool of what it consists of. The keeper is missing.
func assemble(cfg Config, members []*member, cat catalogue.Catalogue, id format.ID) *pool {
	sb := members[0].sb
	p := &pool{
		cfg: cfg, id: id, members: members, cat: cat, sums: sb.Sums, extent: sb.ExtentSize, shift: pageShift(sb.ExtentSize),
		active: table.New[entry](cfg.Entries), queues: map[*queue]struct{}{},
	}
	p.info = p.describe()
	p.block = int64(p.info.BlockSize)
	return p
}

// describe makes the pool's Info of the members'.
func (p *pool) describe() unio.Info {
	name := "pool " + idString(p.id)
	if p.cfg.Name != "" {
		name = p.cfg.Name + " (" + name + ")"
	}
	i := unio.Info{
		Provider: layer, Name: name, Engine: "extents",
		Native:        unio.Ops(unio.OpRead, unio.OpWrite, unio.OpFlush, unio.OpDiscard, unio.OpWriteZeroes) | unio.WholeOps,
		NativeDurable: unio.Ops(unio.OpWrite) | unio.WholeOps,
		BlockSize:     1, AtomicUnit: 64 << 10, Persistence: unio.Power,
		MaxTransfer: max(p.extent, maxPieces*p.extent/2), MaxDepth: maxDepth,
		MaxAtomic: min(maxAtomic, p.members[0].sb.LogSize/4), MaxRanges: int(min(maxRanges, p.members[0].sb.LogSize>>14)),
	}
	i.Reason = fmt.Sprintf("%d members, extents of %d bytes, no checksums", len(p.members), p.extent)
	if p.sums {
		i.BlockSize = format.SumBlock
		i.Reason = fmt.Sprintf("%d members, extents of %d bytes, checksums of %d bytes each", len(p.members), p.extent, format.SumBlock)
	}
	for _, m := range p.members {
		o := m.dev.Info()
		i.BlockSize, i.MemoryAlign = max(i.BlockSize, o.BlockSize), max(i.MemoryAlign, o.MemoryAlign)
		i.AtomicUnit, i.Persistence = min(i.AtomicUnit, o.AtomicUnit), min(i.Persistence, o.Persistence)
		i.MaxDepth = min(i.MaxDepth, o.MaxDepth)
		i.NativeDurable &= o.NativeDurable | unio.WholeOps
	}
	i.ZeroUnit = i.BlockSize
	return i
}

// start lets the keeper run and makes the device.
func (p *pool) start() {
	p.face = &Pool{p: p}
	p.keep.begin()
	p.face.Device = unio.NewDevice(p)
}

// Info implements unio.Provider.
func (p *pool) Info() unio.Info { return p.info }

// Attach implements unio.Provider.
func (p *pool) Attach(ctx context.Context, name string, _ unio.Rights) (unio.Handle, error) {
	var v *volume
	err := p.keep.call(ctx, func(k *keeper) (err error) {
		v, err = k.attach(name)
		return err
	})
	if err != nil {
		return nil, err
	}
	return v, nil
}

// NewQueue implements unio.Provider.
func (p *pool) NewQueue(cfg unio.QueueConfig) (unio.Queue, error) {
	q, err := newQueue(p, cfg)
	if err != nil {
		return nil, err
	}
	p.mu.Lock()
	p.queues[q] = struct{}{}
	p.mu.Unlock()
	return q, nil
}

func (p *pool) forget(q *queue) {
	p.mu.Lock()
	delete(p.queues, q)
	p.mu.Unlock()
}

// live returns the open queues.
func (p *pool) live(into []*queue) []*queue {
	p.mu.Lock()
	defer p.mu.Unlock()
	for q := range p.queues {
		into = append(into, q)
	}
	return into
}

// Close implements unio.Provider.
func (p *pool) Close() error {
	err := p.keep.stop()
	return errors.Join(err, p.cat.Close(), closeMembers(p.members))
}

// A volume is one that is attached: the Handle of its region.
type volume struct {
	p       *pool
	id      uint64
	scratch bool
	size    atomic.Int64 // changed by the keeper
	revoked atomic.Bool  // it was deleted; set by the keeper

	// What follows is the keeper's.

	position int64                  // where the next Append begins
	attached bool                   // there is a region
	pages    map[int64]*scratchPage // of a scratch volume
}

// A scratchPage is all there is to know about a page of a scratch volume.
type scratchPage struct {
	place  int64
	blocks *blockChecksums
}

// Size implements unio.Handle.
func (v *volume) Size() int64 { return v.size.Load() }

// Close implements unio.Handle.
func (v *volume) Close() error {
	return v.p.keep.call(context.Background(), func(k *keeper) error { return k.detach(v) })
}

// Resize implements unio.Resizer.
func (v *volume) Resize(ctx context.Context, size int64) error {
	return v.p.keep.carryOut(ctx, &resizeJob{v: v, size: size})
}

// Allocated implements unio.Sparse.
func (v *volume) Allocated(ctx context.Context, off, n int64) (ranges []unio.Range, next int64, err error) {
	err = v.p.keep.call(ctx, func(k *keeper) (err error) {
		ranges, next, err = k.allocated(v, off, n)
		return err
	})
	return ranges, next, err
}

// FaultStats says how often a request had to wait for the keeper, and for how
// long in all, from being handed over until being given back.
func (p *Pool) FaultStats() (faults int64, waited time.Duration) {
	return p.p.faults.Load(), time.Duration(p.p.faultNanos.Load())
}

// ID returns the pool's.
func (p *Pool) ID() string { return idString(p.p.id) }

// opError says where in a volume something failed.
func opError(bad int64, err error) *unio.OpError {
	e := &unio.OpError{Layer: layer, BadByte: bad, Err: err}
	if inner := (*unio.OpError)(nil); errors.As(err, &inner) {
		e.Layer, e.Peer, e.Err = cmp.Or(inner.Layer, layer), inner.Peer, inner.Err
		e.Detail = inner.Detail
	}
	return e
}
