package workload

import (
	"fmt"
	"strings"
	"time"

	"github.com/unio-stack/unio"
	"github.com/unio-stack/unio/internal/bytesize"
)

// A Kind is what an Access is made of.
type Kind uint8

// The kinds.
const (
	Blocks      Kind = iota // reads and writes of blocks
	FetchAdd                // words to which 1 is added, each block one
	CompareSwap             // words that are 0, it is hoped, and stay so: 0 is stored in their place
	Send                    // messages that the peer takes
	PingPong                // messages that the peer sends back
)

// An Access says what to do: what kind of requests, and of blocks which mix
// of reads and writes, in order or not.
type Access struct {
	Kind        Kind
	Random      bool
	ReadPercent int // 0 to 100
}

// Accesses are the names that ParseAccess knows.
var Accesses = []string{
	"randread", "randwrite", "randrw", "read", "write", "rw",
	"fetch-add", "compare-swap", "send", "pingpong",
}

// ParseAccess reads a name: those of reads and writes are fio's. mix is the
// percentage of reads of randrw and rw.
func ParseAccess(name string, mix int) (Access, error) {
	switch name {
	case "randread":
		return Access{Random: true, ReadPercent: 100}, nil
	case "randwrite":
		return Access{Random: true}, nil
	case "read":
		return Access{ReadPercent: 100}, nil
	case "write":
		return Access{}, nil
	case "randrw", "rw":
		if mix < 0 || mix > 100 {
			return Access{}, fmt.Errorf("%w: a mix of %d%% reads: want 0 to 100", unio.ErrInvalid, mix)
		}
		return Access{Random: name == "randrw", ReadPercent: mix}, nil
	case "fetch-add":
		return Access{Kind: FetchAdd, Random: true}, nil
	case "compare-swap":
		return Access{Kind: CompareSwap, Random: true}, nil
	case "send":
		return Access{Kind: Send}, nil
	case "pingpong":
		return Access{Kind: PingPong}, nil
	}
	return Access{}, fmt.Errorf("%w: access %q: want one of %s", unio.ErrInvalid, name, strings.Join(Accesses, ", "))
}

// Reads reports whether there are any reads of blocks.
func (a Access) Reads() bool { return a.Kind == Blocks && a.ReadPercent > 0 }

// Writes reports whether the region may be changed.
func (a Access) Writes() bool { return a.Atomic() || a.Kind == Blocks && a.ReadPercent < 100 }

// Atomic reports whether it is made of atomics, each on a word of 8 bytes.
func (a Access) Atomic() bool { return a.Kind == FetchAdd || a.Kind == CompareSwap }

// Messages reports whether it is made of messages, which need no region.
func (a Access) Messages() bool { return a.Kind == Send || a.Kind == PingPong }

// needs returns the operations that a device must offer.
func (a Access) needs() (ops []unio.Opcode) {
	switch a.Kind {
	case FetchAdd:
		return append(ops, unio.OpFetchAdd)
	case CompareSwap:
		return append(ops, unio.OpCompareSwap)
	case Send:
		return append(ops, unio.OpSend)
	case PingPong:
		return append(ops, unio.OpSend, unio.OpRecv)
	}
	if a.Reads() {
		ops = append(ops, unio.OpRead)
	}
	if a.Writes() {
		ops = append(ops, unio.OpWrite)
	}
	return ops
}

// Config says what to do. Access, BlockSize and Time must be set.
type Config struct {
	Access    Access
	BlockSize int // bytes of each request; 8 for atomics
	Depth     int // requests in flight on each channel, for PingPong messages under way; default 1
	Channels  int // each with a goroutine; default 1
	// Batch is how many requests are reaped, and as many posted again, at a
	// time at most; default 6, and not above Depth. A small batch keeps the
	// device busy while the next is made, a large one costs less CPU time.
	Batch int
	// Time is how long requests are posted and counted, after Ramp.
	Time time.Duration
	Ramp time.Duration
	// Span is how many bytes from the region's start are used; default all.
	// Not for messages.
	Span int64
	// Pinned locks each channel's goroutine to its OS thread.
	Pinned bool
	// Spin is ChannelConfig.Spin.
	Spin time.Duration
	// Durable makes every write durable before it completes. This and what
	// follows, but for Prefill and Seed, is for blocks only.
	Durable bool
	// FlushEvery posts a flush after so many writes of a channel; 0 never.
	FlushEvery int
	// Prefill writes the whole span first, so that reads meet real data: zeroes
	// if Access is atomic. Not for messages.
	Prefill bool
	// Verify stamps each block written and checks each block read. Each
	// channel then keeps to its own part of the span. If there are writes
	// and reads, the span is filled first; what was written is read back at
	// the end.
	Verify bool
	// Seed makes the sequence of blocks repeatable; with several channels,
	// each has its own derived from it.
	Seed uint64
	// Watch, if it is not nil, is called when what is measured begins, and
	// again when it has ended, so that somebody else can count meanwhile. What
	// it does itself is not in the Result's CPU time.
	Watch func()
}

