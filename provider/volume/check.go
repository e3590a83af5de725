package volume

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/unio-stack/unio"
	"github.com/unio-stack/unio/provider/volume/catalogue"
	"github.com/unio-stack/unio/provider/volume/internal/format"
	"github.com/unio-stack/unio/provider/volume/internal/space"
)

// A Problem is something that is wrong with a pool.
type Problem struct {
	Where string `json:"where"` // member, volume, page or key
	What  string `json:"what"`
}

// String says both.
func (p Problem) String() string { return p.Where + ": " + p.What }

// maxProblems bounds what a check names; there are always more.
const maxProblems = 1000

// problems collects them.
type problems []Problem

func (ps *problems) add(where, what string, args ...any) {
	if len(*ps) < maxProblems {
		*ps = append(*ps, Problem{where, fmt.Sprintf(what, args...)})
	}
}

// Check looks for what is wrong with a pool that is not open, and changes
// nothing. With data it also reads all that volumes hold and verifies its
// checksums. Dirty extents of a pool that was not closed have none yet, and
// what its log has still to be carried out: Open does both. The error says why
// the check could not be made.
func Check(ctx context.Context, cfg Config, data bool) ([]Problem, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, fmt.Errorf("check pool: %w", err)
	}
	found, err := checkOffline(ctx, cfg, data)
	if err != nil {
		return nil, fmt.Errorf("check pool: %w", err)
	}
	return found, nil
}

func checkOffline(ctx context.Context, cfg Config, data bool) (found problems, err error) {
	cat := cfg.Catalogue
	if cat == nil {
		if cat, err = catalogue.OpenBolt(cfg.Path, false); err != nil {
			return nil, err
		}
		defer func() { err = errors.Join(err, cat.Close()) }()
	}
	members, err := attachMembers(ctx, cfg, unio.ReadOnly)
	if err != nil {
		return nil, err
	}
	defer detachMembers(members)
	m, err := newMedium(members)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, m.close()) }()
	rec, err := readPool(cat)
	if err != nil {
		found.add("catalogue", "%v", err)
		return found, nil
	}
	if err := readMembers(m, rec); err != nil {
		found.add("members", "%v", err)
		return found, nil
	}
	found.superblocks(m)
	p := assemble(cfg, members, cat, rec.id)
	k := newKeeper(p, m)
	if err := k.log.readHead(m); err != nil {
		found.add("log", "%v", err)
	}
	err = cat.View(func(r catalogue.Reader) error {
		found.catalogue(r, k.space, p.extent)
		return nil
	})
	if err != nil || k.dirty == nil {
		return found, err
	}
	if err := found.dirtyMap(m); err != nil {
		return found, err
	}
	if !data {
		return found, nil
	}
	if err := k.dirty.read(m); err != nil {
		return found, err
	}
	return found, k.checkData(ctx, &found)
}

// superblocks checks both copies of all.
func (ps *problems) superblocks(m *medium) {
	for i := range m.members {
		if _, damaged, err := readSuperblock(m, i); err != nil || damaged != nil {
			ps.add(fmt.Sprintf("member %d", i), "superblock: %v: it is mended when the pool is opened", errors.Join(err, damaged))
		}
	}
}

