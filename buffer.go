package unio

import (
	"fmt"

	"github.com/unio-stack/unio/internal/memory"
)

// A Buffer is memory for I/O: page-aligned, outside the Go heap, zeroed, and
// registered with a device on first use. Any part of it may be a request's
// Data. Its methods may be called from any goroutine.
type Buffer struct{ block *memory.Block }

// NewBuffer returns a Buffer of size bytes, which must be positive
// ([ErrInvalid] otherwise). Another error is the operating system's: there is
// no memory. Free the buffer when it is no longer used; nobody else does.
func NewBuffer(size int) (*Buffer, error) {
	if size <= 0 {
		return nil, fmt.Errorf("buffer of %d bytes: %w: the size must be positive", size, ErrInvalid)
	}
	b, err := memory.Alloc(size)
	if err != nil {
		return nil, err
	}
	return &Buffer{b}, nil
}

// Bytes returns the memory. It is valid until Free, and nil after that.
func (b *Buffer) Bytes() []byte { return b.block.Bytes() }

// Free returns the memory to the system. No request that uses it may be in
// flight, and no slice of it may be used afterwards. It is idempotent.
func (b *Buffer) Free() error { return b.block.Free() }
