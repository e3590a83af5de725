package unio

import "fmt"

// Persistence says what of a completed, flushed write survives what.
type Persistence uint8

const (
	// Volatile memory is gone with the process.
	Volatile Persistence = iota
	// Host memory outlives the process, not a loss of power.
	Host
	// Power loss leaves what was flushed.
	Power
)

// String returns the level's name.
func (p Persistence) String() string {
	switch p {
	case Volatile:
		return "volatile"
	case Host:
		return "host"
	case Power:
		return "power-fail"
	}
	return fmt.Sprintf("persistence(%d)", uint8(p))
}

// MarshalText makes the value readable in JSON.
func (p Persistence) MarshalText() ([]byte, error) { return []byte(p.String()), nil }

// Info describes a device. It does not change while the device is open.
type Info struct {
	Provider string `json:"provider"` // URL scheme
	Name     string `json:"name"`     // what was opened, for people
	Engine   string `json:"engine"`   // how requests reach the medium, such as "io_uring"
	Reason   string `json:"reason"`   // why this engine
	// Notes are the stated fallbacks: what was asked or expected and is not so.
	Notes []string `json:"notes,omitempty"`

	// Native is what the provider does itself, Provided what this package
	// composes from it: slower, with the same promises.
	Native   OpSet `json:"native"`
	Provided OpSet `json:"provided"`
	// NativeDurable are the operations whose Durable costs no separate flush.
	NativeDurable OpSet `json:"native_durable"`

	// BlockSize, MemoryAlign and ZeroUnit, in bytes, are what the medium moves
	// at once, how it wants memory aligned, and the unit of its Discard and
	// WriteZeroes: powers of two. Requests of other shapes are provided: ragged
	// ends by read-modify-write, misaligned memory by a copy.
	BlockSize   int `json:"block_size"`
	MemoryAlign int `json:"memory_align"`
	ZeroUnit    int `json:"zero_unit"`
	// AtomicUnit bytes, aligned, are never torn by a crash.
	AtomicUnit int `json:"atomic_unit"`
	// MaxTransfer bytes is the longest single transfer; longer requests are split.
	MaxTransfer int64 `json:"max_transfer"`
	// MaxAtomic bytes in at most MaxRanges ranges is the longest WriteAtomic, and
	// MaxAtomic bytes the longest Append.
	MaxAtomic int64 `json:"max_atomic,omitempty"`
	MaxRanges int   `json:"max_ranges,omitempty"`
	// MaxMessage bytes is the longest Send.
	MaxMessage int64 `json:"max_message,omitempty"`
	// MaxDepth is the largest ChannelConfig.Depth.
	MaxDepth int `json:"max_depth"`

	Persistence Persistence `json:"persistence"` // of what was flushed, or written with Durable
	ReadOnly    bool        `json:"read_only"`   // no region can be attached to write
	// Shared says that others than this device change its regions, so that
	// atomics cannot be composed of reads and writes.
	Shared bool `json:"shared,omitempty"`
}
