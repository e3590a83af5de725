package mem

import (
	"context"
	"fmt"

	"github.com/unio-stack/unio"
	"github.com/unio-stack/unio/internal/memory"
)

// Config configures a device of DRAM.
type Config struct {
	// Size is the length of its region in bytes. It has no default.
	Size int64
	// Name is what Info and errors call the device. Default "mem".
	Name string
	// Populate takes all of the memory from the system at once, so that the first access costs what later ones do, and
	// that there is not enough shows when the device is opened.
	Populate bool
}

// Open makes a device of DRAM: zeroes at first, gone with Close. Its memory is
// taken from the system as it is used, 2 MiB at a time, and not reserved before,
// unless Populate is set.
//
// It fails with [unio.ErrInvalid] when the size is not positive, and with
// [unio.ErrNoSpace] when the address space has no room for it, or the system no
// memory to populate it with.
func Open(ctx context.Context, cfg Config) (*unio.Device, error) {
	if cfg.Name == "" {
		cfg.Name = layerMem
	}
	d, err := openDRAM(ctx, cfg)
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", cfg.Name, err)
	}
	return unio.NewDevice(d), nil
}

func openDRAM(ctx context.Context, cfg Config) (*device, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if cfg.Size <= 0 {
		return nil, fmt.Errorf("%w: size %d: give the size in bytes, at least 1", unio.ErrInvalid, cfg.Size)
	}
	m, err := memory.MapAnonymous(cfg.Size)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", unio.ErrNoSpace, err)
	}
	if cfg.Populate {
		if err := m.Touch(0, cfg.Size, true); err != nil {
			_ = m.Close()
			return nil, fmt.Errorf("%w: populate %d bytes: %w", unio.ErrNoSpace, cfg.Size, err)
		}
	}
	info := unio.Info{
		Provider: layerMem, Name: cfg.Name, Engine: "copy", Reason: "memory of this process",
		Persistence: unio.Volatile,
	}
	if m.Evictable(false) {
		info.Notes = append(info.Notes, "this machine swaps: what has not been used for a while may have to be read back")
	}
	if !freesAnonymous {
		info.Notes = append(info.Notes, "this system takes no memory back: discard writes zeroes")
	}
	d, err := newDevice(m, info)
	if err != nil {
		return nil, err
	}
	d.frees = freesAnonymous
	return d, nil
}
