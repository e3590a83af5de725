package unio

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
)

// A store is what all Regions of one name share. It is in Device.stores from
// before the provider is asked for it until the provider has closed it, or
// until it has a successor that waits for that.
type store struct {
	handle Handle
	locks  *rangeLock // nil where no operation is a read-modify-write; immutable
	size   atomic.Int64

	refs   int           // open Regions, and calls of Attach; not used again after 0; guarded by Device.mu
	before *store        // of the same name, being closed; touched by resolve only
	opened chan struct{} // closed when handle, locks or err are set, and immutable
	err    error

	mu       sync.Mutex // serialises Resize and close
	closed   bool       // guarded by mu
	closeErr error      // guarded by mu
}

// Attach resolves the region of that name ("" where a device has only one)
// and returns the right to use it. Close the region when it is no longer used.
func (d *Device) Attach(ctx context.Context, name string, rights Rights) (*Region, error) {
	st, err := d.attach(ctx, name, rights)
	if err != nil {
		return nil, fmt.Errorf("attach %q of %s: %w", name, d.info.Name, err)
	}
	return &Region{dev: d, store: st, name: name, rights: rights}, nil
}

func (d *Device) attach(ctx context.Context, name string, rights Rights) (*store, error) {
	switch {
	case rights == 0 || rights&^ReadWrite != 0:
		return nil, fmt.Errorf("%w: %v", ErrInvalid, rights)
	case rights&Write != 0 && d.info.ReadOnly:
		return nil, fmt.Errorf("%w: the device is read-only", ErrAccess)
	}
	if err := d.beginOpening(); err != nil {
		return nil, err
	}
	defer d.opening.Done()
	for {
		st, first := d.reserve(name)
		if first {
			return st, d.resolve(ctx, st, name, rights)
		}
		if again, err := d.join(ctx, st, name); !again {
			return st, err
		}
	}
}

// reserve returns the store of that name with one more reference to it, and
// whether the caller is the first and must resolve it.
func (d *Device) reserve(name string) (st *store, first bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if st = d.stores[name]; st == nil || st.refs == 0 {
		st, first = &store{before: st, opened: make(chan struct{})}, true
		d.stores[name] = st
	}
	st.refs++
	return st, first
}

// resolve asks the provider for a new store.
func (d *Device) resolve(ctx context.Context, st *store, name string, rights Rights) error {
	defer close(st.opened)
	if st.before != nil {
		_ = st.before.close() // whoever used it last reports this
		st.before = nil
	}
	if st.handle, st.err = d.p.Attach(ctx, name, rights); st.err != nil {
		d.forgetStore(st, name)
		return st.err
	}
	st.size.Store(st.handle.Size())
	if d.info.BlockSize > 1 || d.info.Provided&Ops(OpCompareSwap, OpFetchAdd) != 0 {
		st.locks = new(rangeLock)
	}
	return nil
}

// join waits for a store that another call resolves. It says to try again if
// that call's context ended, which is no concern of this one.
func (d *Device) join(ctx context.Context, st *store, name string) (again bool, err error) {
	select {
	case <-st.opened:
	case <-ctx.Done():
		return false, cmp.Or(d.detach(st, name), ctx.Err())
	}
	if errors.Is(st.err, context.Canceled) || errors.Is(st.err, context.DeadlineExceeded) {
		return ctx.Err() == nil, ctx.Err()
	}
	return false, st.err
}

// detach gives up one reference to a store; the last closes it.
func (d *Device) detach(st *store, name string) error {
	d.mu.Lock()
	st.refs--
	last := st.refs == 0
	d.mu.Unlock()
	if !last {
		return nil
	}
	err := st.close()
	d.forgetStore(st, name)
	return err
}

// forgetStore frees the name for the next Attach.
func (d *Device) forgetStore(st *store, name string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.stores[name] == st {
		delete(d.stores, name)
	}
}

// close ends the provider's side. It is idempotent; concurrent calls return
// together.
func (st *store) close() error {
	st.mu.Lock()
	defer st.mu.Unlock()
	if !st.closed {
		st.closed = true
		st.closeErr = st.handle.Close()
	}
	return st.closeErr
}
