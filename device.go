package unio

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"sync"
)

// A Device is a thing with channels: a disk, mapped memory, a remote target, a
// group of devices. Its methods may be called from any goroutine.
type Device struct {
	p    Provider
	info Info  // immutable
	ops  OpSet // native and provided; immutable
	// simple are the native operations that no alignment rule concerns; immutable.
	simple OpSet
	bounce int64 // length of a bounce buffer, whole blocks; immutable
	// durable are the operations whose every step can be durable; immutable.
	durable OpSet
	log     errorLog

	closing  sync.Once
	closeErr error          // set by closing
	opening  sync.WaitGroup // calls of NewChannel and Attach; not begun once closed is set

	mu       sync.Mutex
	closed   bool              // guarded by mu
	stores   map[string]*store // guarded by mu
	channels []*Channel        // open ones; guarded by mu
	retired  Stats             // of closed channels; guarded by mu
}

// NewDevice makes a Device of a provider, which then belongs to it. Programs
// open devices through package provider or a provider's own Open.
func NewDevice(p Provider) *Device {
	info := p.Info().withDefaults()
	d := &Device{p: p, info: info, ops: info.Native | info.Provided, stores: map[string]*store{}}
	d.simple = info.Native
	d.durable = info.NativeDurable & WholeOps
	if info.NativeDurable.Has(OpWrite) {
		d.durable = info.NativeDurable | info.Provided
	}
	if info.BlockSize > 1 || info.MemoryAlign > 1 {
		d.simple &^= Ops(OpRead, OpWrite)
	}
	if info.ZeroUnit > 1 {
		d.simple &^= Ops(OpDiscard, OpWriteZeroes)
	}
	block := int64(info.BlockSize)
	d.bounce = max(roundDown(min(maxBounceSize, info.MaxTransfer), block), block, wordSize)
	return d
}

// Info describes the device.
func (d *Device) Info() Info {
	i := d.info
	i.Notes = slices.Clone(i.Notes)
	return i
}

// NewChannel opens a channel.
func (d *Device) NewChannel(cfg ChannelConfig) (*Channel, error) {
	if err := d.beginOpening(); err != nil {
		return nil, fmt.Errorf("channel on %s: %w", d.info.Name, err)
	}
	defer d.opening.Done()
	c, err := newChannel(d, cfg)
	if err != nil {
		return nil, err
	}
	d.mu.Lock()
	d.channels = append(d.channels, c)
	d.mu.Unlock()
	return c, nil
}

// beginOpening delays Close until opening.Done, or says that it is too late.
func (d *Device) beginOpening() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed {
		return ErrClosed
	}
	d.opening.Add(1)
	return nil
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

// live returns the open channels, as a slice that does not change.
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
// device. It is idempotent; concurrent calls return together, with the same
// error.
func (d *Device) Close() error {
	d.closing.Do(func() {
		if err := d.close(); err != nil {
			d.closeErr = fmt.Errorf("close %s: %w", d.info.Name, err)
		}
	})
	return d.closeErr
}

func (d *Device) close() error {
	d.mu.Lock()
	d.closed = true
	d.mu.Unlock()
	d.opening.Wait()
	var first error
	for _, c := range d.live() {
		first = cmp.Or(first, c.Close())
	}
	d.mu.Lock()
	stores := maps.Clone(d.stores)
	d.mu.Unlock()
	for _, st := range stores {
		first = cmp.Or(first, st.close())
	}
	return cmp.Or(first, d.p.Close())
}