const (
	defaultBatch = 6
	wordSize     = 8 // of atomics
)

// maxVerifyBlocks bounds the memory that Verify takes, 4 bytes a block.
const maxVerifyBlocks = 1 << 26

// withDefaults fills in and checks the configuration for a region, nil for
// messages, of a device.
func (c Config) withDefaults(dev *unio.Device, reg *unio.Region) (Config, error) {
	c = c.withCounts()
	switch {
	case c.BlockSize <= 0 && !c.Access.Messages(), c.BlockSize < 0:
		return c, invalid("a block of %d bytes", c.BlockSize)
	case c.Access.Atomic() && c.BlockSize != wordSize:
		return c, invalid("atomics of %d bytes: a word has %d", c.BlockSize, wordSize)
	case c.Access.Kind != Blocks && (c.Durable || c.FlushEvery > 0 || c.Verify):
		return c, invalid("only reads and writes can be durable, flushed or verified")
	}
	if err := c.checkTimes(); err != nil {
		return c, err
	}
	info := dev.Info()
	for _, op := range c.Access.needs() {
		if offered := info.Native | info.Provided; !offered.Has(op) {
			return c, fmt.Errorf("%s: %w: no %v; it offers %v", info.Name, unio.ErrUnsupported, op, offered)
		}
	}
	if c.Access.Messages() {
		return c, nil
	}
	return c.withSpan(reg)
}

// withCounts fills in what needs no region.
func (c Config) withCounts() Config {
	c.Depth, c.Channels = max(c.Depth, 1), max(c.Channels, 1)
	if c.Batch == 0 {
		c.Batch = defaultBatch
	}
	c.Batch = min(c.Batch, c.Depth)
	return c
}

func (c *Config) checkTimes() error {
	switch {
	case c.Time <= 0:
		return invalid("a run of %v", c.Time)
	case c.Batch < 0:
		return invalid("a batch of %d requests", c.Batch)
	case c.Ramp < 0 || c.FlushEvery < 0:
		return invalid("ramp and flush interval must not be negative")
	}
	return nil
}

// withSpan fills in and checks what part of the region is used.
func (c Config) withSpan(reg *unio.Region) (Config, error) {
	if c.Span == 0 {
		c.Span = reg.Size()
	}
	switch {
	case c.Span > reg.Size():
		return c, invalid("%s are to be used, the device has %s", bytesize.Format(c.Span), bytesize.Format(reg.Size()))
	case c.blocks() < int64(c.Channels):
		return c, invalid("%s holds %d blocks of %s, too few for %d channels",
			bytesize.Format(c.Span), c.blocks(), bytesize.Format(int64(c.BlockSize)), c.Channels)
	}
	if c.Verify {
		return c, c.checkVerify()
	}
	return c, nil
}

func invalid(format string, args ...any) error {
	return fmt.Errorf("%w: "+format, append([]any{unio.ErrInvalid}, args...)...)
}

func (c *Config) checkVerify() error {
	switch {
	case c.BlockSize < minStamped || c.BlockSize%8 != 0:
		return invalid("blocks to verify must be a multiple of 8 bytes, at least %d", minStamped)
	case c.blocks()/int64(c.Channels) < int64(c.Depth):
		return invalid("to verify, each channel needs as many blocks as its depth: %d blocks are too few for %d channels of depth %d",
			c.blocks(), c.Channels, c.Depth)
	case c.blocks() > maxVerifyBlocks:
		return invalid("at most %d blocks can be verified, this is %d: use a smaller size or larger blocks",
			maxVerifyBlocks, c.blocks())
	}
	return nil
}

// blocks returns how many whole blocks the span has; none for messages.
func (c *Config) blocks() int64 { return c.Span / int64(max(c.BlockSize, 1)) }

// prefills reports whether the span is written before the run.
func (c *Config) prefills() bool {
	return c.Prefill || c.Verify && c.Access.Writes() && c.Access.Reads()
}
