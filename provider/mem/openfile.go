package mem

import (
	"context"
	"fmt"
	"os"
	"strings"

	"github.com/unio-stack/unio"
	"github.com/unio-stack/unio/internal/memory"
)

// DAXConfig configures a device of a mapped file. The zero value maps all of
// an existing file for reading and writing.
type DAXConfig struct {
	// Size is the length of the region in bytes: the first so many of the file.
	// Default: all of it. A file that is created needs it.
	Size int64
	// Create makes the file, Size zeroes, where there is none.
	Create bool
	// Reserve allocates the space of a file that is created, so that no write
	// finds the file system full. Default: it grows as it is written.
	Reserve bool
	// ReadOnly maps without the right to write.
	ReadOnly bool
}

// OpenFile maps a file, a DAX device or a block device. Others may map it too,
// in this process and in others; what they write is visible at once. It
// should not be truncated meanwhile: operations on what is gone fail with
// [unio.ErrMedia].
//
// Info tells what the mapping is: a synchronous one, whose engine is named
// after the instruction that makes writes durable (such as "dax-clwb"), or one
// of the page cache, "mapped-msync".
//
// It fails with [unio.ErrInvalid] when the configuration does not fit the
// file, [unio.ErrAccess] when its permissions forbid it, [unio.ErrNoSpace],
// and with the system's own error for the rest (a missing file is
// [os.ErrNotExist]).
func OpenFile(ctx context.Context, path string, cfg DAXConfig) (*unio.Device, error) {
	d, err := openDAX(ctx, path, cfg)
	if err != nil {
		return nil, fmt.Errorf("open dax:%s: %w", path, err)
	}
	return unio.NewDevice(d), nil
}

func openDAX(ctx context.Context, path string, cfg DAXConfig) (*device, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if err := cfg.check(); err != nil {
		return nil, err
	}
	f, length, err := openStorage(path, cfg)
	if err != nil {
		return nil, err
	}
	d, err := mapStorage(f, length, cfg)
	if err != nil {
		_ = f.Close()
		return nil, err
	}
	return d, nil
}

func (cfg DAXConfig) check() error {
	switch {
	case cfg.Size < 0:
		return fmt.Errorf("%w: size %d: must be positive, or 0 for the file's own", unio.ErrInvalid, cfg.Size)
	case cfg.Create && cfg.ReadOnly:
		return fmt.Errorf("%w: create and read-only exclude each other", unio.ErrInvalid)
	case cfg.Create && cfg.Size == 0:
		return fmt.Errorf("%w: create needs a size", unio.ErrInvalid)
	case cfg.Reserve && !cfg.Create:
		return fmt.Errorf("%w: reserve is for files that are created", unio.ErrInvalid)
	}
	return nil
}

// mapStorage makes a device of an open file of that length, which belongs to
// the device unless there is an error.
func mapStorage(f *os.File, length int64, cfg DAXConfig) (*device, error) {
	size := cfg.Size
	if size == 0 {
		size = length
	}
	switch {
	case length == 0:
		return nil, fmt.Errorf("%w: the file is empty: extend it, or create it with a size", unio.ErrInvalid)
	case size > length:
		return nil, fmt.Errorf("%w: size %d: the file has only %d bytes; extend it, or ask for less", unio.ErrInvalid, size, length)
	}
	m, err := memory.Map(f, size, memory.MapOptions{ReadOnly: cfg.ReadOnly})
	if err != nil {
		return nil, withCause(err)
	}
	d, err := newDevice(m, unio.Info{
		Provider: layerDAX, Name: f.Name(), ReadOnly: cfg.ReadOnly, Persistence: unio.Power,
	})
	if err != nil {
		return nil, err
	}
	d.file = f
	d.choose()
	return d, nil
}

// choose takes the way to durability that the mapping has, and says which.
func (d *device) choose() {
	i := &d.info
	if d.mapping.Synchronous() {
		name := memory.WriteBackInstruction()
		i.Engine = "dax-" + strings.ToLower(strings.ReplaceAll(name, " ", "-"))
		i.Reason = "MAP_SYNC holds: " + name + " makes writes durable"
		d.durable = newLines(d)
	} else {
		i.Engine = "mapped-msync"
		i.Reason = "no MAP_SYNC here"
		i.Notes = append(i.Notes, "no MAP_SYNC here: msync makes writes durable, and blocks until the storage has them")
		d.durable = &pages{mapping: d.mapping}
	}
	if losesContent(d.file) {
		i.Persistence = unio.Host
		i.Notes = append(i.Notes, "the file system is in memory: nothing survives a restart of the machine")
	}
	if d.frees = !i.ReadOnly && canPunch(d.file, d.mapping.Size()); !d.frees && !i.ReadOnly {
		i.Notes = append(i.Notes, "the file system frees no part of a file: discard writes zeroes")
	}
}
