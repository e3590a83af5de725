package unio

import (
	"errors"
	"fmt"
	"strings"
)

// The causes of failure. Test for them with errors.Is: what an operation
// returns is an [*OpError] that wraps one of these and, where there is one,
// the operating system's error number.
var (
	// ErrOutOfRange: offset and length do not lie within the region, or the
	// medium is shorter than it was.
	ErrOutOfRange = errors.New("out of range")
	// ErrAccess: the rights of the region do not permit the operation.
	ErrAccess = errors.New("access denied")
	// ErrRevoked: the region was closed or its grant withdrawn.
	ErrRevoked = errors.New("access revoked")
	// ErrMedia: the medium failed to read or store bytes.
	ErrMedia = errors.New("media error")
	// ErrChecksum: the bytes on the medium are not the ones written.
	ErrChecksum = errors.New("checksum mismatch")
	// ErrCanceled: the request was cancelled, or its channel closed, before it
	// was done. A cancelled mutation may have taken effect in part.
	ErrCanceled = errors.New("canceled")
	// ErrTimeout: the request was not done in time and was cancelled.
	ErrTimeout = errors.New("timed out")
	// ErrNoSpace: the medium is full.
	ErrNoSpace = errors.New("no space")
	// ErrBusy: another goroutine is using the channel, or the device cannot
	// take on more now.
	ErrBusy = errors.New("busy")
	// ErrUnsupported: the device cannot do this; Info says what it can.
	// errors.Is(ErrUnsupported, errors.ErrUnsupported) holds.
	ErrUnsupported = fmt.Errorf("%w by this device", errors.ErrUnsupported)
	// ErrDisconnected: the connection to the device broke.
	ErrDisconnected = errors.New("disconnected")
	// ErrClosed: the device, region or channel was closed.
	ErrClosed = errors.New("closed")
	// ErrFull: the channel holds Depth requests already, or for a Fence that
	// many fences wait or were cancelled behind one request; poll, then post
	// the rest.
	ErrFull = errors.New("channel is at its depth")
	// ErrInvalid: the request or configuration contradicts itself.
	ErrInvalid = errors.New("invalid")
	// ErrMisaligned: an atomic's offset is not a multiple of 8.
	ErrMisaligned = errors.New("misaligned")
)

// Layer says which part of the stack reported a failure.
type Layer string

// LayerCore is this package. Providers name their own, such as "file".
const LayerCore Layer = "core"

// An OpError is how an operation failed: what was asked, where it failed, and
// why. It is immutable.
type OpError struct {
	Op     Opcode // what was asked for
	Device string // Info.Name of the device
	Region string // name of the region, "" for a device's only one
	Offset int64  // as asked, in bytes
	Length int64  // as asked, in bytes
	// BadByte is the offset in the region of the first byte that failed, or
	// -1 where that is not known.
	BadByte int64
	Layer   Layer  // who reported it
	Peer    string // address of the other end, for remote devices
	Detail  string // what to do about it, or more about what is wrong
	Err     error  // the cause
}

// Error says all of it, in one line.
func (e *OpError) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s: %s", e.Layer, e.Op)
	if e.Device != "" {
		fmt.Fprintf(&b, " %s", e.Device)
	}
	if e.Region != "" {
		fmt.Fprintf(&b, " region %q", e.Region)
	}
	switch {
	case e.Op == OpFlush, e.Op == OpImmediate:
	case e.Op.isMessage():
		fmt.Fprintf(&b, " [length %d]", e.Length)
	default:
		fmt.Fprintf(&b, " [offset %d, length %d]", e.Offset, e.Length)
	}
	if e.Peer != "" {
		fmt.Fprintf(&b, " at %s", e.Peer)
	}
	fmt.Fprintf(&b, ": %v", e.Err)
	if e.BadByte >= 0 {
		fmt.Fprintf(&b, " at byte %d", e.BadByte)
	}
	if e.Detail != "" {
		fmt.Fprintf(&b, " (%s)", e.Detail)
	}
	return b.String()
}

// Unwrap returns the cause.
func (e *OpError) Unwrap() error { return e.Err }

// fail turns what the provider said into the request's OpError and logs it.
// A provider that knows more than the cause returns an OpError with Layer,
// BadByte, Peer, Detail and Err set.
func (c *Channel) fail(op *Op) {
	e := &OpError{BadByte: -1, Layer: Layer(c.dev.info.Provider), Err: op.err}
	if known := (*OpError)(nil); errors.As(op.err, &known) {
		*e = *known
	} else if errors.Is(op.err, ErrCanceled) {
		e.Layer = LayerCore
	} else if op.n > 0 && !op.Op.isMessage() {
		e.BadByte = op.Offset + op.n
	}
	e.Op, e.Device = op.Op, c.dev.info.Name
	if op.Region != nil {
		e.Region = op.Region.name
	}
	e.Offset, e.Length = op.Offset, op.length
	if e.BadByte >= 0 { // of a whole block, perhaps, that begins before the request
		e.BadByte = max(e.BadByte, op.Offset)
	}
	op.err = e
	c.dev.log.add(e)
}
