package unio

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
)

// A Device is a thing with channels: a disk, mapped memory, a remote target, a
// group of devices. Its methods may be called from any goroutine.
type Device struct {
	p    Provider
	info Info  // immutable
	ops  OpSet // native and provided; immutable
	// simple are the native operations that no alignment rule concerns; immutable.
	simple OpSet
	// durable are the operations whose every step can be durable; immutable.
	durable OpSet
	log    errorLog

	mu       sync.Mutex
	closed   bool              // guarded by mu
	stores   map[string]*store // guarded by mu
	channels []*Channel        // open ones; guarded by mu
	retired  Stats             // of closed channels; guarded by mu
}

// A store is what all Regions of one name share.
type store struct {
	handle Handle
	locks  *rangeLock // nil where no operation is a read-modify-write; immutable
	size   atomic.Int64

	mu   sync.Mutex // serialises Resize
	refs int        // open Regions; guarded by Device.mu
	// opened is closed when handle or err is set. // immutable afterwards
	opened chan struct{}
	err    error
}

// NewDevice makes a Device of a provider, which then belongs to it. Programs
// open devices through package provider or a provider's own Open.
func NewDevice(p Provider) *Device {
	info := p.Info().withDefaults()
	d := &Device{p: p, info: info, ops: info.Native | info.Provided, stores: map[string]*store{}}
	d.simple = info.Native
	if info.NativeDurable.Has(OpWrite) {
		d.durable = info.NativeDurable | info.Provided
	}
	if info.BlockSize > 1 || info.MemoryAlign > 1 {
		d.simple &^= Ops(OpRead, OpWrite)
	}
	if info.ZeroUnit > 1 {
		d.simple &^= Ops(OpDiscard, OpWriteZeroes)
	}
	return d
}

// Info describes the device.
func (d *Device) Info() Info { return d.info }

// Attach resolves the region of that name ("" where a device has only one)
// and returns the right to use it. Close the region when it is no longer used.
func (d *Device) Attach(ctx context.Context, name string, rights Rights) (*Region, error) {
	if rights == 0 || rights&^ReadWrite != 0 {
		return nil, fmt.Errorf("attach %q of %s: %w: %v", name, d.info.Name, ErrInvalid, rights)
	}
	if rights&Write != 0 && d.info.ReadOnly {
		return nil, fmt.Errorf("attach %q of %s: %w: the device is read-only", name, d.info.Name, ErrAccess)
	}
	st, err := d.open(ctx, name, rights)
	if err != nil {
		return nil, fmt.Errorf("attach %q of %s: %w", name, d.info.Name, err)
	}
	return &Region{dev: d, store: st, name: name, rights: rights}, nil
}

// open returns the store of that name, asking the provider if it is the first.
func (d *Device) open(ctx context.Context, name string, rights Rights) (*store, error) {
	d.mu.Lock()
	if d.closed {
		d.mu.Unlock()
		return nil, ErrClosed
	}
	st := d.stores[name]
	if st == nil {
		st = &store{opened: make(chan struct{})}
		d.stores[name] = st
		st.refs++
		d.mu.Unlock()
		st.err = d.resolve(ctx, st, name, rights)
		close(st.opened)
	} else {
		st.refs++
		d.mu.Unlock()
		<-st.opened
	}
	if st.err != nil {
		d.mu.Lock()
		if d.stores[name] == st {
			delete(d.stores, name)
		}
		d.mu.Unlock()
		return nil, st.err
	}
	return st, nil
}

func (d *Device) resolve(ctx context.Context, st *store, name string, rights Rights) (err error) {
	if st.handle, err = d.p.Attach(ctx, name, rights); err != nil {
		return err
	}
	st.size.Store(st.handle.Size())
	if d.info.BlockSize > 1 || d.info.Provided&Ops(OpCompareSwap, OpFetchAdd) != 0 {
		st.locks = new(rangeLock)
	}
	return nil
}

// detach gives up one Region's share of its store.
func (d *Device) detach(r *Region) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if r.store.refs--; r.store.refs > 0 || d.stores[r.name] != r.store {
		return nil
	}
	delete(d.stores, r.name)
	return r.store.handle.Close()
}

// NewChannel opens a channel.
func (d *Device) NewChannel(cfg ChannelConfig) (*Channel, error) {
	c, err := newChannel(d, cfg)
	if err != nil {
		return nil, err
	}
	d.mu.Lock()
	if !d.closed {
		d.channels = append(d.channels, c)
		d.mu.Unlock()
		return c, nil
	}
	d.mu.Unlock()
	_ = c.Close()
	return nil, fmt.Errorf("channel on %s: %w", d.info.Name, ErrClosed)
}

// forget drops a closed channel and keeps its statistics.
func (d *Device) forget(c *Channel) {
	s := c.Stats()
	d.mu.Lock()
	defer d.mu.Unlock()
	if i := slices.Index(d.channels, c); i >= 0 {
		d.channels = slices.Delete(slices.Clone(d.channels), i, i+1)
		d.retired.Add(s)
	}
}

// open channels, as a slice that does not change
func (d *Device) live() []*Channel {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.channels[:len(d.channels):len(d.channels)]
}

// helpOthers settles what other channels' owners have left lying, so that a
// range they hold becomes free.
func (d *Device) helpOthers(c *Channel) {
	for _, o := range d.live() {
		if o != c {
			o.help(o.reapAsHelper)
		}
	}
}

// quiesce returns when no request in flight names reg, which is revoked.
func (d *Device) quiesce(reg *Region) {
	for _, c := range d.live() {
		c.drain(reg)
	}
}

// Stats returns what all channels, open and closed, have done.
func (d *Device) Stats() Stats {
	d.mu.Lock()
	s, open := d.retired, d.channels[:len(d.channels):len(d.channels)]
	d.mu.Unlock()
	for _, c := range open {
		s.Add(c.Stats())
	}
	return s
}

// Errors returns the last failures, oldest first.
func (d *Device) Errors() []ErrorRecord { return d.log.last() }

// Close closes all channels, as Channel.Close does, then all regions, then the
// device. It is idempotent.
func (d *Device) Close() error {
	d.mu.Lock()
	if d.closed {
		d.mu.Unlock()
		return nil
	}
	d.closed = true
	channels := d.channels[:len(d.channels):len(d.channels)]
	d.mu.Unlock()
	var first error
	keep := func(err error) {
		if first == nil && err != nil {
			first = fmt.Errorf("close %s: %w", d.info.Name, err)
		}
	}
	for _, c := range channels {
		keep(c.Close())
	}
	d.mu.Lock()
	stores := d.stores
	d.stores = map[string]*store{}
	d.mu.Unlock()
	for _, st := range stores {
		<-st.opened
		if st.err == nil {
			keep(st.handle.Close())
		}
	}
	keep(d.p.Close())
	return first
}
