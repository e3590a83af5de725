package unio

import (
	"fmt"
	"io"
)

// Read reads from the file position on and advances it, as io.Reader has it.
// At the end of the region it returns 0 and io.EOF.
func (f *File) Read(p []byte) (n int, err error) {
	f.seek.Lock()
	defer f.seek.Unlock()
	n, err = f.ReadAt(p, f.pos)
	f.pos += int64(n)
	if err == io.EOF && n > 0 {
		err = nil
	}
	return n, err
}

// Write writes at the file position and advances it, as io.Writer has it. Past
// the end of the region it stores what fits and returns [ErrNoSpace].
func (f *File) Write(p []byte) (n int, err error) {
	f.seek.Lock()
	defer f.seek.Unlock()
	n, err = f.WriteAt(p, f.pos)
	f.pos += int64(n)
	return n, err
}

// Seek sets the file position, as io.Seeker has it, and returns it. It may lie
// beyond the end of the region.
func (f *File) Seek(offset int64, whence int) (int64, error) {
	if f.closed.Load() {
		return 0, f.errClosed("seek")
	}
	f.seek.Lock()
	defer f.seek.Unlock()
	pos := offset
	switch whence {
	case io.SeekStart:
	case io.SeekCurrent:
		pos += f.pos
	case io.SeekEnd:
		pos += f.Size()
	default:
		return 0, fmt.Errorf("seek %s: %w: whence %d", f.Name(), ErrInvalid, whence)
	}
	if pos < 0 {
		return 0, fmt.Errorf("seek %s: %w: position %d", f.Name(), ErrInvalid, pos)
	}
	f.pos = pos
	return pos, nil
}
