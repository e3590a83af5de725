package volume

import (
	"math"

	"github.com/unio-stack/unio"
	"github.com/unio-stack/unio/provider/volume/catalogue"
	"github.com/unio-stack/unio/provider/volume/internal/space"
	"github.com/unio-stack/unio/provider/volume/internal/table"
)

// A step of a job: one that may have to be tried again.
type step interface {
	try(k *keeper) (done bool, err error)
}

// steps are carried out one after the other.
type steps []step

func (s *steps) try(k *keeper) (done bool, err error) {
	for len(*s) > 0 {
		if done, err := (*s)[0].try(k); !done || err != nil {
			return false, err
		}
		*s = (*s)[1:]
	}
	return true, nil
}

// vacateBatch is how many pages are taken away at a time.
const vacateBatch = 128

// A vacate takes the extents of pages [next, end) away from a volume and makes
// them free. An extent is free when the catalogue has durably lost it, and
// when nothing is in flight to it or in the log for it.
type vacate struct {
	v         *volume
	next, end int64
	entries   []*entry // those that are shut
}

func (s *vacate) try(k *keeper) (done bool, err error) {
	for {
		if len(s.entries) == 0 {
			if err := s.find(k); err != nil {
				return false, s.reopen(err)
			}
			if len(s.entries) == 0 {
				return true, nil
			}
		}
		for _, e := range s.entries {
			if !e.idle() {
				return false, nil
			}
		}
		if err := s.free(k); err != nil {
			return false, s.reopen(err)
		}
	}
}

func (s *vacate) reopen(err error) error {
	for _, e := range s.entries {
		e.open(gateShut)
	}
	return err
}

// find shuts the next pages that have extents.
func (s *vacate) find(k *keeper) error {
	pages, err := k.mappedPages(s.v, s.next, s.end, vacateBatch)
	if err != nil {
		return err
	}
	for _, page := range pages {
		e, err := k.fetch(s.v, page)
		if err != nil {
			return err
		}
		e.shut(gateShut)
		s.entries = append(s.entries, e)
		s.next = page + 1
	}
	return nil
}

// free takes the extents of the entries away.
func (s *vacate) free(k *keeper) error {
	for _, e := range s.entries {
		if e.gates.Load()&gateLog != 0 {
			if err := k.retire(); err != nil {
				return err
			}
			break
		}
	}
	if !s.v.scratch {
		err := k.p.cat.Update(func(w catalogue.Writer) error {
			for _, e := range s.entries {
				if err := w.Delete(extentKey(s.v.id, e.key.Page)); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	for _, e := range s.entries {
		place := e.at()
		if s.v.scratch {
			delete(s.v.pages, e.key.Page)
		}
		k.drop(e)
		if k.dirty != nil {
			k.dirty.set(place, false)
		}
		k.discardBelow(place)
		k.space.Release(place)
	}
	s.entries = s.entries[:0]
	return nil
}

// discardBelow tells the member that it need not keep an extent's bytes. What
// becomes of that is its concern.
func (k *keeper) discardBelow(p space.Place) {
	m := k.p.members[p.Member()]
	if m.dev.Info().Native.Has(unio.OpDiscard) {
		_ = k.m.run(p.Member(), unio.Request{Op: unio.OpDiscard, Offset: m.sb.DataOf(p.Extent()), Length: m.sb.ExtentSize})
	}
}

// fetch is load for the keeper's own purposes: also of what is beyond the end
// or deleted.
func (k *keeper) fetch(v *volume, page int64) (*entry, error) {
	key := table.Key{Volume: v.id, Page: page}
	if e := k.p.active.FindAll(key); e != nil {
		return e, nil
	}
	e := &entry{key: key, resident: k.p.sums && !v.scratch}
	if v.scratch {
		k.loadScratch(e, v.pages[page])
	} else if err := k.loadStored(e); err != nil {
		return nil, err
	}
	k.p.active.Put(e)
	return e, nil
}

// mappedPages returns the first pages of [from, end) that have extents.
func (k *keeper) mappedPages(v *volume, from, end int64, limit int) (pages []int64, err error) {
	if v.scratch {
		return v.firstPages(from, end, limit), nil
	}
	err = k.p.cat.View(func(r catalogue.Reader) error {
		scanExtents(r, v.id, from, func(e extentRecord) bool {
			if e.volume != v.id || e.page >= end || len(pages) == limit {
				return false
			}
			pages = append(pages, e.page)
			return true
		})
		return nil
	})
	return pages, err
}

// A blank makes some bytes of one page zeroes, durably with the next flush. It
// takes no extent and gives none away.
type blank struct {
	v      *volume
	off, n int64
	e      *entry // once it is shut
}

func (s *blank) try(k *keeper) (done bool, err error) {
	if s.e == nil {
		e, err := k.fetch(s.v, s.off>>k.p.shift)
		if err != nil {
			return false, err
		}
		if e.at() == 0 {
			return true, nil
		}
		e.shut(gateShut)
		s.e = e
	}
	if !s.e.idle() {
		return false, nil
	}
	defer s.e.open(gateShut)
	return true, s.zero(k)
}

func (s *blank) zero(k *keeper) error {
	e := s.e
	if e.gates.Load()&gateLog != 0 {
		if err := k.retire(); err != nil {
			return err
		}
	}
	if e.gates.Load()&gateClean != 0 {
		if err := k.provision(nil, []*entry{e}); err != nil {
			return err
		}
	}
	place, in := e.at(), s.off&(k.p.extent-1)
	err := zeroRange(k.m, place.Member(), k.p.members[place.Member()].sb.DataOf(place.Extent())+in, s.n)
	if b := e.blocks.Load(); b != nil {
		sum := zeroSum
		if err != nil {
			sum = 0
		}
		for i := in / sumBlock; i < (in+s.n)/sumBlock; i++ {
			b.sums[i].Store(sum)
		}
		e.version.Add(1)
	}
	return err
}

// emptying returns the steps that make [off, end) of a volume zeroes and free
// what extents lie in it whole.
func (p *pool) emptying(v *volume, off, end int64) steps {
	var s steps
	first, last := (off+p.extent-1)>>p.shift, end>>p.shift
	if size := v.size.Load(); end >= size && size > 0 {
		last = (size-1)>>p.shift + 1 // what is after the end is not there
	}
	if first > last { // within one page
		return steps{&blank{v: v, off: off, n: end - off}}
	}
	if start := first << p.shift; off < start {
		s = append(s, &blank{v: v, off: off, n: start - off})
	}
	if first < last {
		s = append(s, &vacate{v: v, next: first, end: last})
	}
	if tail := last << p.shift; tail < end {
		s = append(s, &blank{v: v, off: tail, n: end - tail})
	}
	return s
}

// allPages is past the last page of any volume.
const allPages = math.MaxInt64

// A discardJob carries out a Discard.
type discardJob struct {
	st    *state
	steps steps
}

func (j *discardJob) step(k *keeper) (done bool, err error) {
	if j.steps == nil {
		v, op := j.st.vol, j.st.op
		switch {
		case v.revoked.Load():
			return true, opErrorDetail(unio.ErrRevoked, "the volume was deleted")
		case op.Offset+op.Length > v.size.Load():
			return true, opErrorDetail(unio.ErrOutOfRange, "the volume has shrunk")
		}
		j.steps = k.p.emptying(v, op.Offset, op.Offset+op.Length)
	}
	return j.steps.try(k)
}

func (j *discardJob) end(k *keeper, err error) {
	j.st.done = true
	k.giveBack(j.st, err)
}
