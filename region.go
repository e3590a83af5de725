package unio

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
)

// Rights say what a region may be used for.
type Rights uint8

// The rights, and their union.
const (
	Read  Rights = 1 << iota // Read
	Write                    // Write, Append, WriteAtomic, Discard, WriteZeroes and atomics

	ReadOnly  = Read
	WriteOnly = Write
	ReadWrite = Read | Write
)

// String returns the rights' name.
func (r Rights) String() string {
	switch r {
	case ReadOnly:
		return "read-only"
	case WriteOnly:
		return "write-only"
	case ReadWrite:
		return "read-write"
	}
	return fmt.Sprintf("rights(%#x)", uint8(r))
}

// needs returns the rights the operation takes. Atomics return what they read,
// so they take both.
func (o Opcode) needs() Rights {
	switch {
	case o == OpRead:
		return Read
	case o == OpFlush:
		return 0
	case o.isAtomic():
		return ReadWrite
	}
	return Write
}

// A Region is a byte-addressable range of a device that requests name. Its
// methods may be called from any goroutine.
type Region struct {
	dev    *Device
	store  *store
	name   string
	rights Rights
	// revoked stops new requests; those in flight run to their end.
	revoked  atomic.Bool
	closing  sync.Once
	closeErr error // set by closing
}

// Device returns the device the region belongs to.
func (r *Region) Device() *Device { return r.dev }

// Name returns the name it was attached by.
func (r *Region) Name() string { return r.name }

// Rights returns what it may be used for.
func (r *Region) Rights() Rights { return r.rights }

// Size returns its length in bytes.
func (r *Region) Size() int64 { return r.store.size.Load() }

// Memory returns the region's bytes where they are plain memory of this process: what is read from it or written to it there
// is read from the device or written to it, without promises about order, alignment or durability. It is nil on other
// devices. It is valid until the region is closed.
func (r *Region) Memory() []byte {
	if m, ok := r.store.handle.(Mapped); ok {
		return m.Memory()
	}
	return nil
}

// Resize changes the length of the region, for every holder, where the device
// can ([ErrUnsupported] otherwise). Bytes that appear read as zeroes. Requests
// in flight beyond a new end fail or not, as the medium has it.
func (r *Region) Resize(ctx context.Context, size int64) error {
	if err := r.usable(Write); err != nil {
		return err
	}
	rz, ok := r.store.handle.(Resizer)
	if !ok {
		return fmt.Errorf("resize %s: %w", r.dev.info.Name, ErrUnsupported)
	}
	if size <= 0 || size%int64(r.dev.info.BlockSize) != 0 {
		return fmt.Errorf("resize %s to %d bytes: %w: the size must be a positive multiple of %d",
			r.dev.info.Name, size, ErrInvalid, r.dev.info.BlockSize)
	}
	r.store.mu.Lock()
	defer r.store.mu.Unlock()
	if r.store.closed {
		return fmt.Errorf("region %q of %s: %w", r.name, r.dev.info.Name, ErrRevoked)
	}
	if err := rz.Resize(ctx, size); err != nil {
		return fmt.Errorf("resize %s to %d bytes: %w", r.dev.info.Name, size, err)
	}
	r.store.size.Store(size)
	return nil
}

func (r *Region) usable(need Rights) error {
	switch {
	case r.revoked.Load():
		return fmt.Errorf("region %q of %s: %w", r.name, r.dev.info.Name, ErrRevoked)
	case r.rights&need != need:
		return fmt.Errorf("region %q of %s: %w: attached %v", r.name, r.dev.info.Name, ErrAccess, r.rights)
	}
	return nil
}

// Close revokes the region: later requests that name it fail with
// [ErrRevoked]. It returns when none that names it is in flight any more. It
// is idempotent; concurrent calls return together, with the same error.
func (r *Region) Close() error {
	r.closing.Do(func() {
		r.revoked.Store(true)
		r.dev.quiesce(r)
		r.closeErr = r.dev.detach(r.store, r.name)
	})
	return r.closeErr
}
