package volume

import (
	"cmp"
	"context"
	"encoding/binary"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/unio-stack/unio"
	"github.com/unio-stack/unio/provider/volume/catalogue"
)

// CreateVolume makes a volume of zeroes. It fails with [unio.ErrInvalid] when
// the name or the size cannot be, or the name is taken.
func (p *Pool) CreateVolume(ctx context.Context, name string, cfg VolumeConfig) error {
	return p.admin(ctx, "create", name, func(k *keeper) error { return k.create(name, cfg) })
}

// RenameVolume gives a volume another name. It fails with [unio.ErrBusy] while
// the volume is attached, and with [unio.ErrInvalid] when the name is taken or
// cannot be.
func (p *Pool) RenameVolume(ctx context.Context, name, to string) error {
	return p.admin(ctx, "rename", name, func(k *keeper) error { return k.rename(name, to) })
}

// DeleteVolume deletes a volume and frees its space. While it is attached it
// fails with [unio.ErrBusy], unless force is set: then requests in flight end
// first, and those that come later fail with [unio.ErrRevoked].
func (p *Pool) DeleteVolume(ctx context.Context, name string, force bool) error {
	if err := p.p.keep.carryOut(ctx, &deleteJob{name: name, force: force}); err != nil {
		return fmt.Errorf("delete volume %q of %s: %w", name, p.Info().Name, err)
	}
	return nil
}

// ResizeVolume changes the size of a volume that is not attached; one that is
// has [unio.Region.Resize].
func (p *Pool) ResizeVolume(ctx context.Context, name string, size int64) error {
	err := p.p.keep.carryOut(ctx, &resizeJob{name: name, size: size})
	if err != nil {
		return fmt.Errorf("resize volume %q of %s to %d bytes: %w", name, p.Info().Name, size, err)
	}
	return nil
}

// Volumes describes all volumes, sorted by name.
func (p *Pool) Volumes(ctx context.Context) (all []VolumeInfo, err error) {
	err = p.admin(ctx, "list", "", func(k *keeper) error {
		all, err = k.list()
		return err
	})
	return all, err
}

// Volume describes a volume.
func (p *Pool) Volume(ctx context.Context, name string) (info VolumeInfo, err error) {
	err = p.admin(ctx, "describe", name, func(k *keeper) error {
		rec, err := k.find(name)
		if err == nil {
			info, err = k.describe(rec)
		}
		return err
	})
	return info, err
}

// Space returns how many bytes of volumes the pool has room for, and how many
// of them are free.
func (p *Pool) Space(ctx context.Context) (total, free int64, err error) {
	err = p.p.keep.call(ctx, func(k *keeper) error {
		for _, m := range p.p.members {
			total += m.sb.Extents * m.sb.ExtentSize
		}
		free = k.space.Free() * p.p.extent
		return nil
	})
	return total, free, err
}

func (p *Pool) admin(ctx context.Context, what, name string, f func(*keeper) error) error {
	if err := p.p.keep.call(ctx, f); err != nil {
		return fmt.Errorf("%s volume %q of %s: %w", what, name, p.Info().Name, err)
	}
	return nil
}

// errNoVolume is what a name gets that no volume has.
var errNoVolume = fmt.Errorf("%w: there is no such volume", unio.ErrInvalid)

// find returns the record of a volume.
func (k *keeper) find(name string) (rec *volumeRecord, err error) {
	err = k.p.cat.View(func(r catalogue.Reader) error {
		rec, err = findVolume(r, name)
		return err
	})
	if err == nil && rec == nil {
		err = errNoVolume
	}
	return rec, err
}

func (k *keeper) checkSize(size int64) error {
	if size <= 0 || size%k.p.block != 0 || size > math.MaxInt64-k.p.extent {
		return fmt.Errorf("%w: a volume has a positive multiple of %d bytes, less than 8 EiB, not %d", unio.ErrInvalid, k.p.block, size)
	}
	return nil
}

func (k *keeper) create(name string, cfg VolumeConfig) error {
	if err := checkName(name); err != nil {
		return err
	}
	if err := k.checkSize(cfg.Size); err != nil {
		return err
	}
	return k.p.cat.Update(func(w catalogue.Writer) error {
		if w.Get(nameKey(name)) != nil {
			return fmt.Errorf("%w: there is a volume of that name", unio.ErrInvalid)
		}
		pool, err := decodePool(w.Get([]byte{keyPool}))
		if err != nil {
			return err
		}
		rec := &volumeRecord{id: pool.next, size: cfg.Size, scratch: cfg.Scratch, created: time.Now(), name: name}
		pool.next++
		return putAll(w, []byte{keyPool}, pool.encode(), nameKey(name), binary.BigEndian.AppendUint64(nil, rec.id), idKey(keyVolume, rec.id), rec.encode())
	})
}

// putAll puts keys and values, in turn.
func putAll(w catalogue.Writer, kv ...[]byte) error {
	for i := 0; i < len(kv); i += 2 {
		if err := w.Put(kv[i], kv[i+1]); err != nil {
			return err
		}
	}
	return nil
}

