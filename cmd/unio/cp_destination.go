package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"

	"github.com/unio-stack/unio"
	"github.com/unio-stack/unio/internal/location"
	"github.com/unio-stack/unio/internal/transfer"
	"github.com/unio-stack/unio/provider"
)

// A destination is an open DST.
type destination struct {
	transfer.Target
	where location.Location // zero for standard output
	dev   *unio.Device      // nil for a stream
	file  *os.File          // nil but for a stream that was opened
	state *transfer.State   // nil if the copy cannot be resumed
	ended bool              // the device is closed
}

// pageSize is what lengths are rounded up to while a file is written: direct
// I/O moves whole blocks.
const pageSize = 4096

// openDestination opens DST, made ready for the source.
func openDestination(ctx context.Context, sh *shell, raw string, src *source, f copyFlags) (*destination, error) {
	if raw == "-" {
		return &destination{Target: transfer.Target{Stream: sh.out}}, nil
	}
	l, err := location.Locate(raw)
	if err != nil {
		return nil, err
	}
	d := &destination{where: l}
	switch {
	case l.Kind == location.Directory:
		return nil, hinted(usage("%s is a directory", raw), "name the file in it: %s", filepath.Join(l.Path, cmp.Or(filepath.Base(src.where.Path), "NAME")))
	case location.Same(l, src.where):
		return nil, usage("%s and %s are the same file", src.where.Raw, raw)
	case l.Kind == location.Other:
		d.file, err = os.OpenFile(l.Path, os.O_WRONLY, 0)
		d.Stream = d.file
		return d, err
	case l.Kind == location.Block && !f.force:
		if err := checkUnused(l.Path); err != nil {
			return nil, err
		}
	}
	if err := d.open(ctx, sh, src, f); err != nil {
		d.close()
		return nil, err
	}
	return d, nil
}

// sized reports whether DST is a file whose length is made the copy's.
func (d *destination) sized() bool {
	return d.where.Kind == location.Regular || d.where.Kind == location.Missing
}

// open opens the device, after it was made as long as the source if it is a
// file.
func (d *destination) open(ctx context.Context, sh *shell, src *source, f copyFlags) error {
	notes := f.state
	if notes == "" && d.sized() {
		notes = transfer.StatePath(d.where.Path)
	}
	options := map[string]string{}
	if d.sized() {
		d.Grows = true
		if err := d.makeFile(src, notes, f, options); err != nil {
			return err
		}
	}
	if notes != "" && src.Region != nil {
		if err := d.openState(sh, src, notes, f); err != nil {
			return err
		}
	}
	dev, err := provider.Open(ctx, d.where.With(options))
	if err != nil {
		return err
	}
	d.dev = dev
	d.Region, err = dev.Attach(ctx, "", unio.ReadWrite)
	if errors.Is(err, unio.ErrAccess) && d.where.Remote() {
		return hinted(err, "the target serves it for reading only")
	}
	return err
}

// makeFile makes DST a file of the right length: empty before, unless there
// are notes that say how far it is. What is left for the provider to do
// (reserve the space) goes to options.
func (d *destination) makeFile(src *source, notes string, f copyFlags, options map[string]string) error {
	file, err := os.OpenFile(d.where.Path, os.O_RDWR|os.O_CREATE, 0o666)
	if err != nil {
		return err
	}
	defer func() { _ = file.Close() }()
	if d.where.Stat, err = file.Stat(); err != nil {
		return err
	}
	length := max((src.Size+pageSize-1)/pageSize*pageSize, pageSize)
	if _, err := os.Stat(notes); f.restart || err != nil || d.where.Stat.Size() != length {
		if err := file.Truncate(0); err != nil {
			return err
		}
		if err := os.Remove(notes); err != nil && !errors.Is(err, os.ErrNotExist) {
			return err // they must not be believed: the file is empty now
		}
	}
	if d.where.Scheme() == "file" && !f.sparse {
		options["size"] = strconv.FormatInt(length, 10)
		return nil
	}
	return file.Truncate(length)
}

// openState takes up or begins the notes for resuming.
func (d *destination) openState(sh *shell, src *source, path string, f copyFlags) error {
	if f.restart {
		if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
	}
	target := identify(d.where)
	target.ModTime = 0 // it changes as it is written
	state, why, err := transfer.OpenState(path, transfer.Header{Source: src.id, Target: target, Chunk: int(f.chunk)})
	if err != nil {
		return fmt.Errorf("notes for resuming: %w", err)
	}
	if why != "" && !f.quiet {
		fmt.Fprintf(sh.err, "unio: not resumed: %s\n", why)
	}
	d.state = state
	return nil
}

// finish makes the copy complete: a file gets its exact length, and the notes
// go.
func (d *destination) finish(src *source, length int64) error {
	if err := d.closeDevice(); err != nil {
		return err
	}
	if d.sized() {
		if err := cut(d.where.Path, length); err != nil {
			return err
		}
	}
	if err := src.unchanged(); err != nil {
		d.discardState()
		return err
	}
	d.discardState()
	return nil
}

// cut gives a file its length, durably.
func cut(path string, length int64) error {
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	err = f.Truncate(length)
	if err == nil {
		err = f.Sync()
	}
	return errors.Join(err, f.Close())
}

// discardState removes the notes: there is nothing to resume.
func (d *destination) discardState() {
	if d.state != nil {
		_ = d.state.Remove() // at worst a later copy finds that they do not fit
		d.state = nil
	}
}

func (d *destination) closeDevice() error {
	if d.dev == nil || d.ended {
		return nil
	}
	d.ended = true
	return d.dev.Close()
}

// close ends the use of the destination, and keeps the notes if there are any.
func (d *destination) close() {
	_ = d.closeDevice() // after a failure; otherwise finish has closed it
	if d.state != nil {
		_ = d.state.Close()
	}
	if c, ok := d.Stream.(io.Closer); ok && d.file != nil {
		_ = c.Close()
	}
}
