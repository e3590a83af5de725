package unio

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"slices"
)

// checkWhole is the rest of check for Append and WriteAtomic.
func (r *Request) checkWhole(dev *Device) error {
	limit := cmp.Or(dev.info.MaxAtomic, math.MaxInt64)
	switch {
	case r.Ranges != nil && r.Op != OpWriteAtomic:
		return r.refuse(dev, ErrInvalid, "the operation takes no Ranges")
	case r.Offset != 0:
		return r.refuse(dev, ErrInvalid, "the operation takes no Offset: leave it 0")
	case r.size() > limit:
		return r.refuse(dev, ErrOutOfRange, fmt.Sprintf("the device does at most %d bytes at a time as a whole", limit))
	case r.Op == OpAppend:
		return nil
	}
	return r.checkRanges(dev)
}

func (r *Request) checkRanges(dev *Device) error {
	limit := cmp.Or(dev.info.MaxRanges, math.MaxInt)
	if len(r.Ranges) == 0 || len(r.Ranges) > limit {
		return r.refuse(dev, ErrInvalid, fmt.Sprintf("Ranges has %d, and may have 1 to %d", len(r.Ranges), limit))
	}
	var n int64
	end := r.Region.Size()
	for i, g := range r.Ranges {
		switch {
		case g.Length <= 0:
			return r.refuse(dev, ErrInvalid, fmt.Sprintf("range %d of Ranges is empty", i))
		case g.Offset < 0 || g.Length > end || g.Offset > end-g.Length:
			return r.refuse(dev, ErrOutOfRange, fmt.Sprintf("range %d of Ranges", i))
		}
		n += g.Length // no overflow: size bounds what passes, and a region each term
		if n > r.size() {
			break
		}
		for _, o := range r.Ranges[:i] {
			if g.Offset < o.Offset+o.Length && o.Offset < g.Offset+g.Length {
				return r.refuse(dev, ErrInvalid, fmt.Sprintf("range %d of Ranges overlaps one before it", i))
			}
		}
	}
	if n != r.size() {
		return r.refuse(dev, ErrInvalid, "Ranges and the memory have different lengths")
	}
	return nil
}

// hull returns a span with all bytes that an Append or a WriteAtomic may touch.
func hull(op *Op) span {
	block := int64(op.Region.dev.info.BlockSize)
	if op.Op == OpAppend {
		return span{0, max(op.Region.Size(), block)}
	}
	s := span{math.MaxInt64, 0}
	for _, g := range op.Ranges {
		s.off, s.end = min(s.off, g.Offset), max(s.end, g.Offset+g.Length)
	}
	return span{roundDown(s.off, block), roundUp(s.end, block)}
}

// Allocated returns which of the n bytes at off have space on the medium, in
// order, where the device can tell ([ErrUnsupported] otherwise). What is not
// in a range reads as zeroes. It allocates, and may call out: it is not for
// the data path.
func (r *Region) Allocated(ctx context.Context, off, n int64) ([]Range, error) {
	if err := r.usable(0); err != nil {
		return nil, err
	}
	s, ok := r.store.handle.(Sparse)
	if !ok {
		return nil, fmt.Errorf("allocated ranges of %s: %w", r.dev.info.Name, ErrUnsupported)
	}
	size := r.Size()
	if off < 0 || n < 0 || off > size-min(n, size) {
		return nil, fmt.Errorf("allocated ranges of %s: %w", r.dev.info.Name, ErrOutOfRange)
	}
	var all []Range
	for end := off + min(n, size-off); off < end; {
		part, next, err := s.Allocated(ctx, off, end-off)
		if err != nil {
			return nil, fmt.Errorf("allocated ranges of %s: %w", r.dev.info.Name, err)
		}
		if k := len(all); k > 0 && len(part) > 0 && all[k-1].Offset+all[k-1].Length == part[0].Offset {
			all[k-1].Length += part[0].Length
			part = part[1:]
		}
		all = slices.Concat(all, part)
		off = next
	}
	return all, nil
}
