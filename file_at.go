package unio

import (
	"errors"
	"io"
)

// ReadAt fills p from off on, as io.ReaderAt has it: n is short of len(p) only
// with an error, io.EOF at the end of the region.
func (f *File) ReadAt(p []byte, off int64) (n int, err error) {
	if off < 0 {
		return 0, f.refuse(OpRead, p, off, ErrOutOfRange, "negative offset")
	}
	if len(p) == 0 {
		return 0, f.usable("read")
	}
	for {
		size := f.Size()
		if off >= size {
			if err := f.usable("read"); err != nil {
				return 0, err
			}
			return 0, io.EOF
		}
		q := p[:min(int64(len(p)), size-off)]
		if n, err = f.do(OpRead, q, off); err == nil && len(q) < len(p) {
			err = io.EOF
		}
		if err == nil || f.Size() >= size || !errors.Is(err, ErrOutOfRange) {
			return n, err
		} // the region shrank meanwhile: there is a nearer end
	}
}

// WriteAt stores p at off, as io.WriterAt has it. Past the end of the region
// it stores what fits and returns [ErrNoSpace].
func (f *File) WriteAt(p []byte, off int64) (n int, err error) {
	if off < 0 {
		return 0, f.refuse(OpWrite, p, off, ErrOutOfRange, "negative offset")
	}
	if len(p) == 0 {
		return 0, f.usable("write")
	}
	room := max(f.Size()-off, 0)
	if room == 0 {
		if err := f.usable("write"); err != nil {
			return 0, err
		}
		return 0, f.refuse(OpWrite, p, off, ErrNoSpace, noSpaceHint)
	}
	q := p[:min(int64(len(p)), room)]
	if n, err = f.do(OpWrite, q, off); err == nil && len(q) < len(p) {
		err = f.refuse(OpWrite, p, off, ErrNoSpace, noSpaceHint)
	}
	return n, err
}

const noSpaceHint = "the region ends here; Truncate makes it longer where the device can"

// usable returns an error after Close.
func (f *File) usable(op string) error {
	if f.closed.Load() {
		return f.errClosed(op)
	}
	return nil
}

// refuse describes a call that the region's end or start stops.
func (f *File) refuse(op Opcode, p []byte, off int64, cause error, detail string) error {
	r := Request{Op: op, Region: f.reg, Offset: off, Data: p}
	e := r.refuse(f.reg.dev, cause, detail)
	if off >= 0 {
		e.BadByte = max(off, f.Size())
	}
	return e
}

// do carries out one operation on a range that lies within the region, and
// returns how many bytes were done from its start without a gap.
func (f *File) do(op Opcode, p []byte, off int64) (int, error) {
	r := Request{Op: op, Region: f.reg, Offset: off, Data: p}
	if f.inline.Load() && len(p) <= partSize {
		if n, ok, err := f.doNow(&r); ok {
			if err != nil {
				err = f.failure(op, err)
			}
			return n, err
		}
	}
	c := f.getCall()
	c.plan(r)
	if err := f.run(c); err != nil {
		f.putCall(c)
		return 0, err
	}
	n, err := c.result()
	f.putCall(c)
	if err != nil {
		err = f.failure(op, err)
	}
	return n, err
}

// failure says ErrClosed of what failed because of Close.
func (f *File) failure(op Opcode, err error) error {
	if f.closed.Load() && (errors.Is(err, ErrCanceled) || errors.Is(err, ErrClosed)) {
		return f.errClosed(op.String())
	}
	return err
}
