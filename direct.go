package unio

import "fmt"

// direct reports whether the provider can carry out r as it is.
func (d *Device) direct(r *Request, length int64) bool {
	if r.Flags&Durable != 0 && r.Op.mutates() && !d.durable.Has(r.Op) {
		return false
	}
	if length > d.info.MaxTransfer {
		return r.Op.isMessage() || r.Op.isWhole()
	}
	if d.simple.Has(r.Op) {
		return true
	}
	return d.info.Native.Has(r.Op) && d.aligned(r, length)
}

// aligned reports whether an operation that an alignment rule concerns obeys it.
func (d *Device) aligned(r *Request, length int64) bool {
	if r.Op.hasRange() {
		return (r.Offset|length)&int64(d.info.ZeroUnit-1) == 0
	}
	if (r.Offset|length)&int64(d.info.BlockSize-1) != 0 {
		return false
	}
	if r.Vec == nil {
		return d.alignedMemory(r.Data)
	}
	for _, p := range r.Vec {
		if !d.alignedMemory(p) || len(p)&(d.info.BlockSize-1) != 0 {
			return false
		}
	}
	return true
}

func (d *Device) alignedMemory(p []byte) bool {
	return addr(p)&uintptr(d.info.MemoryAlign-1) == 0
}

// alignedRun returns how many bytes of the request's memory from pos on, whole
// blocks of them, the provider can use as they are.
func (d *Device) alignedRun(r *Request, pos int64) (n int64) {
	if r.Vec == nil {
		return d.alignedPart(r.Data[pos:])
	}
	for _, p := range r.Vec {
		if pos >= int64(len(p)) {
			pos -= int64(len(p))
			continue
		}
		p, pos = p[pos:], 0
		part := d.alignedPart(p)
		n += part
		if part < int64(len(p)) {
			break
		}
	}
	return n
}

func (d *Device) alignedPart(p []byte) int64 {
	if !d.alignedMemory(p) {
		return 0
	}
	return roundDown(int64(len(p)), int64(d.info.BlockSize))
}

// canMakeDurable reports whether there is a way to carry out o with Durable.
func (d *Device) canMakeDurable(o Opcode) bool {
	return !o.mutates() || d.durable.Has(o) || d.info.Native.Has(OpFlush) && !o.isWhole()
}

// needsCopy reports whether bytes of the caller would be copied on the way.
func (d *Device) needsCopy(r *Request) bool {
	return r.Op.hasData() && !d.simple.Has(r.Op) && !d.aligned(r, r.size())
}

func (d *Device) copyReason() string {
	return fmt.Sprintf("it would need a copy, which NoCopy forbids: offset and lengths must be multiples of %d, memory aligned to %d",
		d.info.BlockSize, d.info.MemoryAlign)
}
