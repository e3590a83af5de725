package mem

import (
	"fmt"
	"os"
	"sync/atomic"

	"github.com/unio-stack/unio"
	"github.com/unio-stack/unio/internal/memory"
)

var pageSize = int64(os.Getpagesize())

// durability is how mutations of a device come to survive a crash. Its methods
// may be called from any goroutine.
type durability interface {
	// wrote notes a mutation that flush is to make durable.
	wrote(off, n int64)
	// persist makes durable what is in the range.
	persist(off, n int64) error
	// freed notes that pages were taken back, which flush is to make durable.
	freed()
	// flush makes durable every mutation noted before.
	flush() error
	// syscalls is how many system calls persist and flush make.
	syscalls() int64
}

// volatile is memory of which nothing survives.
type volatile struct{}

func (volatile) wrote(int64, int64)         {}
func (volatile) persist(int64, int64) error { return nil }
func (volatile) freed()                     {}
func (volatile) flush() error               { return nil }
func (volatile) syscalls() int64            { return 0 }

// pages is a file in the page cache. The kernel knows which pages are dirty.
type pages struct {
	mapping *memory.Mapping
	lost    loss
}

func (p *pages) wrote(int64, int64) {}
func (p *pages) freed()             {}
func (p *pages) syscalls() int64    { return 1 }
func (p *pages) flush() error       { return p.persist(0, p.mapping.Size()) }

func (p *pages) persist(off, n int64) error {
	if err := p.lost.earlier(); err != nil {
		return err
	}
	if err := p.mapping.Flush(off, n); err != nil {
		return p.lost.remember(err)
	}
	return nil
}

// A loss is the first failure to make something durable. The kernel reports
// it once and takes the pages for clean from then on, so that a later flush
// would succeed without them: it has to fail for as long as the device is open.
type loss struct{ first atomic.Pointer[error] }

// remember keeps err if it is the first, and returns it as a media error.
func (l *loss) remember(err error) error {
	err = fmt.Errorf("%w: %w", unio.ErrMedia, err)
	l.first.CompareAndSwap(nil, &err)
	return err
}

// earlier returns the error of whoever asks after the first.
func (l *loss) earlier() error {
	if err := l.first.Load(); err != nil {
		return fmt.Errorf("an earlier flush lost writes, until the device is opened again: %w", *err)
	}
	return nil
}
