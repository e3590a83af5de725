package volume

import (
	"github.com/unio-stack/unio/provider/volume/catalogue"
	"github.com/unio-stack/unio/provider/volume/internal/space"
	"github.com/unio-stack/unio/provider/volume/internal/table"
)

// provision gives extents to holes, all or none, and makes clean entries
// writable.
//
// The order is what a crash at any moment needs: an extent is marked as dirty
// and zeroed, then both are made durable, and only then does the catalogue
// give it to a volume; and the mark is durable before anything is written to
// a page that was clean.
func (k *keeper) provision(holes, clean []*entry) error {
	if len(holes)+len(clean) == 0 {
		return nil
	}
	places, err := k.takeExtents(holes)
	if err != nil {
		return err
	}
	if err := k.prepareExtents(holes, places, clean); err != nil {
		for _, p := range places {
			k.space.Release(p)
		}
		return err
	}
	// From here on a failure may have happened all the same: the extents stay
	// taken until the pool is opened again.
	if err := k.recordExtents(holes, places); err != nil {
		return err
	}
	for i, e := range holes {
		k.install(e, places[i])
	}
	for _, e := range clean {
		e.open(gateClean)
		k.rest(e)
	}
	return nil
}

// takeExtents takes an extent for each hole, adjacent ones for adjacent pages
// where that can be.
func (k *keeper) takeExtents(holes []*entry) ([]space.Place, error) {
	if int64(len(holes)) > k.space.Free() {
		return nil, k.noSpace()
	}
	places := make([]space.Place, len(holes))
	for i, e := range holes {
		var near space.Place
		if i > 0 && holes[i-1].key == (table.Key{Volume: e.key.Volume, Page: e.key.Page - 1}) {
			near = places[i-1]
		} else if before := k.p.active.FindAll(table.Key{Volume: e.key.Volume, Page: e.key.Page - 1}); before != nil {
			near = before.at()
		}
		places[i] = k.space.Next(near)
	}
	return places, nil
}

func (k *keeper) prepareExtents(holes []*entry, places []space.Place, clean []*entry) error {
	durable := false
	for i, e := range holes {
		if e.resident {
			k.dirty.set(places[i], true)
		}
		durable = durable || !k.isScratch(e)
	}
	for _, e := range clean {
		k.dirty.set(e.at(), true)
	}
	if k.dirty != nil {
		durable = durable || len(k.dirty.changed) > 0
		if err := k.dirty.write(k.m); err != nil {
			return err
		}
	}
	for _, p := range places {
		if err := k.zeroExtent(p); err != nil {
			return err
		}
	}
	if !durable {
		return nil
	}
	return k.m.flush()
}

func (k *keeper) isScratch(e *entry) bool { return k.volumes[e.key.Volume].scratch }

// recordExtents writes the places into the catalogue, or to where a scratch
// volume has them.
func (k *keeper) recordExtents(holes []*entry, places []space.Place) error {
	stored := 0
	for _, e := range holes {
		if !k.isScratch(e) {
			stored++
		}
	}
	if stored == 0 {
		return nil
	}
	return k.p.cat.Update(func(w catalogue.Writer) error {
		for i, e := range holes {
			if k.isScratch(e) {
				continue
			}
			if err := w.Put(extentKey(e.key.Volume, e.key.Page), encodePlace(places[i])); err != nil {
				return err
			}
		}
		return nil
	})
}

// install lets an entry be used that was a hole.
func (k *keeper) install(e *entry, p space.Place) {
	if k.p.sums {
		b := newBlockChecksums(k.p.extent / sumBlock)
		b.fill(zeroSum)
		e.blocks.Store(b)
	}
	if v := k.volumes[e.key.Volume]; v.scratch {
		v.pages[e.key.Page] = &scratchPage{place: int64(p), blocks: e.blocks.Load()}
	}
	e.place.Store(int64(p))
	e.open(gateHole)
	if e.resident {
		k.rest(e)
	}
}

// rest puts a dirty entry into the row of those to be made clean.
func (k *keeper) rest(e *entry) {
	if !e.dirty {
		e.dirty = true
		k.resting = append(k.resting, e)
	}
}
