package volume

import (
	"context"
	"errors"
	"fmt"

	"github.com/unio-stack/unio"
	"github.com/unio-stack/unio/provider/volume/catalogue"
	"github.com/unio-stack/unio/provider/volume/internal/format"
	"github.com/unio-stack/unio/provider/volume/internal/space"
)

// Open opens a pool that was created with the same members, in their order,
// and the same catalogue. If it was not closed, it is put in order first: what
// is in the log is carried out, and the checksums of dirty extents are computed
// anew.
//
// It fails with [unio.ErrBusy] while the catalogue is in use, with
// [unio.ErrInvalid] when members and catalogue do not belong together, with
// [unio.ErrUnsupported] when a newer program made them, and with
// [unio.ErrMedia] when something is damaged or missing. Nothing is changed
// then.
func Open(ctx context.Context, cfg Config) (*Pool, error) {
	pool, err := openExisting(ctx, cfg)
	if err != nil {
		return nil, fmt.Errorf("open pool: %w", err)
	}
	return pool, nil
}

func openExisting(ctx context.Context, cfg Config) (*Pool, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	cat, opened := cfg.Catalogue, false
	switch {
	case cat != nil:
	case cfg.Path == "":
		return nil, fmt.Errorf("%w: neither Path nor Catalogue is set: a pool without a catalogue cannot be opened again", unio.ErrInvalid)
	default:
		if cat, err = catalogue.OpenBolt(cfg.Path, false); err != nil {
			return nil, err
		}
		opened = true
	}
	members, err := attachMembers(ctx, cfg, unio.ReadWrite)
	if err != nil {
		if opened {
			err = errors.Join(err, cat.Close())
		}
		return nil, err
	}
	return open(cfg, members, cat, opened)
}

// open makes a pool of members and catalogue. It closes what it was given, but
// for devices and a catalogue of the caller, when it fails.
func open(cfg Config, members []*member, cat catalogue.Catalogue, opened bool) (*Pool, error) {
	m, err := newMedium(members)
	if err == nil {
		var p *pool
		if p, err = newPool(cfg, m, cat); err == nil {
			p.start()
			return p.face, nil
		}
		err = errors.Join(err, m.close())
	}
	detachMembers(members)
	if opened {
		err = errors.Join(err, cat.Close())
	}
	return nil, err
}

func newPool(cfg Config, m *medium, cat catalogue.Catalogue) (*pool, error) {
	rec, err := readPool(cat)
	if err != nil {
		return nil, err
	}
	if err := readMembers(m, rec); err != nil {
		return nil, err
	}
	p := assemble(cfg, m.members, cat, rec.id)
	k := newKeeper(p, m)
	p.keep = k
	if err := k.recover(); err != nil {
		return nil, errors.Join(err, k.release())
	}
	if err := p.bumpGeneration(m); err != nil {
		return nil, errors.Join(err, k.release())
	}
	return p, nil
}

func readPool(cat catalogue.Catalogue) (rec poolRecord, err error) {
	err = cat.View(func(r catalogue.Reader) error {
		rec, err = decodePool(r.Get([]byte{keyPool}))
		return err
	})
	switch {
	case errors.Is(err, format.ErrNewer):
		err = fmt.Errorf("%w: %w", unio.ErrUnsupported, err)
	case errors.Is(err, format.ErrBlank):
		err = fmt.Errorf("%w: %w", unio.ErrInvalid, err)
	case errors.Is(err, format.ErrDamaged):
		err = fmt.Errorf("%w: %w: restore the catalogue from a copy", unio.ErrMedia, err)
	}
	return rec, err
}

// readMembers reads the superblocks and checks that all belong together.
func readMembers(m *medium, rec poolRecord) error {
	for i, mb := range m.members {
		sb, _, err := readSuperblock(m, i)
		if err != nil {
			return refuseMember(i, mb.dev.Info().Name, err)
		}
		mb.sb = sb
	}
	if err := checkMembers(m.members, rec.id); err != nil {
		return err
	}
	for i, mb := range m.members {
		if mb.sb.Generation > rec.generation {
			return fmt.Errorf("member %d, %s: %w: it was last opened with a newer catalogue (%d, this one is of %d): give that",
				i, mb.dev.Info().Name, unio.ErrInvalid, mb.sb.Generation, rec.generation)
		}
	}
	return nil
}

// bumpGeneration notes that the pool was opened, first in the catalogue and
// then on the members, so that an older copy of the catalogue is recognised.
// It also mends a damaged copy of a superblock.
func (p *pool) bumpGeneration(m *medium) error {
	var rec poolRecord
	err := p.cat.Update(func(w catalogue.Writer) (err error) {
		if rec, err = decodePool(w.Get([]byte{keyPool})); err != nil {
			return err
		}
		rec.generation++
		return w.Put([]byte{keyPool}, rec.encode())
	})
	if err != nil {
		return err
	}
	for _, mb := range p.members {
		mb.sb.Generation = rec.generation
	}
	return writeSuperblocks(m)
}

// extentsOf returns how many extents each member has.
func extentsOf(members []*member) []int64 {
	var n []int64
	for _, m := range members {
		n = append(n, m.sb.Extents)
	}
	return n
}

// countSpace finds out which extents are in use. It refuses a catalogue that
// contradicts itself, rather than to give an extent to two volumes.
func countSpace(r catalogue.Reader, m *space.Map) (err error) {
	scanExtents(r, 0, 0, func(e extentRecord) bool {
		if !m.Valid(e.place) || !m.Take(e.place) {
			err = fmt.Errorf("%w: the catalogue is damaged: page %d of volume %d is at %v, which is none or another's: Check names all that is wrong; restore the catalogue from a copy",
				unio.ErrMedia, e.page, e.volume, e.place)
		}
		return err == nil
	})
	return err
}
