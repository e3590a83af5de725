// Package media prepares the files that benchmarks read and write: fully
// allocated, full of random bytes, and in the page cache or not.
package media

import (
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
)

// A File is a file made for a run.
type File struct{ Path string }

const chunk = 4 << 20

// Create makes a file of random bytes in dir and writes all of it to the
// medium, so that what is written to it later goes to blocks it has.
func Create(dir, name string, size int64) (_ *File, err error) {
	f := &File{Path: filepath.Join(dir, name)}
	out, err := os.OpenFile(f.Path, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	defer func() {
		if err = errors.Join(err, out.Close()); err != nil {
			err = errors.Join(err, os.Remove(f.Path))
		}
	}()
	source := rand.NewChaCha8([32]byte{1})
	if _, err := io.CopyBuffer(onlyWriter{out}, io.LimitReader(source, size), make([]byte, chunk)); err != nil {
		return nil, fmt.Errorf("fill %s: %w", f.Path, err)
	}
	return f, out.Sync()
}

// onlyWriter hides the other methods of a file, so that CopyBuffer uses the buffer.
type onlyWriter struct{ io.Writer }

// Warm brings the whole file into the page cache.
func (f *File) Warm() (err error) {
	in, err := os.Open(f.Path)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, in.Close()) }()
	_, err = io.CopyBuffer(onlyWriter{io.Discard}, in, make([]byte, chunk))
	return err
}

// Drop takes the file out of the page cache, where that can be asked for.
func (f *File) Drop() (err error) {
	in, err := os.Open(f.Path)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, in.Close()) }()
	return drop(in)
}

// Remove deletes the file.
func (f *File) Remove() error { return os.Remove(f.Path) }
