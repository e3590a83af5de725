package volume

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/unio-stack/unio"
	"github.com/unio-stack/unio/provider/volume/catalogue"
	"github.com/unio-stack/unio/provider/volume/internal/format"
)

// Create makes a pool of the members, and opens it. It refuses with
// [unio.ErrBusy] while the catalogue is in use, and with [unio.ErrInvalid] when
// there is something on a member already or the catalogue exists, unless
// [Config.Force] is set: then what was there is lost.
func Create(ctx context.Context, cfg Config) (*Pool, error) {
	pool, err := create(ctx, cfg)
	if err != nil {
		return nil, fmt.Errorf("create pool: %w", err)
	}
	return pool, nil
}

func create(ctx context.Context, cfg Config) (*Pool, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	members, err := attachMembers(ctx, cfg, unio.ReadWrite)
	if err != nil {
		return nil, err
	}
	m, err := newMedium(members)
	if err != nil {
		detachMembers(members)
		return nil, err
	}
	cat, opened, err := createCatalogue(cfg)
	if err == nil {
		err = formatPool(m, cat, cfg)
	}
	if err = errors.Join(err, m.close()); err != nil {
		detachMembers(members)
		if opened {
			err = errors.Join(err, cat.Close())
		}
		return nil, err
	}
	return open(cfg, members, cat, opened)
}

// createCatalogue returns a catalogue without a pool, and whether it was opened
// here.
func createCatalogue(cfg Config) (cat catalogue.Catalogue, opened bool, err error) {
	switch {
	case cfg.Catalogue != nil:
		cat = cfg.Catalogue
	case cfg.Path == "":
		cat, err = new(catalogue.Memory).Open()
		opened = true
	default:
		cat, err = catalogue.OpenBolt(cfg.Path, true)
		if errors.Is(err, os.ErrExist) && cfg.Force {
			cat, err = catalogue.OpenBolt(cfg.Path, false)
		}
		opened = true
		if errors.Is(err, os.ErrExist) {
			err = fmt.Errorf("%w: %w: open the pool it is of, or destroy it with Force", unio.ErrInvalid, err)
		}
	}
	if err != nil {
		return nil, false, err
	}
	if err = emptyCatalogue(cat, cfg.Force); err != nil && opened {
		err = errors.Join(err, cat.Close())
	}
	return cat, opened && err == nil, err
}

// emptyCatalogue makes sure that a catalogue is of no pool.
func emptyCatalogue(cat catalogue.Catalogue, force bool) error {
	return cat.Update(func(w catalogue.Writer) error {
		var keys [][]byte
		w.Scan(nil, func(k, _ []byte) bool {
			keys = append(keys, append([]byte(nil), k...))
			return force || len(keys) == 0
		})
		if len(keys) > 0 && !force {
			return fmt.Errorf("%w: the catalogue is of a pool: open that, or destroy it with Force", unio.ErrInvalid)
		}
		for _, k := range keys {
			if err := w.Delete(k); err != nil {
				return err
			}
		}
		return nil
	})
}

// formatPool lays the pool out. Until the superblocks are written, which comes
// last, the members are of no pool.
func formatPool(m *medium, cat catalogue.Catalogue, cfg Config) error {
	id := newID()
	ids := make([]format.ID, len(m.members))
	for i := range ids {
		ids[i] = newID()
	}
	for i, mb := range m.members {
		if err := checkVacant(m, i, cfg.Force); err != nil {
			return err
		}
		mb.sb = &format.Superblock{
			Pool: id, Index: i, Members: ids, ExtentSize: cfg.ExtentSize, Sums: !cfg.NoChecksums, Size: mb.reg.Size() &^ (format.SumBlock - 1),
		}
		if i == 0 {
			mb.sb.LogSize = cfg.LogSize
		}
		if err := mb.sb.Plan(); err != nil {
			return fmt.Errorf("%w: %s: %w: give it more, or smaller extents, or a smaller log", unio.ErrNoSpace, mb.dev.Info().Name, err)
		}
	}
	for i, mb := range m.members { // all that is not data, and so both superblocks
		if err := zeroRange(m, i, 0, mb.sb.SumsAt); err != nil {
			return err
		}
	}
	first := m.members[0].sb
	head := format.LogHead{Pool: id, Epoch: 1, LSN: 1}
	if err := m.write(0, first.HeadOf(head), head.Encode(), 0); err != nil {
		return err
	}
	if err := m.flush(); err != nil {
		return err
	}
	if err := cat.Update(func(w catalogue.Writer) error {
		return w.Put([]byte{keyPool}, poolRecord{id: id, next: 1}.encode())
	}); err != nil {
		return err
	}
	return writeSuperblocks(m)
}

// writeSuperblocks writes one copy everywhere, and then the other.
func writeSuperblocks(m *medium) error {
	for _, at := range []int64{format.SuperblockA, format.SuperblockB} {
		for i, mb := range m.members {
			if err := m.write(i, at, mb.sb.Encode(), 0); err != nil {
				return err
			}
		}
		if err := m.flush(); err != nil {
			return err
		}
	}
	return nil
}

func zeroRange(m *medium, member int, off, n int64) error {
	return m.run(member, unio.Request{Op: unio.OpWriteZeroes, Offset: off, Length: n})
}

// Where something that is no pool is looked for: what file systems, partition
// tables and RAID write is at the beginning or at the end.
const (
	vacantHead = 1 << 20
	vacantTail = 128 << 10
)

// checkVacant makes sure that a member may be formatted.
func checkVacant(m *medium, i int, force bool) error {
	if force {
		return nil
	}
	mb := m.members[i]
	name, size := mb.dev.Info().Name, mb.reg.Size()
	if sb, _, err := readSuperblock(m, i); err == nil {
		return fmt.Errorf("member %d, %s: %w: it belongs to pool %s already: open that, or destroy it with Force", i, name, unio.ErrInvalid, idString(sb.Pool))
	}
	look := func(off int64, p []byte) error {
		for k, b := range p {
			if b != 0 {
				return fmt.Errorf("member %d, %s: %w: there is something on it, at byte %d: give another device, or destroy what is there with Force", i, name, unio.ErrInvalid, off+int64(k))
			}
		}
		return nil
	}
	if err := m.each(i, 0, min(vacantHead, size), look); err != nil {
		return err
	}
	tail := max(0, size-vacantTail)
	return m.each(i, tail, size-tail, look)
}