// dirtyMap checks the sectors of the dirty maps.
func (ps *problems) dirtyMap(m *medium) error {
	for i, mb := range m.members {
		err := m.each(i, mb.sb.Dirty, mb.sb.DirtySectors()*format.DirtySectorSize, func(off int64, p []byte) error {
			for ; len(p) > 0; p, off = p[format.DirtySectorSize:], off+format.DirtySectorSize {
				if err := format.CheckDirty(p[:format.DirtySectorSize], (off-mb.sb.Dirty)/format.DirtySectorSize); err != nil {
					ps.add(fmt.Sprintf("member %d", i), "%v", err)
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// catalogue checks that the catalogue agrees with itself, and takes the extents
// that it names out of an empty map.
func (ps *problems) catalogue(r catalogue.Reader, m *space.Map, extent int64) {
	pool, err := decodePool(r.Get([]byte{keyPool}))
	if err != nil {
		ps.add("catalogue", "%v", err)
	}
	sizes := map[uint64]int64{}
	scanVolumes(r, func(id uint64, rec *volumeRecord, err error) {
		switch {
		case rec == nil:
			ps.add(fmt.Sprintf("volume %d", id), "%v", err)
			return
		case id == 0 || id >= pool.next:
			ps.add(fmt.Sprintf("volume %d", id), "its ID was not given out yet")
		}
		if named := r.Get(nameKey(rec.name)); len(named) != 8 || binary.BigEndian.Uint64(named) != id {
			ps.add(fmt.Sprintf("volume %d", id), "its name %q leads elsewhere", rec.name)
		}
		sizes[id] = rec.size
	})
	r.Scan([]byte{keyName}, func(k, v []byte) bool {
		if !hasPrefix(k, keyName) {
			return false
		}
		if len(v) != 8 {
			ps.add(fmt.Sprintf("name %q", k[1:]), "its ID has %d bytes", len(v))
		} else if _, ok := sizes[binary.BigEndian.Uint64(v)]; !ok {
			ps.add(fmt.Sprintf("name %q", k[1:]), "it leads to no volume")
		}
		return true
	})
	r.Scan([]byte{keyExtent}, func(k, _ []byte) bool {
		if hasPrefix(k, keyExtent) && len(k) != 17 {
			ps.add(fmt.Sprintf("key %x", k), "it is of the wrong length")
		}
		return hasPrefix(k, keyExtent)
	})
	owner := map[space.Place]extentRecord{}
	scanExtents(r, 0, 0, func(e extentRecord) bool {
		where := fmt.Sprintf("page %d of volume %d", e.page, e.volume)
		size, ok := sizes[e.volume]
		switch {
		case !m.Valid(e.place):
			ps.add(where, "it is at a place that is none: %d", int64(e.place))
			return true
		case !m.Take(e.place):
			o := owner[e.place]
			ps.add(where, "it is at %v, as page %d of volume %d is", e.place, o.page, o.volume)
		case ok && e.page >= (size+extent-1)/extent:
			ps.add(where, "the volume ends before it")
		case !ok && r.Get(idKey(keyDying, e.volume)) == nil:
			ps.add(where, "there is no such volume")
		}
		owner[e.place] = e
		return true
	})
}

// checkData verifies the checksums of all extents.
func (k *keeper) checkData(ctx context.Context, found *problems) error {
	at := scrubCursor{}
	for {
		if err := ctx.Err(); err != nil {
			return err
		}
		e, ok, err := k.nextExtent(at)
		if err != nil || !ok {
			return err
		}
		bad, err := k.verifyExtent(e)
		if err != nil {
			return err
		}
		for _, block := range bad {
			found.add(fmt.Sprintf("volume %d", e.volume), "the %d bytes at %d, in %v, are not those that were written", sumBlock, block, e.place)
		}
		at = scrubCursor{e.volume, e.page + 1}
	}
}

// Check looks for what is wrong with the pool, while it is in use. With data it
// also verifies the checksums of all that its volumes hold.
func (p *Pool) Check(ctx context.Context, data bool) (found []Problem, err error) {
	var ps problems
	err = p.p.keep.call(ctx, func(k *keeper) error {
		ps.superblocks(k.m)
		used := space.New(extentsOf(p.p.members)...)
		err := p.p.cat.View(func(r catalogue.Reader) error {
			ps.catalogue(r, used, p.p.extent)
			return nil
		})
		if err != nil || k.dirty == nil {
			return err
		}
		return ps.dirtyMap(k.m)
	})
	if err == nil && data && p.p.sums {
		var rep ScrubReport
		if rep, err = p.Scrub(ctx, ScrubConfig{Restart: true}); err == nil {
			for _, b := range rep.Bad {
				ps.add(fmt.Sprintf("volume %q", b.Volume), "the %d bytes at %d are not those that were written", sumBlock, b.Offset)
			}
		}
	}
	if err != nil {
		return nil, fmt.Errorf("check %s: %w", p.Info().Name, err)
	}
	return ps, nil
}
