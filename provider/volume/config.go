package volume

import (
	"cmp"
	"fmt"
	"time"

	"github.com/unio-stack/unio"
	"github.com/unio-stack/unio/provider/volume/catalogue"
	"github.com/unio-stack/unio/provider/volume/internal/format"
)

// A Member is a region that a pool is made of.
type Member struct {
	// Device is opened by the caller, and the pool's once Create or Open has
	// succeeded: closing the pool closes it.
	Device *unio.Device
	// Region is the name to attach; default "".
	Region string
}

// Config says what a pool is made of. The zero value of all but Members works
// for a pool that need not outlive the process.
type Config struct {
	// Members are the pool's, in the order in which it was created; 1 to 128.
	Members []Member
	// Path is of the file with the catalogue. Put it beside the first member.
	Path string
	// Catalogue is used instead of the file at Path, and belongs to the pool
	// once Create or Open has succeeded. With neither the catalogue is in
	// memory, and the pool cannot be opened again.
	Catalogue catalogue.Catalogue
	// Name is what Info and errors call the pool. Default its ID.
	Name string
	// Entries is how many translations the active table holds: default 64 Ki,
	// at most 1 Mi. Each takes some 150 bytes, and 4 bytes for each 4 KiB of
	// an extent where there are checksums.
	Entries int
	// DirtyExtents is how many extents may be written to before the longest at
	// rest are made clean, which bounds what has to be read after a crash.
	// Default 1024, at least 16.
	DirtyExtents int
	// CleanAfter is how long the pool is at rest before all extents are made
	// clean. Default 2 s; negative is never.
	CleanAfter time.Duration

	// What follows is for Create.

	// ExtentSize in bytes: a power of two from 64 KiB to 16 MiB, default 1 MiB.
	ExtentSize int64
	// NoChecksums leaves bytes unchecked.
	NoChecksums bool
	// LogSize in bytes: 128 KiB to 1 GiB, default 16 MiB. An Append or a
	// WriteAtomic may have a fourth of it, and at most 1 MiB; a WriteAtomic has
	// up to a range for each 16 KiB, and at most 64.
	LogSize int64
	// Force creates the pool whatever is on the members.
	Force bool
}

const (
	defaultEntries    = 64 << 10
	maxEntries        = 1 << 20
	defaultDirty      = 1024
	minDirty          = 16
	defaultCleanAfter = 2 * time.Second
	defaultExtent     = 1 << 20
	defaultLog        = 16 << 20
	minLog            = 128 << 10
	maxLog            = 1 << 30
	maxAtomic         = 1 << 20
	maxRanges         = 64
)

// withDefaults checks the configuration and fills in what is left out.
func (c Config) withDefaults() (Config, error) {
	c.Entries = cmp.Or(c.Entries, defaultEntries)
	c.DirtyExtents = cmp.Or(c.DirtyExtents, defaultDirty)
	c.CleanAfter = cmp.Or(c.CleanAfter, defaultCleanAfter)
	c.ExtentSize = cmp.Or(c.ExtentSize, defaultExtent)
	c.LogSize = cmp.Or(c.LogSize, defaultLog)
	switch {
	case len(c.Members) == 0 || len(c.Members) > format.MaxMembers:
		return c, fmt.Errorf("%w: %d members: a pool has 1 to %d", unio.ErrInvalid, len(c.Members), format.MaxMembers)
	case c.Path != "" && c.Catalogue != nil:
		return c, fmt.Errorf("%w: both Path and Catalogue are set", unio.ErrInvalid)
	case c.Entries < 1 || c.Entries > maxEntries:
		return c, fmt.Errorf("%w: %d entries: the active table has 1 to %d", unio.ErrInvalid, c.Entries, maxEntries)
	case c.DirtyExtents < minDirty:
		return c, fmt.Errorf("%w: %d dirty extents: at least %d", unio.ErrInvalid, c.DirtyExtents, minDirty)
	case !format.ValidExtentSize(c.ExtentSize):
		return c, fmt.Errorf("%w: extents of %d bytes: a power of two from %d to %d", unio.ErrInvalid, c.ExtentSize, format.MinExtentSize, format.MaxExtentSize)
	case c.LogSize < minLog || c.LogSize > maxLog || c.LogSize%4096 != 0:
		return c, fmt.Errorf("%w: a log of %d bytes: a multiple of 4096 from %d to %d", unio.ErrInvalid, c.LogSize, minLog, maxLog)
	}
	return c, nil
}

// VolumeConfig says what a volume is to be. It needs a Size.
type VolumeConfig struct {
	// Size in bytes, a multiple of the pool's block size, at most 8 EiB less
	// one block. It takes no space.
	Size int64
	// Scratch promises nothing: the volume's bytes are gone when the pool is
	// opened again. Its flushes cost nothing.
	Scratch bool
}

// VolumeInfo describes a volume.
type VolumeInfo struct {
	Name string `json:"name"`
	// ID stays when the volume is renamed, and is not used again.
	ID   uint64 `json:"id"`
	Size int64  `json:"size"` // bytes
	// Allocated is how many bytes of the pool it takes.
	Allocated int64     `json:"allocated"`
	Scratch   bool      `json:"scratch,omitempty"`
	Created   time.Time `json:"created"`
	Attached  bool      `json:"attached"`
}