func (k *keeper) rename(name, to string) error {
	if err := checkName(to); err != nil {
		return err
	}
	rec, err := k.find(name)
	if err != nil {
		return err
	}
	v := k.volumes[rec.id]
	if v != nil && v.attached {
		return fmt.Errorf("%w: it is attached", unio.ErrBusy)
	}
	err = k.p.cat.Update(func(w catalogue.Writer) error {
		if to != name && w.Get(nameKey(to)) != nil {
			return fmt.Errorf("%w: there is a volume named %q", unio.ErrInvalid, to)
		}
		rec, err := getVolume(w, rec.id)
		if err != nil {
			return err
		}
		rec.name = to
		if err := w.Delete(nameKey(name)); err != nil {
			return err
		}
		return putAll(w, nameKey(to), binary.BigEndian.AppendUint64(nil, rec.id), idKey(keyVolume, rec.id), rec.encode())
	})
	return err
}

func (k *keeper) list() (all []VolumeInfo, err error) {
	var records []*volumeRecord
	err = k.p.cat.View(func(r catalogue.Reader) error {
		scanVolumes(r, func(_ uint64, rec *volumeRecord, broken error) {
			if err = broken; rec != nil {
				records = append(records, rec)
			}
		})
		return err
	})
	slices.SortFunc(records, func(a, b *volumeRecord) int { return cmp.Compare(a.name, b.name) })
	for _, rec := range records {
		info, err := k.describe(rec)
		if err != nil {
			return nil, err
		}
		all = append(all, info)
	}
	return all, err
}

func (k *keeper) describe(rec *volumeRecord) (VolumeInfo, error) {
	info := VolumeInfo{Name: rec.name, ID: rec.id, Size: rec.size, Scratch: rec.scratch, Created: rec.created}
	v := k.volumes[rec.id]
	info.Attached = v != nil && v.attached
	if rec.scratch {
		if v != nil {
			info.Allocated = int64(len(v.pages)) * k.p.extent
		}
		return info, nil
	}
	return info, k.p.cat.View(func(r catalogue.Reader) error {
		scanExtents(r, rec.id, 0, func(e extentRecord) bool {
			if e.volume == rec.id {
				info.Allocated += k.p.extent
			}
			return e.volume == rec.id
		})
		return nil
	})
}

// attach makes a volume the Handle of a region.
func (k *keeper) attach(name string) (*volume, error) {
	if err := checkName(name); err != nil {
		return nil, err
	}
	rec, err := k.find(name)
	if err != nil {
		return nil, err
	}
	v := k.inUse(rec)
	if v.attached {
		return nil, fmt.Errorf("%w: it is attached already, by another name", unio.ErrBusy)
	}
	v.attached = true
	return v, nil
}

// inUse returns the volume of a record.
func (k *keeper) inUse(rec *volumeRecord) *volume {
	v := k.volumes[rec.id]
	if v == nil {
		v = &volume{p: k.p, id: rec.id, scratch: rec.scratch, position: rec.position}
		v.size.Store(rec.size)
		k.volumes[rec.id] = v
	}
	if v.scratch && v.pages == nil {
		v.pages = map[int64]*scratchPage{}
	}
	return v
}

// detach ends the use of a volume's Handle.
func (k *keeper) detach(v *volume) error {
	v.attached = false
	return k.forgetVolume(v)
}

// forgetVolume drops what is known of a volume that nobody uses, unless it is
// all there is.
func (k *keeper) forgetVolume(v *volume) error {
	if v.attached || v.scratch && !v.revoked.Load() {
		return nil
	}
	if _, moved := k.log.moved[v]; moved && !v.revoked.Load() {
		if err := k.storePositions(); err != nil {
			return err
		}
	}
	delete(k.log.moved, v)
	if k.volumes[v.id] == v {
		delete(k.volumes, v.id)
	}
	return nil
}

// firstPages returns the first pages of [from, end) that a scratch volume has.
func (v *volume) firstPages(from, end int64, limit int) (pages []int64) {
	for page := range v.pages {
		if page >= from && page < end {
			pages = append(pages, page)
		}
	}
	slices.Sort(pages)
	return pages[:min(limit, len(pages))]
}

// allocatedBatch is how many pages are listed at a time.
const allocatedBatch = 4096

// allocated lists ranges that have extents.
func (k *keeper) allocated(v *volume, off, n int64) (ranges []unio.Range, next int64, err error) {
	first, end := off>>k.p.shift, (off+n-1)>>k.p.shift+1
	pages, err := k.mappedPages(v, first, end, allocatedBatch)
	if err != nil {
		return nil, 0, err
	}
	for _, page := range pages {
		lo, hi := max(off, page<<k.p.shift), min(off+n, (page+1)<<k.p.shift)
		if i := len(ranges) - 1; i >= 0 && ranges[i].Offset+ranges[i].Length == lo {
			ranges[i].Length += hi - lo
			continue
		}
		ranges = append(ranges, unio.Range{Offset: lo, Length: hi - lo})
	}
	next = off + n
	if len(pages) == allocatedBatch {
		next = min(next, (pages[len(pages)-1]+1)<<k.p.shift)
	}
	return ranges, next, nil
}
