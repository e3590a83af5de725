package unio

import (
	"errors"
	"io"
)

// ReadFrom writes what r has to say at the file position, and advances it, as
// io.ReaderFrom has it. Several writes are in flight while it reads on, in at
// most 2 MiB of memory. When it returns, n bytes are stored; after an error,
// bytes behind them may be stored too. If r has more than fits into the region
// the error is [ErrNoSpace], and a byte of r that does not fit is lost.
func (f *File) ReadFrom(r io.Reader) (n int64, err error) {
	if err := f.usable("write"); err != nil {
		return 0, err
	}
	c := f.getCopier()
	defer f.putCopier(c)
	for err == nil {
		if c.inUse() == copyDepth {
			if n, err = c.stored(n); err != nil {
				return n, err
			}
		}
		err = c.take(r)
	}
	for c.inUse() > 0 {
		var failed error
		if n, failed = c.stored(n); failed != nil {
			return n, failed
		}
	}
	if err == io.EOF {
		err = nil
	}
	return n, err
}

// take reads one piece from r and starts to write it.
func (c *copier) take(r io.Reader) error {
	f := c.file
	off := f.position()
	room := f.Size() - off
	if room <= 0 {
		return c.overflow(r, off)
	}
	mem, err := c.next(off)
	if err != nil {
		return err
	}
	mem = mem[:min(int64(len(mem)), room)]
	n, readErr := readFull(r, mem)
	if n > 0 {
		if err := c.connect(); err != nil {
			return err
		}
		if err := c.post(OpWrite, f.claim(n), mem[:n]); err != nil {
			f.setPosition(off)
			return f.failure(OpWrite, err)
		}
	}
	return readErr
}

// stored waits for the first write, and adds its bytes to n. If it failed, the
// file position is where the failure was.
func (c *copier) stored(n int64) (int64, error) {
	p, _ := c.await()
	if p.err != nil {
		c.file.setPosition(p.off + p.n)
	}
	return n + p.n, c.file.failure(OpWrite, p.err)
}

// overflow is called at the end of the region: is there more?
func (c *copier) overflow(r io.Reader, off int64) error {
	var one [1]byte
	n, err := readFull(r, one[:])
	if n > 0 {
		return c.file.refuse(OpWrite, one[:], off, ErrNoSpace, noSpaceHint)
	}
	return err
}

// readFull reads until p is full or r fails.
func readFull(r io.Reader, p []byte) (n int, err error) {
	for empty := 0; n < len(p) && err == nil; empty++ {
		var m int
		if m, err = r.Read(p[n:]); m > 0 {
			n, empty = n+m, 0
		}
		if empty == 100 {
			return n, io.ErrNoProgress
		}
	}
	return n, err
}

// WriteTo gives what follows the file position to w, and advances it, as
// io.WriterTo has it. It reads ahead, in at most 2 MiB of memory, where that
// saves waiting.
func (f *File) WriteTo(w io.Writer) (n int64, err error) {
	if err := f.usable("read"); err != nil {
		return 0, err
	}
	c := f.getCopier()
	defer f.putCopier(c)
	off := f.position()
	for window := 1; ; {
		off, err = c.readAhead(off, window)
		if c.inUse() == 0 {
			return n, err
		}
		p, waited := c.await()
		if waited {
			window = min(2*window, copyDepth)
		}
		m, err := c.give(w, p)
		n += m
		f.setPosition(p.off + m)
		if err != nil {
			return n, err
		}
	}
}

// readAhead starts reads from off on until window pieces are in use, and
// returns where the next one starts.
func (c *copier) readAhead(off int64, window int) (int64, error) {
	for c.inUse() < window && off < c.file.Size() {
		if err := c.connect(); err != nil {
			return off, err
		}
		mem, err := c.next(off)
		if err != nil {
			return off, err
		}
		mem = mem[:min(int64(len(mem)), c.file.Size()-off)]
		if err := c.post(OpRead, off, mem); errors.Is(err, ErrOutOfRange) {
			continue // the region shrank since
		} else if err != nil {
			return off, c.file.failure(OpRead, err)
		}
		off += int64(len(mem))
	}
	return off, nil
}

// give writes what a piece has read to w.
func (c *copier) give(w io.Writer, p piece) (int64, error) {
	if errors.Is(p.err, ErrOutOfRange) && p.off+int64(len(p.mem)) > c.file.Size() {
		var n int // the region shrank meanwhile
		n, p.err = c.file.ReadAt(p.mem, p.off)
		p.n = int64(n)
	}
	n, err := 0, error(nil)
	if p.n > 0 {
		n, err = w.Write(p.mem[:p.n])
	}
	switch {
	case err != nil:
	case int64(n) < p.n:
		err = io.ErrShortWrite
	case p.err != io.EOF:
		err = c.file.failure(OpRead, p.err)
	}
	return int64(n), err
}

func (f *File) position() int64 {
	f.seek.Lock()
	defer f.seek.Unlock()
	return f.pos
}

func (f *File) setPosition(pos int64) {
	f.seek.Lock()
	f.pos = pos
	f.seek.Unlock()
}

// claim advances the file position by n and returns where it was.
func (f *File) claim(n int) int64 {
	f.seek.Lock()
	defer f.seek.Unlock()
	pos := f.pos
	f.pos += int64(n)
	return pos
}
