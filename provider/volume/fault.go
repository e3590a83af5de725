package volume

import (
	"fmt"
	"slices"

	"github.com/unio-stack/unio"
	"github.com/unio-stack/unio/provider/volume/catalogue"
	"github.com/unio-stack/unio/provider/volume/internal/space"
	"github.com/unio-stack/unio/provider/volume/internal/table"
)

// A need is what operations that wait have to be given.
type need struct {
	extents []*entry // holes that are written to
	marks   []*entry // clean ones that are written to
	retire  bool     // the log has pages that are written to
	states  []*state // of whom all this is
}

func (n *need) reset() {
	clear(n.extents)
	clear(n.marks)
	clear(n.states)
	n.extents, n.marks, n.states, n.retire = n.extents[:0], n.marks[:0], n.states[:0], false
}

// add notes what a writer needs of an entry. An entry that two need is noted
// once.
func (n *need) add(e *entry, gates uint32) {
	g := e.gates.Load() & gates
	if g&gateShut != 0 {
		return // whoever shut it comes first
	}
	if g&gateHole != 0 && !contains(n.extents, e) {
		n.extents = append(n.extents, e)
	}
	if g&gateClean != 0 && !contains(n.marks, e) {
		n.marks = append(n.marks, e)
	}
	n.retire = n.retire || g&gateLog != 0
}

func contains(es []*entry, e *entry) bool {
	for i := len(es) - 1; i >= 0; i-- {
		if es[i] == e {
			return true
		}
	}
	return false
}

// serveFaults resolves what parked operations wait for, as one batch, and
// gives back those that can go on. The others stay.
func (k *keeper) serveFaults() {
	k.sortParked()
	if len(k.parked) == 0 {
		return
	}
	k.need.reset()
	kept := k.parked[:0]
	for _, st := range k.parked {
		if err := k.gather(st); err != nil {
			st.unhold()
			k.giveBack(st, err)
			continue
		}
		kept = append(kept, st)
	}
	clear(k.parked[len(kept):])
	k.parked = kept
	err := k.supply()
	kept = k.parked[:0]
	for _, st := range k.parked {
		switch {
		case k.ready(st):
			k.giveBack(st, nil)
		case err != nil && containsState(k.need.states, st):
			st.unhold()
			k.giveBack(st, err)
		default:
			st.unhold()
			kept = append(kept, st)
		}
	}
	clear(k.parked[len(kept):])
	k.parked = kept
}

func containsState(all []*state, st *state) bool {
	return slices.Contains(all, st)
}

// sortParked ends what is cancelled and makes jobs of what has to be one.
func (k *keeper) sortParked() {
	kept := k.parked[:0]
	for _, st := range k.parked {
		switch op := st.op.Op; {
		case st.canceled.Load():
			k.giveBack(st, unio.ErrCanceled)
		case op == unio.OpDiscard:
			k.jobs = append(k.jobs, &discardJob{st: st})
		case unio.WholeOps.Has(op):
			k.whole = append(k.whole, st)
		default:
			kept = append(kept, st)
		}
	}
	clear(k.parked[len(kept):])
	k.parked = kept
}

// gather makes the entries of an operation active, holds them, and notes what
// they need. The error is the operation's.
func (k *keeper) gather(st *state) error {
	p := k.p
	first, last := st.op.Offset>>p.shift, (st.op.Offset+st.op.Size()-1)>>p.shift
	gates := st.gates()
	before := len(k.need.extents)
	waits := false
	for page := first; page <= last; page++ {
		e, err := k.load(st.vol, page)
		if err != nil {
			return err
		}
		e.users.Add(oneReader)
		st.held = append(st.held, e)
		waits = waits || e.gates.Load()&gates != 0
	}
	if k.obstructed(st) {
		return nil // what it needs it is given when it can use it
	}
	for _, e := range st.held {
		k.need.add(e, gates)
	}
	if int64(len(k.need.extents)) > k.space.Free() && len(k.need.extents) > before {
		k.need.extents = k.need.extents[:before]
		return k.noSpace()
	}
	if waits {
		k.need.states = append(k.need.states, st)
	}
	return nil
}

