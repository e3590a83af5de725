package unio

import (
	"context"
	"math"
)

// A Provider is the code behind one URL scheme: what [NewDevice] makes a
// Device of. It moves whole blocks; everything around that (validation, byte
// addressing, fences, silent completions, cancelling, waiting, statistics) is
// the Device's. Its methods may be called from any goroutine.
type Provider interface {
	// Info describes the device. Called once. Zero fields take their defaults:
	// no alignment, no limits, AtomicUnit 1.
	Info() Info
	// Attach resolves a region and checks the rights against the medium's own.
	// The core calls it once per name while any Region of that name is open.
	Attach(ctx context.Context, name string, rights Rights) (Handle, error)
	// NewQueue opens a private queue for depth operations at a time.
	NewQueue(cfg QueueConfig) (Queue, error)
	// Close releases the device. All queues and handles were closed before.
	Close() error
}

// A Handle is a provider's side of a region. Its methods may be called from
// any goroutine.
type Handle interface {
	// Size returns the length in bytes, a multiple of Info.BlockSize.
	Size() int64
	// Close ends the use of the region. Nothing that names it is in flight.
	Close() error
}

// Resizer is a Handle whose length can change.
type Resizer interface {
	// Resize changes the length; size is positive and a multiple of BlockSize.
	Resize(ctx context.Context, size int64) error
}

// Sparse is a Handle whose region need not have space for all of its bytes.
type Sparse interface {
	// Allocated returns ranges within [off, off+n) that have space: in order,
	// neither overlapping nor adjacent. It may return only the first few and
	// then says at which offset to go on; otherwise that is off+n.
	Allocated(ctx context.Context, off, n int64) (ranges []Range, next int64, err error)
}

// Mapped is a Handle whose bytes may be plain memory.
type Mapped interface {
	// Memory returns them, or nil. Using them takes neither write-back nor a guard against faults.
	Memory() []byte
}

// QueueConfig is what a channel asks of its queue.
type QueueConfig struct {
	// Depth is how many operations are submitted at most at a time.
	Depth int
	// Pinned promises that every call comes from one locked OS thread.
	Pinned bool
}

// A Queue carries the operations of one channel. Submit, Reap and Cancel are
// called by one goroutine at a time (the channel's owner of the moment, under
// mutual exclusion), and so is Counters; Sleep by one goroutine at a time,
// possibly while another is in one of those; Wake by anyone. Nothing is called
// during or after Close.
type Queue interface {
	// Submit starts the operations with one doorbell, in any order, and does
	// not block. It always accepts them: the core keeps to Depth. It may end
	// some of them at once, by Op.Complete. It keeps no reference to ops.
	Submit(ops []*Op)
	// Reap ends, by Op.Complete, the operations that the device has finished.
	Reap()
	// Cancel tries to end an operation early. Either way it completes, here or
	// in a later Reap, and only when nothing touches its memory any more.
	Cancel(op *Op)
	// Sleep blocks the goroutine, holding no OS thread (unless Pinned), until
	// Reap may have something to do or Wake was called since Sleep last
	// returned. It may return early. What is submitted while it sleeps counts
	// like what was submitted before.
	Sleep()
	// Wake makes the current or next Sleep return.
	Wake()
	// Counters returns what the queue has counted.
	Counters() Counters
	// Close releases the queue. No operation is in flight.
	Close() error
}

// Counters is what a queue counts about itself, for Stats.
type Counters struct {
	Syscalls int64 // system calls made on the data path
	Inline   int64 // operations that ended inside Submit
}

// withDefaults fills in what a provider left zero.
func (i Info) withDefaults() Info {
	i.BlockSize = max(i.BlockSize, 1)
	i.MemoryAlign = max(i.MemoryAlign, 1)
	i.ZeroUnit = max(i.ZeroUnit, 1)
	i.AtomicUnit = max(i.AtomicUnit, 1)
	if i.MaxTransfer == 0 {
		i.MaxTransfer = math.MaxInt64
	}
	i.MaxTransfer = max(roundDown(i.MaxTransfer, int64(i.BlockSize)), int64(i.BlockSize))
	if i.MaxMessage == 0 && i.Native.Has(OpSend) {
		i.MaxMessage = math.MaxInt64
	}
	if i.MaxDepth == 0 {
		i.MaxDepth = defaultMaxDepth
	}
	i.Provided = provides(i) &^ i.Native
	return i
}

const defaultMaxDepth = 1 << 14

// provides returns what the core can compose from the native operations.
func provides(i Info) OpSet {
	if i.ReadOnly || !i.Native.Has(OpRead) || !i.Native.Has(OpWrite) {
		return 0
	}
	if i.Shared {
		return Ops(OpWriteZeroes)
	}
	return Ops(OpWriteZeroes, OpCompareSwap, OpFetchAdd)
}
