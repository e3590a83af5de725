package target

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/unio-stack/unio"
	"github.com/unio-stack/unio/internal/bytesize"
)

// A reserve is the part of a pool that is set aside for reservations. It is guarded by the pool's mu.
type reserve struct {
	most  int   // slabs that it may have
	bytes int64 // in reservations
	parts []*part
}

// A part is a slab that reservations share, or one has alone.
type part struct {
	*extent
	slab *slab
}

// limitReserve sets how many slabs reservations may have, so that n exports with that share always find what each needs. mu
// is held.
func (p *pool) limitReserve(n, share int) {
	p.reserve.most = max(0, p.limit-n*share-max(0, p.least-share))
}

// reserveFor sets memory aside for a connection that has n bytes in flight at a time.
func (p *pool) reserveFor(n int64) (*reservation, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	need := setAside(n)
	if left := p.unreserved(); need > left {
		return nil, overcommitted(n, "the target has %s left: ask for less, or later", fitsAside(left))
	}
	r := &reservation{pool: p, bytes: need}
	for need > 0 {
		e, err := p.setAside(min(need, slabSize))
		if err != nil {
			p.takeApart(r.extents)
			return nil, fmt.Errorf("%w: %w", unio.ErrBusy, err)
		}
		r.extents = append(r.extents, e)
		need -= int64(len(e.memory))
	}
	p.reserve.bytes += r.bytes
	slices.SortFunc(r.extents, func(a, b *extent) int { return cmp.Compare(a.start, b.start) })
	return r, nil
}

// unreserved is how many bytes can be set aside, for one connection. mu is held.
func (p *pool) unreserved() int64 {
	hole := int64(0)
	for _, s := range p.reserve.parts {
		hole = max(hole, s.hole())
	}
	slabs := max(0, min(p.limit-p.taken-p.owed, p.reserve.most-len(p.reserve.parts)))
	return int64(slabs)*slabSize + hole
}

// setAside returns an extent of n bytes, of a slab that has them or another one. mu is held.
func (p *pool) setAside(n int64) (*extent, error) {
	for _, s := range p.reserve.parts {
		if m := s.run(n); m != nil {
			return newExtent(m), nil
		}
	}
	s, err := p.slab()
	if err != nil {
		return nil, err
	}
	p.taken++
	p.changed()
	t := &part{newExtent(s.memory), s}
	p.reserve.parts = append(p.reserve.parts, t)
	return newExtent(t.run(n)), nil
}

// unreserve takes extents back.
func (p *pool) unreserve(extents []*extent) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, e := range extents {
		p.reserve.bytes -= int64(len(e.memory))
	}
	p.takeApart(extents)
	p.tell()
}

// takeApart gives the pool what is in nobody's extent. mu is held.
func (p *pool) takeApart(extents []*extent) {
	for _, e := range extents {
		i := slices.IndexFunc(p.reserve.parts, func(t *part) bool { return t.has(e.start) })
		t := p.reserve.parts[i]
		t.put(e.memory)
		if t.used > 0 {
			continue
		}
		p.reserve.parts = slices.Delete(p.reserve.parts, i, i+1)
		p.spare = append(p.spare, t.slab)
		p.taken--
	}
	p.changed()
}

// run returns n bytes, whole pages, from the beginning on.
func (t *part) run(n int64) []byte {
	runs := t.free.runs(int(n / pageSize))
	at := runs.first()
	if at < 0 {
		return nil
	}
	t.free.fill(at, int(n/pageSize), false)
	t.used += n
	return t.memory[at*pageSize:][:n:n]
}

// reserved returns how many bytes are set aside.
func (p *pool) reserved() int64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.reserve.bytes
}

// overcommitted refuses a reservation of n bytes. why says what is possible, and what to do.
func overcommitted(n int64, why string, possible int64) error {
	return fmt.Errorf("%w: %s in flight cannot be reserved: "+why, unio.ErrBusy, bytesize.Format(n), bytesize.Format(possible))
}