func (k *keeper) noSpace() error {
	return &unio.OpError{
		Layer: layer, BadByte: -1, Err: unio.ErrNoSpace,
		Detail: fmt.Sprintf("%d extents of the pool are free: delete or discard something", k.space.Free()),
	}
}

// supply gives what was gathered.
func (k *keeper) supply() error {
	if k.need.retire && !k.committing() {
		if err := k.retire(); err != nil {
			return err
		}
	}
	return k.provision(k.need.extents, k.need.marks)
}

// committing reports whether a job is under way that is about to use the log.
func (k *keeper) committing() bool {
	if len(k.jobs) == 0 {
		return false
	}
	_, ok := k.jobs[0].(*commitJob)
	return ok
}

// ready reports whether nothing is in the operation's way now.
func (k *keeper) ready(st *state) bool {
	gates := st.gates()
	for _, e := range st.held {
		if e.gates.Load()&gates != 0 {
			return false
		}
	}
	return !k.obstructed(st)
}

// obstructed reports whether others have to be done first: a job that has a
// page to itself, or a write of the same block.
func (k *keeper) obstructed(st *state) bool {
	end := st.op.Offset + st.op.Size()
	for _, e := range st.held {
		if e.gates.Load()&gateShut != 0 {
			return true
		}
		if b := e.blocks.Load(); b != nil && e.at() != 0 {
			start := e.key.Page << k.p.shift
			pc := piece{in: max(st.op.Offset, start) - start}
			pc.n = min(end, start+k.p.extent) - start - pc.in
			if first, last := pc.blocks(); b.written(first, last) {
				return true
			}
		}
	}
	return false
}

// load returns the entry of a page, from the table or from the catalogue. The
// error is that of an operation on the page.
func (k *keeper) load(v *volume, page int64) (*entry, error) {
	switch {
	case v.revoked.Load():
		return nil, opErrorDetail(unio.ErrRevoked, "the volume was deleted")
	case page<<k.p.shift >= v.size.Load():
		return nil, opErrorDetail(unio.ErrOutOfRange, "the volume has shrunk")
	}
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

func opErrorDetail(cause error, detail string) error {
	return &unio.OpError{Layer: layer, BadByte: -1, Err: cause, Detail: detail}
}

func (k *keeper) loadScratch(e *entry, sp *scratchPage) {
	if sp == nil {
		e.shut(gateHole)
		return
	}
	e.place.Store(sp.place)
	e.blocks.Store(sp.blocks)
}

func (k *keeper) loadStored(e *entry) error {
	place, err := k.lookUp(e.key)
	if err != nil {
		return err
	}
	if place == 0 {
		e.shut(gateHole)
		return nil
	}
	e.place.Store(int64(place))
	if !k.p.sums {
		return nil
	}
	e.shut(gateClean) // or the entry would be in the table
	sb := k.p.members[place.Member()].sb
	stored := make([]byte, sb.SumsSize())
	if err := k.m.read(place.Member(), sb.SumsOf(place.Extent()), stored); err != nil {
		return err
	}
	b := newBlockChecksums(int64(len(stored) / 4))
	b.decode(stored)
	e.blocks.Store(b)
	return nil
}

// lookUp asks the catalogue where a page is.
func (k *keeper) lookUp(key table.Key) (place space.Place, err error) {
	err = k.p.cat.View(func(r catalogue.Reader) error {
		v := r.Get(extentKey(key.Volume, key.Page))
		if v == nil {
			return nil
		}
		if place = decodePlace(v); !k.space.Valid(place) {
			return opErrorDetail(unio.ErrMedia, fmt.Sprintf("the catalogue has page %d of volume %d at a place that is none", key.Page, key.Volume))
		}
		return nil
	})
	return place, err
}
