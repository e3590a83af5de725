package unio

import (
	"encoding/binary"
	"unsafe"
)

// An Op is one operation on its way through a provider's Queue: what is to be
// done to whole blocks, in fields of the embedded Request. Of its flags only
// Durable concerns the provider, and only if Info.NativeDurable has the operation. The provider
// reads it between Submit and Complete, and may shorten nothing in it.
type Op struct {
	Request
	ch *Channel
	// assist is set while the core carries the request out in several steps;
	// then Request is the current step.
	assist *assist
	err    error
	n      int64
	value  uint64
	length int64  // Request.size() of the current step
	seq    uint64 // order of posting
	// locked is the range that lock is about; immutable while lock is not unlocked.
	locked span
	// before and after link the Silent requests in flight.
	before, after *Op
	epoch         uint32 // fences posted before it, itself included
	tag           uint32 // index in ch.ops; immutable
	state         opState
	lock          lockMode
	// abort asks a request of several steps to stop at the next.
	abort bool
	// sync: Do is waiting for this one; it is not delivered by Poll.
	sync bool
}

type opState uint8

const (
	opFree     opState = iota
	opFenced           // waits for earlier requests to end
	opLocking          // waits for a range another request is rewriting
	opBouncing         // waits for a bounce buffer
	opActive           // in the queue
	opEnded            // completion not yet delivered
	opHeld             // ended, but a Silent request posted before it has not
)

// Tag identifies the operation among those of its queue: 0 to Depth-1. A
// provider may index its own table with it from Submit to Complete.
func (o *Op) Tag() int { return int(o.tag) }

// Size returns how many bytes of the region the operation covers.
func (o *Op) Size() int64 { return o.length }

// Handle returns the provider's own side of the region. A message has none,
// unless it has the flag Invalidate.
func (o *Op) Handle() Handle {
	if o.Region == nil {
		return nil
	}
	return o.Region.store.handle
}

// Complete ends the operation, inside Submit, Reap or Cancel: n bytes were done from
// its start, in order. n short of Size without an error is a short transfer,
// which the core continues. err should wrap one of this package's causes.
func (o *Op) Complete(n int64, err error) {
	o.n, o.err = n, err
	o.ch.finished = append(o.ch.finished, o)
}

// CompleteWord ends an atomic with the word's old value.
func (o *Op) CompleteWord(old uint64) {
	o.n, o.err, o.value = wordSize, nil, old
	o.ch.finished = append(o.ch.finished, o)
}

// CompleteAppend ends an Append: all of its memory is stored, from at on.
func (o *Op) CompleteAppend(at int64) {
	o.n, o.err, o.value = o.length, nil, uint64(at)
	o.ch.finished = append(o.ch.finished, o)
}

// CompleteMessage ends a Recv: a message of n bytes is in its memory. flags has
// Solicited, Invalidate and Immediate as they apply; value is what the last of
// them carried.
func (o *Op) CompleteMessage(n int64, flags Flags, value uint64) {
	o.n, o.err, o.value, o.Flags = n, nil, value, flags
	o.ch.finished = append(o.ch.finished, o)
}

// putWord stores an atomic's result where the request asked for it.
func (r *Request) putWord(old uint64) {
	if len(r.Data) == wordSize {
		binary.LittleEndian.PutUint64(r.Data, old)
	}
}

// addr returns the address of the first byte of p.
func addr(p []byte) uintptr { return uintptr(unsafe.Pointer(unsafe.SliceData(p))) }
