package volume

import (
	"cmp"
	"slices"

	"github.com/unio-stack/unio"
	"github.com/unio-stack/unio/provider/volume/internal/format"
)

// A part of a commit is some whole blocks of one page.
type part struct {
	e     *entry // nil until it is secured
	lo    int64  // first byte, in the volume
	n     int64
	bytes []byte // what is to be stored there, in the log's staging memory
}

// target returns where the part is stored.
func (pt *part) target(p *pool) (member int, off int64) {
	place := pt.e.at()
	return place.Member(), p.members[place.Member()].sb.DataOf(place.Extent()) + pt.lo&(p.extent-1)
}

// split finds the parts of a commit, and the size of its record.
func (c *commit) split(k *keeper) {
	block := k.p.block
	var spans []unio.Range // whole blocks, in order, apart from each other
	for _, g := range sorted(c.ranges) {
		lo, hi := g.Offset&^(block-1), (g.Offset+g.Length+block-1)&^(block-1)
		if n := len(spans); n > 0 && spans[n-1].Offset+spans[n-1].Length >= lo {
			spans[n-1].Length = hi - spans[n-1].Offset
			continue
		}
		spans = append(spans, unio.Range{Offset: lo, Length: hi - lo})
	}
	payload := int64(0)
	for _, s := range spans {
		for lo, end := s.Offset, s.Offset+s.Length; lo < end; {
			n := min(end, (lo>>k.p.shift+1)<<k.p.shift) - lo
			c.parts = append(c.parts, part{lo: lo, n: n})
			lo, payload = lo+n, payload+n
		}
	}
	c.size, _ = format.RecordSize(len(c.parts), payload, k.log.unit)
}

func sorted(ranges []unio.Range) []unio.Range {
	s := slices.Clone(ranges)
	slices.SortFunc(s, func(a, b unio.Range) int { return cmp.Compare(a.Offset, b.Offset) })
	return s
}

// fill puts the bytes of the parts into p, one part after the other: those of
// the requests, and around them what is there already.
func (c *commit) fill(k *keeper, p []byte) error {
	for i := range c.parts {
		pt := &c.parts[i]
		pt.bytes, p = p[:pt.n:pt.n], p[pt.n:]
		if err := c.surround(k, pt); err != nil {
			return err
		}
	}
	r, at := 0, int64(0) // the range that the next bytes go to, and where in it
	for _, st := range c.states {
		eachPiece(&st.op.Request, func(b []byte) {
			for len(b) > 0 {
				g := c.ranges[r]
				n := min(int64(len(b)), g.Length-at)
				c.put(g.Offset+at, b[:n])
				if b, at = b[n:], at+n; at == g.Length {
					r, at = r+1, 0
				}
			}
		})
	}
	return nil
}

func eachPiece(r *unio.Request, f func([]byte)) {
	if r.Vec == nil {
		f(r.Data)
		return
	}
	for _, p := range r.Vec {
		f(p)
	}
}

// put copies bytes to where they belong in the parts.
func (c *commit) put(off int64, b []byte) {
	for i := range c.parts {
		pt := &c.parts[i]
		lo, hi := max(off, pt.lo), min(off+int64(len(b)), pt.lo+pt.n)
		if lo < hi {
			copy(pt.bytes[lo-pt.lo:], b[lo-off:hi-off])
		}
	}
}

// surround reads the blocks of a part that the ranges do not cover whole.
func (c *commit) surround(k *keeper, pt *part) error {
	block := k.p.block
	if block == 1 {
		return nil
	}
	member, off := pt.target(k.p)
	for at := int64(0); at < pt.n; at += block {
		if c.covered(pt.lo+at, block) {
			continue
		}
		p := pt.bytes[at : at+block]
		if err := k.m.read(member, off+at, p); err != nil {
			return err
		}
		if err := pt.e.check(pt.lo+at, k.p.extent, p); err != nil {
			return err
		}
	}
	return nil
}

// covered reports whether the ranges have all bytes of a block.
func (c *commit) covered(lo, n int64) bool {
	total := int64(0)
	for _, g := range c.ranges {
		total += max(0, min(lo+n, g.Offset+g.Length)-max(lo, g.Offset))
	}
	return total == n // no two overlap
}

// check verifies a block of the page, which nobody writes: it is at off in the
// volume.
func (e *entry) check(off, extent int64, block []byte) error {
	b := e.blocks.Load()
	if b == nil {
		return nil
	}
	want := b.sums[off&(extent-1)/sumBlock].Load()
	if want == format.SumUnknown || format.Sum(block) == want {
		return nil
	}
	return wrongSum(off, e.at())
}

// store puts the parts of a commit in their places. Readers that come across
// them meanwhile read again.
func (k *keeper) store(c *commit) error {
	byMember := make([][]unio.Request, len(k.p.members))
	for i := range c.parts {
		pt := &c.parts[i]
		if b := pt.e.blocks.Load(); b != nil {
			b.claim(pt.blocks(k.p.extent))
		}
		member, off := pt.target(k.p)
		byMember[member] = append(byMember[member], unio.Request{Op: unio.OpWrite, Offset: off, Data: pt.bytes})
	}
	var first error
	for i, reqs := range byMember {
		if err := k.m.run(i, reqs...); err != nil && first == nil {
			first = err
		}
	}
	for i := range c.parts {
		c.parts[i].stored(k.p.extent, first)
	}
	return first
}

// blocks returns which blocks of its page the part has.
func (pt *part) blocks(extent int64) (first, end int64) {
	in := pt.lo & (extent - 1)
	return in / sumBlock, (in + pt.n + sumBlock - 1) / sumBlock
}

// stored makes the checksums those of what was stored.
func (pt *part) stored(extent int64, err error) {
	b := pt.e.blocks.Load()
	if b == nil {
		return
	}
	first, end := pt.blocks(extent)
	for k := first; k < end; k++ {
		sum := uint32(format.SumUnknown)
		if err == nil {
			sum = format.Sum(pt.bytes[(k-first)*sumBlock:][:sumBlock])
		}
		b.sums[k].Store(sum)
	}
	pt.e.version.Add(1)
	b.release(first, end)
}
