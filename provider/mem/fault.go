package mem

import (
	"errors"
	"fmt"
	"syscall"

	"github.com/unio-stack/unio"
	"github.com/unio-stack/unio/internal/memory"
)

// fail completes an operation with what went wrong.
func (q *queue) fail(op *unio.Op, err error) {
	if q.done == op.Size() {
		q.done = 0 // the bytes were moved, but not made durable
	}
	op.Complete(q.done, q.d.explain(op, err))
}

// explain returns the OpError of what a mapping, or the guard, reported.
func (d *device) explain(op *unio.Op, err error) error {
	e := &unio.OpError{Layer: unio.Layer(d.info.Provider), BadByte: -1, Err: err}
	var fault *memory.FaultError
	switch {
	case errors.As(err, &fault):
		d.explainFault(e, op, fault)
	case errors.Is(err, memory.ErrClosed):
		e.Err = unio.ErrClosed
	case !hasCause(err):
		e.Err = withMedia(err)
	}
	return e
}

// explainFault completes e for memory that could not be accessed.
func (d *device) explainFault(e *unio.OpError, op *unio.Op, fault *memory.FaultError) {
	off, inside := d.mapping.OffsetOf(fault.Addr)
	if !inside {
		e.Err = fmt.Errorf("%w: the memory of the request itself cannot be accessed: %w", unio.ErrInvalid, fault)
		return
	}
	e.BadByte = off
	if op.Op != unio.OpFlush {
		e.BadByte = max(off, op.Offset)
	}
	e.Err = fmt.Errorf("%w: %w", unio.ErrMedia, fault)
	if errors.Is(fault, syscall.ENOMEM) {
		e.Err = fmt.Errorf("%w: %w", unio.ErrNoSpace, fault)
	}
	if d.file == nil {
		return
	}
	info, err := d.file.Stat()
	switch {
	case err == nil && info.Mode().IsRegular() && info.Size() <= e.BadByte:
		e.Detail = fmt.Sprintf("the file was truncated: it has %d bytes now", info.Size())
	case op.Op != unio.OpRead && full(d.file):
		e.Err = fmt.Errorf("%w: %w: %w", unio.ErrMedia, unio.ErrNoSpace, fault)
		e.Detail = "the file system is full: make space, or reserve it when the file is created"
	}
}

// causes are what an error of an operation may already say.
var causes = []error{unio.ErrMedia, unio.ErrNoSpace, unio.ErrUnsupported}

func hasCause(err error) bool {
	for _, cause := range causes {
		if errors.Is(err, cause) {
			return true
		}
	}
	return false
}

// withMedia adds the cause to an error number.
func withMedia(err error) error {
	switch {
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT), errors.Is(err, syscall.ENOMEM):
		return fmt.Errorf("%w: %w", unio.ErrNoSpace, err)
	}
	return fmt.Errorf("%w: %w", unio.ErrMedia, err)
}
