package unio

import "math"

// A Request is one operation posted to a channel. Post copies it; what Data
// and Vec refer to (and Vec's own array) belongs to the stack from Post until
// the request's completion: do not read, write or free it in between.
type Request struct {
	// ID comes back in the Completion and names the request to Cancel. It
	// means nothing to the stack and need not be unique.
	ID uint64
	// Op is what to do.
	Op Opcode
	// Flags change how.
	Flags Flags
	// Region is what to do it to: a region of the channel's device. Messages
	// have none, unless they Invalidate one.
	Region *Region
	// Offset is in bytes from the start of the region, at any alignment;
	// for atomics a multiple of 8. Append and WriteAtomic take none.
	Offset int64
	// Length is in bytes, for Discard and WriteZeroes only.
	Length int64
	// Data is the memory to read into, to receive into, to write from or to send
	// from, of any kind and alignment; a message may be empty. For atomics it may be nil, or 8 bytes that receive the
	// word's old value, little-endian.
	Data []byte
	// Vec scatters or gathers over several pieces, in order, instead of Data.
	Vec [][]byte
	// Compare is the value CompareSwap expects. Words are little-endian.
	Compare uint64
	// Swap is what CompareSwap stores; FetchAdd adds it; Immediate sends it.
	Swap uint64
	// Ranges are where a WriteAtomic stores its memory, in their order: none of
	// them empty, no two overlapping. Like Vec's, their array belongs to the
	// stack until the completion.
	Ranges []Range
}

// A Range is some bytes of a region.
type Range struct{ Offset, Length int64 }

// A Completion is how one request ended.
type Completion struct {
	// ID is the Request's.
	ID uint64
	// N is the number of bytes read, written, zeroed, discarded, sent or
	// received. It is less than what was asked only when Err is not nil, or
	// when the message that a Recv took was shorter.
	N int64
	// Value is the old value of the word, for atomics, for an Append the offset
	// at which its memory is stored, and for a Recv of an Immediate message what
	// the peer sent.
	Value uint64
	// Flags say of what kind the message was that a Recv took: Solicited,
	// Invalidate, Immediate.
	Flags Flags
	// Err is nil, or an *OpError.
	Err error
}

// size returns the number of bytes the request covers in its region.
func (r *Request) size() int64 {
	switch {
	case r.Op.hasData() && r.Vec == nil:
		return int64(len(r.Data))
	case r.Op.hasData():
		return vecSize(r.Vec)
	case r.Op.isAtomic():
		return wordSize
	case r.Op.hasRange():
		return r.Length
	}
	return 0
}

const wordSize = 8

// check says what is wrong with the request on a channel of dev, or nil. It is
// complete: what passes can be started. It does not allocate unless it fails.
func (r *Request) check(dev *Device, noCopy bool) error {
	reg := r.Region
	switch {
	case !r.Op.valid():
		return r.refuse(dev, ErrInvalid, "unknown operation")
	case r.Op.isMessage():
		return r.checkMessage(dev)
	case reg == nil:
		return r.refuse(dev, ErrInvalid, "no region: set Request.Region to what Device.Attach returned")
	case reg.dev != dev:
		return r.refuse(dev, ErrInvalid, foreign(reg))
	case !dev.ops.Has(r.Op):
		return r.refuse(dev, ErrUnsupported, "the device offers "+dev.ops.String())
	case r.Flags&^storageFlags != 0:
		return r.refuse(dev, ErrInvalid, "the operation takes no flags "+(r.Flags&^storageFlags).String())
	case reg.revoked.Load():
		return r.refuse(dev, ErrRevoked, "")
	case reg.rights&r.Op.needs() != r.Op.needs():
		return r.refuse(dev, ErrAccess, "region is attached "+reg.rights.String())
	case r.Flags&Durable != 0 && !dev.canMakeDurable(r.Op):
		return r.refuse(dev, ErrUnsupported, "the device cannot flush, so it cannot be Durable")
	}
	if err := r.checkMemory(dev); err != nil || r.Op == OpFlush {
		return err
	}
	if r.Op.isWhole() || r.Ranges != nil {
		return r.checkWhole(dev)
	}
	n, end := r.size(), reg.Size()
	if r.Offset < 0 || n > end || r.Offset > end-n {
		return r.refuse(dev, ErrOutOfRange, "")
	}
	if noCopy && dev.needsCopy(r) {
		return r.refuse(dev, ErrUnsupported, dev.copyReason())
	}
	return nil
}

// foreign says what is wrong with a region that is not the device's.
func foreign(reg *Region) string {
	if reg.dev == nil {
		return "region was not attached: set Request.Region to what Device.Attach returned"
	}
	return "region belongs to another device, " + reg.dev.info.Name
}

// checkMemory checks the fields that describe memory, length and alignment.
func (r *Request) checkMemory(dev *Device) error {
	switch {
	case r.Op.hasData() && r.Vec != nil:
		return r.checkVec(dev)
	case r.Op.hasData():
		if len(r.Data) == 0 {
			return r.refuse(dev, ErrInvalid, "no memory: Data and Vec are empty")
		}
	case r.Vec != nil || len(r.Data) != 0 && !r.Op.isAtomic():
		return r.refuse(dev, ErrInvalid, "the operation takes no such memory: leave Data and Vec nil")
	case r.Op.isAtomic():
		if r.Offset%wordSize != 0 {
			return r.refuse(dev, ErrMisaligned, "atomics need an offset that is a multiple of 8")
		}
		if len(r.Data) != 0 && len(r.Data) != wordSize {
			return r.refuse(dev, ErrInvalid, "Data of an atomic is nil or 8 bytes")
		}
	case r.Op.hasRange():
		if r.Length <= 0 {
			return r.refuse(dev, ErrInvalid, "Length must be positive")
		}
	}
	return nil
}

// MaxVec is how many pieces a Request's Vec may have (Linux's UIO_MAXIOV).
const MaxVec = 1024

func (r *Request) checkVec(dev *Device) error {
	if len(r.Data) != 0 {
		return r.refuse(dev, ErrInvalid, "both Data and Vec are set")
	}
	if len(r.Vec) == 0 || len(r.Vec) > MaxVec {
		return r.refuse(dev, ErrInvalid, "Vec must have 1 to 1024 pieces")
	}
	var n int64
	for _, p := range r.Vec {
		if len(p) == 0 {
			return r.refuse(dev, ErrInvalid, "Vec has an empty piece")
		}
		if int64(len(p)) > math.MaxInt64-n {
			return r.refuse(dev, ErrOutOfRange, "Vec is longer than any region")
		}
		n += int64(len(p))
	}
	return nil
}

// refuse describes a request that is not posted.
func (r *Request) refuse(dev *Device, cause error, detail string) *OpError {
	e := &OpError{
		Op: r.Op, Device: dev.info.Name, Offset: r.Offset, Length: r.size(), BadByte: -1,
		Layer: LayerCore, Detail: detail, Err: cause,
	}
	if r.Region != nil {
		e.Region = r.Region.name
	}
	return e
}
