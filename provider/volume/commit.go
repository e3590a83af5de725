package volume

import (
	"fmt"

	"github.com/unio-stack/unio"
	"github.com/unio-stack/unio/provider/volume/internal/format"
)

// A commit is one record in the making: a WriteAtomic, or adjacent Appends to
// one volume. Its ranges are in the volume's bytes.
type commit struct {
	vol    *volume
	states []*state
	ranges []unio.Range
	parts  []part
	size   int64 // of the record, bytes
	end    int64 // of Appends: where the next begins; or 0
	err    error
}

// A commitJob carries out all Appends and WriteAtomics that are waiting and fit
// into the log together: one write and one flush for all.
type commitJob struct {
	commits []*commit
	size    int64 // of the records, bytes
	chosen  bool
}

func (j *commitJob) step(k *keeper) (done bool, err error) {
	if !j.chosen {
		j.chosen = true
		if err := j.choose(k); err != nil {
			return true, err
		}
	}
	for _, c := range j.commits {
		for _, p := range c.parts {
			if !p.e.quiet() {
				return false, nil
			}
		}
	}
	if len(j.commits) == 0 {
		return true, nil
	}
	return true, j.carryOut(k)
}

// end gives all back.
func (j *commitJob) end(k *keeper, err error) {
	for _, c := range j.commits {
		for _, st := range c.states {
			st.done = true
			if c.err != nil {
				k.giveBack(st, c.err)
			} else {
				k.giveBack(st, err)
			}
		}
	}
}

// choose takes requests that wait, keeps ordinary writes off their pages, and
// gives them the extents they need.
func (j *commitJob) choose(k *keeper) error {
	k.need.reset()
	for len(k.whole) > 0 {
		st := k.whole[0]
		fits, err := j.add(k, st)
		if !fits && len(j.commits) > 0 {
			break
		}
		if !fits { // the log is full; nothing of this job is in it
			if err := k.retire(); err != nil {
				j.commits = append(j.commits, &commit{states: k.whole}) // for end to fail them
				k.whole = nil
				return err
			}
			continue
		}
		k.whole[0] = nil
		k.whole = k.whole[1:]
		if err != nil {
			k.giveBack(st, err)
		}
	}
	return k.provision(k.need.extents, k.need.marks)
}

// add makes a request part of the job, unless it has to wait for the next one.
// The error is the request's.
func (j *commitJob) add(k *keeper, st *state) (fits bool, err error) {
	if st.canceled.Load() {
		return true, unio.ErrCanceled
	}
	c, old, err := j.commitOf(k, st)
	if err != nil {
		return true, err
	}
	before := int64(0)
	if old != nil {
		before = old.size
	}
	c.split(k)
	if j.size-before+c.size > k.log.room() || j.overlaps(c, old) {
		return false, nil
	}
	if err := k.secure(c); err != nil {
		return true, err
	}
	j.size += c.size - before
	if old != nil {
		*old = *c
		return true, nil
	}
	j.commits = append(j.commits, c)
	return true, nil
}

// commitOf returns the record that a request is to be in, and which one of the
// job it takes the place of: that of the Append before it, with which it is one.
func (j *commitJob) commitOf(k *keeper, st *state) (c, old *commit, err error) {
	size := st.vol.size.Load()
	if st.op.Op == unio.OpWriteAtomic {
		for _, g := range st.op.Ranges {
			if g.Offset+g.Length > size {
				return nil, nil, opErrorDetail(unio.ErrOutOfRange, "the volume has shrunk")
			}
		}
		return &commit{vol: st.vol, states: []*state{st}, ranges: st.op.Ranges}, nil, nil
	}
	at := st.vol.position
	for _, o := range j.commits {
		if o.vol == st.vol && o.end > 0 {
			old, at = o, o.end
		}
	}
	n := st.op.Size()
	if n > size-at {
		return nil, nil, opErrorDetail(unio.ErrNoSpace, fmt.Sprintf("the next append begins at %d of %d: make the volume larger", at, size))
	}
	st.value = at
	c = &commit{vol: st.vol, states: []*state{st}, ranges: []unio.Range{{Offset: at, Length: n}}, end: at + n}
	if old != nil {
		first := old.ranges[0]
		c.states = append(old.states[:len(old.states):len(old.states)], st)
		c.ranges = []unio.Range{{Offset: first.Offset, Length: first.Length + n}}
	}
	return c, old, nil
}

// overlaps reports whether the record has a block in common with another of
// the job, which then has to be carried out before.
func (j *commitJob) overlaps(c, old *commit) bool {
	for _, o := range j.commits {
		if o == old || o.vol != c.vol {
			continue
		}
		for _, p := range c.parts {
			for _, q := range o.parts {
				if p.lo < q.lo+q.n && q.lo < p.lo+p.n {
					return true
				}
			}
		}
	}
	return false
}

// secure keeps ordinary writes off the pages of a record and notes what they
// need.
func (k *keeper) secure(c *commit) error {
	before := len(k.need.extents)
	for i := range c.parts {
		e, err := k.load(c.vol, c.parts[i].lo>>k.p.shift)
		if err != nil {
			k.need.extents = k.need.extents[:before]
			return err
		}
		c.parts[i].e = e
		k.log.guard(e)
		k.need.add(e, gateHole|gateClean)
	}
	if n := len(k.need.extents); int64(n) > k.space.Free() && n > before {
		k.need.extents = k.need.extents[:before]
		return k.noSpace()
	}
	return nil
}

// carryOut logs the records and then stores what they say in its place.
func (j *commitJob) carryOut(k *keeper) error {
	records, n, err := j.make(k)
	if err != nil {
		return err
	}
	if records > 0 {
		if err := k.log.append(k.m, n, records); err != nil {
			return err
		}
	}
	for _, c := range j.commits {
		if c.err == nil {
			c.err = k.store(c)
		}
		if c.err == nil && c.end > 0 {
			c.vol.position = c.end
			if !c.vol.scratch {
				k.log.moved[c.vol] = struct{}{}
			}
		}
	}
	return nil
}

// make puts the records into the staging memory, one after the other. Those of
// scratch volumes are not logged: they come last.
func (j *commitJob) make(k *keeper) (records uint64, n int64, err error) {
	stage, err := k.log.staging()
	if err != nil {
		return 0, 0, err
	}
	at := int64(0)
	for _, scratch := range []bool{false, true} {
		for _, c := range j.commits {
			if c.vol.scratch != scratch {
				continue
			}
			p := stage[at : at+c.size]
			rec, head := c.record(k)
			if c.err = c.fill(k, p[head:]); c.err != nil {
				continue
			}
			at += c.size
			if scratch {
				continue
			}
			rec.Epoch, rec.LSN = k.log.head.Epoch, k.log.next+records
			rec.Encode(p, head)
			records, n = records+1, at
		}
	}
	return records, n, nil
}

// record returns the record but for its payload, and how long its head is.
func (c *commit) record(k *keeper) (rec *format.Record, head int64) {
	rec = &format.Record{}
	if c.end > 0 {
		rec.Volume, rec.Position = c.vol.id, c.end
	}
	payload := int64(0)
	for i := range c.parts {
		member, off := c.parts[i].target(k.p)
		rec.Targets = append(rec.Targets, format.Target{Member: member, Offset: off, Length: c.parts[i].n})
		payload += c.parts[i].n
	}
	_, head = format.RecordSize(len(rec.Targets), payload, k.log.unit)
	return rec, head
}
