package volume

import (
	"encoding/binary"
	"time"

	"github.com/unio-stack/unio/provider/volume/catalogue"
	"github.com/unio-stack/unio/provider/volume/internal/format"
	"github.com/unio-stack/unio/provider/volume/internal/space"
)

// recover puts a pool in order that may not have been closed. Each step may be
// cut off, and is then done again.
func (k *keeper) recover() error {
	k.ticked = time.Now()
	if err := k.p.cat.View(func(r catalogue.Reader) error { return countSpace(r, k.space) }); err != nil {
		return err
	}
	if err := k.replay(); err != nil {
		return err
	}
	if err := k.sweep(); err != nil {
		return err
	}
	if k.dirty == nil {
		return nil
	}
	return k.resum()
}

// sweepBatch is how many keys are deleted at a time.
const sweepBatch = 4096

// sweep deletes what a deletion or a shrinking has left to be deleted.
func (k *keeper) sweep() error {
	for {
		var keys [][]byte
		var places []space.Place
		if err := k.p.cat.View(func(r catalogue.Reader) error {
			keys, places = leftOver(r, k.p.extent, sweepBatch)
			return nil
		}); err != nil || len(keys) == 0 {
			return err
		}
		if err := k.p.cat.Update(func(w catalogue.Writer) error {
			for _, key := range keys {
				if err := w.Delete(key); err != nil {
					return err
				}
			}
			return nil
		}); err != nil {
			return err
		}
		for _, p := range places {
			k.space.Release(p)
		}
	}
}

// leftOver returns keys of what is no longer wanted, and the extents they have.
func leftOver(r catalogue.Reader, extent int64, limit int) (keys [][]byte, places []space.Place) {
	r.Scan([]byte{keyDying}, func(key, _ []byte) bool {
		if !hasPrefix(key, keyDying) || len(keys) >= limit {
			return false
		}
		if len(key) != 9 {
			return true
		}
		id := binary.BigEndian.Uint64(key[1:])
		scanExtents(r, id, 0, func(e extentRecord) bool {
			if e.volume != id || len(keys) >= limit {
				return false
			}
			keys, places = append(keys, extentKey(id, e.page)), append(places, e.place)
			return true
		})
		if len(keys) < limit {
			keys = append(keys, append([]byte(nil), key...))
		}
		return true
	})
	scanVolumes(r, func(id uint64, rec *volumeRecord, _ error) {
		if rec == nil {
			return
		}
		scanExtents(r, id, (rec.size+extent-1)/extent, func(e extentRecord) bool {
			if e.volume != id || len(keys) >= limit {
				return false
			}
			keys, places = append(keys, extentKey(id, e.page)), append(places, e.place)
			return true
		})
	})
	return keys, places
}

// resum computes the checksums of dirty extents anew and makes them clean. What
// is dirty and no volume's is of no concern.
func (k *keeper) resum() error {
	d := k.dirty
	if err := d.read(k.m); err != nil {
		return err
	}
	var dirty []space.Place
	for i, mb := range d.members {
		for n, sector := range d.sectors[i] {
			if sector == nil {
				continue
			}
			last := min(int64(n+1)*format.DirtyPerSector, mb.sb.Extents)
			for e := int64(n) * format.DirtyPerSector; e < last; e++ {
				if p := space.At(i, e); d.has(p) && k.space.Used(p) {
					dirty = append(dirty, p)
				}
			}
		}
	}
	for _, p := range dirty {
		if err := k.resumExtent(p); err != nil {
			return err
		}
	}
	if err := k.m.flush(); err != nil {
		return err
	}
	for i := range d.sectors {
		for n, sector := range d.sectors[i] {
			if sector != nil {
				clear(sector)
				d.changed[[2]int64{int64(i), int64(n)}] = true
			}
		}
	}
	if err := d.write(k.m); err != nil {
		return err
	}
	return k.m.flush()
}

// resumExtent makes the stored checksums of an extent those of its bytes.
func (k *keeper) resumExtent(p space.Place) error {
	sb := k.p.members[p.Member()].sb
	stored := make([]byte, 0, sb.SumsSize())
	err := k.m.each(p.Member(), sb.DataOf(p.Extent()), sb.ExtentSize, func(_ int64, b []byte) error {
		for ; len(b) > 0; b = b[sumBlock:] {
			stored = binary.LittleEndian.AppendUint32(stored, format.Sum(b[:sumBlock]))
		}
		return nil
	})
	if err != nil {
		return err
	}
	return k.m.write(p.Member(), sb.SumsOf(p.Extent()), stored, 0)
}
