package workload

import (
	"fmt"
	"strings"
	"time"

	"github.com/unio-stack/unio"
	"github.com/unio-stack/unio/internal/bytesize"
)

// An Access is a mix of reads and writes, in order or not.
type Access struct {
	Random      bool
	ReadPercent int // 0 to 100
}

// Accesses are the names that ParseAccess knows.
var Accesses = []string{"randread", "randwrite", "randrw", "read", "write", "rw"}

// ParseAccess reads a name as fio has them. mix is the percentage of reads of
// randrw and rw.
func ParseAccess(name string, mix int) (Access, error) {
	switch name {
	case "randread":
		return Access{true, 100}, nil
	case "randwrite":
		return Access{true, 0}, nil
	case "read":
		return Access{false, 100}, nil
	case "write":
		return Access{false, 0}, nil
	case "randrw", "rw":
		if mix < 0 || mix > 100 {
			return Access{}, fmt.Errorf("%w: a mix of %d%% reads: want 0 to 100", unio.ErrInvalid, mix)
		}
		return Access{name == "randrw", mix}, nil
	}
	return Access{}, fmt.Errorf("%w: access %q: want one of %s", unio.ErrInvalid, name, strings.Join(Accesses, ", "))
}

// Reads reports whether the mix has any reads.
func (a Access) Reads() bool { return a.ReadPercent > 0 }

// Writes reports whether the mix has any writes.
func (a Access) Writes() bool { return a.ReadPercent < 100 }

// Config says what to do to the region. Access, BlockSize and Time must be set.
type Config struct {
	Access    Access
	BlockSize int // bytes of each request
	Depth     int // requests in flight on each channel; default 1
	Channels  int // each with a goroutine; default 1
	// Batch is how many requests are reaped, and as many posted again, at a
	// time at most; default 6, and not above Depth. A small batch keeps the
	// device busy while the next is made, a large one costs less CPU time.
	Batch int
	// Time is how long requests are posted and counted, after Ramp.
	Time time.Duration
	Ramp time.Duration
	// Span is how many bytes from the region's start are used; default all.
	Span int64
	// Pinned locks each channel's goroutine to its OS thread.
	Pinned bool
	// Spin is ChannelConfig.Spin.
	Spin time.Duration
	// Durable makes every write durable before it completes.
	Durable bool
	// FlushEvery posts a flush after so many writes of a channel; 0 never.
	FlushEvery int
	// Prefill writes the whole span first, so that reads meet real data.
	Prefill bool
	// Verify stamps each block written and checks each block read. Each
	// channel then keeps to its own part of the span. If there are writes
	// and reads, the span is filled first; what was written is read back at
	// the end.
	Verify bool
	// Seed makes the sequence of blocks repeatable; with several channels,
	// each has its own derived from it.
	Seed uint64
}

const defaultBatch = 6

// maxVerifyBlocks bounds the memory that Verify takes, 4 bytes a block.
const maxVerifyBlocks = 1 << 26

// withDefaults fills in and checks the configuration for a region.
func (c Config) withDefaults(reg *unio.Region) (Config, error) {
	c.Depth, c.Channels = max(c.Depth, 1), max(c.Channels, 1)
	if c.Batch == 0 {
		c.Batch = defaultBatch
	}
	c.Batch = min(c.Batch, c.Depth)
	if c.Span == 0 {
		c.Span = reg.Size()
	}
	bad := func(format string, args ...any) (Config, error) {
		return c, fmt.Errorf("%w: "+format, append([]any{unio.ErrInvalid}, args...)...)
	}
	switch {
	case c.BlockSize <= 0:
		return bad("a block of %d bytes", c.BlockSize)
	case c.Time <= 0:
		return bad("a run of %v", c.Time)
	case c.Batch < 0:
		return bad("a batch of %d requests", c.Batch)
	case c.Ramp < 0 || c.FlushEvery < 0:
		return bad("ramp and flush interval must not be negative")
	case c.Span > reg.Size():
		return bad("%s are to be used, the device has %s", bytesize.Format(c.Span), bytesize.Format(reg.Size()))
	case c.blocks() < int64(c.Channels):
		return bad("%s holds %d blocks of %s, too few for %d channels",
			bytesize.Format(c.Span), c.blocks(), bytesize.Format(int64(c.BlockSize)), c.Channels)
	}
	if c.Verify {
		return c, c.checkVerify()
	}
	return c, nil
}

func (c *Config) checkVerify() error {
	switch {
	case c.BlockSize < minStamped || c.BlockSize%8 != 0:
		return fmt.Errorf("%w: blocks to verify must be a multiple of 8 bytes, at least %d", unio.ErrInvalid, minStamped)
	case c.blocks()/int64(c.Channels) < int64(c.Depth):
		return fmt.Errorf("%w: to verify, each channel needs as many blocks as its depth: %d blocks are too few for %d channels of depth %d",
			unio.ErrInvalid, c.blocks(), c.Channels, c.Depth)
	case c.blocks() > maxVerifyBlocks:
		return fmt.Errorf("%w: at most %d blocks can be verified, this is %d: use a smaller size or larger blocks",
			unio.ErrInvalid, maxVerifyBlocks, c.blocks())
	}
	return nil
}

// blocks returns how many whole blocks the span has.
func (c *Config) blocks() int64 { return c.Span / int64(c.BlockSize) }

// prefills reports whether the span is written before the run.
func (c *Config) prefills() bool {
	return c.Prefill || c.Verify && c.Access.Writes() && c.Access.Reads()
}
