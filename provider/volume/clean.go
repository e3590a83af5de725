package volume

import (
	"slices"
	"time"

	"github.com/unio-stack/unio/provider/volume/internal/table"
)

// cleanBatch is how many extents are made clean at a time.
const cleanBatch = 64

// A cleanJob stores the checksums of some dirty extents and takes their marks
// back: bytes durable first, then checksums durable, then the marks. A write
// that comes meanwhile opens the gate again, and its extent stays dirty.
type cleanJob struct {
	entries []*entry
	started bool
}

func (j *cleanJob) step(k *keeper) (done bool, err error) {
	if !j.started {
		j.started = true
		for _, e := range j.entries {
			if e.idle() { // or a request is about to write to it
				e.shut(gateClean)
			}
		}
	}
	kept := j.entries[:0]
	for _, e := range j.entries {
		if e.gates.Load()&gateClean == 0 || e.gates.Load()&gateGone != 0 {
			continue // written again, or deleted
		}
		if !e.quiet() {
			return false, nil
		}
		kept = append(kept, e)
	}
	j.entries = kept
	if len(j.entries) == 0 {
		return true, nil
	}
	return true, k.storeSums(j.entries)
}

// end opens the gate of what has not become clean. It is tried again later.
func (j *cleanJob) end(k *keeper, err error) {
	for _, e := range j.entries {
		if err != nil {
			e.open(gateClean)
		}
	}
}

// storeSums makes entries clean that nobody writes to.
func (k *keeper) storeSums(entries []*entry) error {
	if err := k.m.flush(); err != nil {
		return err
	}
	for _, e := range entries {
		p := e.at()
		sb := k.p.members[p.Member()].sb
		stored := k.m.buf.Bytes()[:sb.SumsSize()]
		e.blocks.Load().encode(stored)
		if err := k.m.write(p.Member(), sb.SumsOf(p.Extent()), stored, 0); err != nil {
			return err
		}
	}
	if err := k.m.flush(); err != nil {
		return err
	}
	for _, e := range entries {
		k.dirty.set(e.at(), false)
		e.dirty = false
	}
	kept := k.resting[:0]
	for _, e := range k.resting {
		if e.dirty {
			kept = append(kept, e)
		}
	}
	clear(k.resting[len(kept):])
	k.resting = kept
	return k.dirty.write(k.m)
}

// lookAtResting makes clean what has been at rest for a while, or is too much.
func (k *keeper) lookAtResting() {
	if len(k.jobs) > 0 {
		return
	}
	var some []*entry
	if over := len(k.resting) - k.p.cfg.DirtyExtents; over > 0 {
		some = k.longestAtRest(min(max(over, cleanBatch/2), cleanBatch))
	} else if every := k.p.cfg.CleanAfter; every > 0 && time.Since(k.ticked) >= every {
		k.ticked = time.Now()
		some = k.unchanged()
		if k.log.idle() && !k.log.empty() {
			_ = k.retire() // it is tried again when it matters
		}
	}
	if len(some) > 0 {
		k.jobs = append(k.jobs, &cleanJob{entries: some})
		k.poke()
	}
}

// longestAtRest returns up to n dirty entries that nobody uses, those touched
// since it last came by only if there are no others.
func (k *keeper) longestAtRest(n int) (some []*entry) {
	for _, again := range []bool{false, true} {
		for _, e := range k.resting {
			if len(some) < n && e.idle() && (!e.Touched() || again) {
				some = append(some, e)
			}
		}
		if len(some) > 0 {
			break
		}
	}
	return some
}

// unchanged returns dirty entries that were not written to since the last call,
// and that no request is about to.
func (k *keeper) unchanged() (some []*entry) {
	for _, e := range k.resting {
		v := e.version.Load()
		if e.seen == v+1 && e.idle() && len(some) < cleanBatch {
			some = append(some, e)
		}
		e.seen = v + 1
	}
	return some
}

// cleanUp makes everything clean, at the end.
func (k *keeper) cleanUp() error {
	if err := k.retire(); err != nil {
		return err
	}
	for len(k.resting) > 0 {
		if err := k.storeSums(append([]*entry(nil), k.resting[:min(len(k.resting), cleanBatch)]...)); err != nil {
			return err
		}
	}
	return k.m.flush()
}

// drop takes an entry out of the table for good. Nobody uses it.
func (k *keeper) drop(e *entry) {
	e.shut(gateGone)
	k.p.active.Remove(e)
	if e.dirty {
		e.dirty = false
		k.resting = slices.DeleteFunc(k.resting, func(o *entry) bool { return o == e })
	}
	k.log.forget(e)
}

// dropAll takes out what is left of a volume in the table: holes.
func (k *keeper) dropAll(id uint64, from int64) {
	k.p.active.All(func(e *entry) bool {
		if key := (table.Key{Volume: id, Page: e.key.Page}); e.key == key && e.key.Page >= from {
			k.drop(e)
		}
		return true
	})
}
