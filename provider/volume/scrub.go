package volume

import (
	"context"
	"encoding/binary"
	"fmt"
	"time"

	"github.com/unio-stack/unio"
	"github.com/unio-stack/unio/provider/volume/catalogue"
	"github.com/unio-stack/unio/provider/volume/internal/format"
	"github.com/unio-stack/unio/provider/volume/internal/table"
)

// ScrubConfig says how to scrub. The zero value goes on where the last scrub
// was interrupted, as fast as can be.
type ScrubConfig struct {
	// BytesPerSecond bounds how fast extents are read; 0 does not.
	BytesPerSecond int64
	// Restart begins at the beginning.
	Restart bool
	// Progress is called after each extent, if it is not nil.
	Progress func(ScrubReport)
}

// A ScrubReport is how far a scrub has come.
type ScrubReport struct {
	Extents int64      `json:"extents"` // read
	Total   int64      `json:"total"`   // extents in use when it began
	Bad     []BadBlock `json:"bad"`     // the first thousand
}

// A BadBlock is a block that is not what was written.
type BadBlock struct {
	Volume string `json:"volume"`
	Offset int64  `json:"offset"` // in the volume, bytes
}

// scrubCursor is the next page to look at.
type scrubCursor struct {
	volume uint64
	page   int64
}

// saveEvery is after how many extents the cursor is stored.
const saveEvery = 64

// Scrub reads all that volumes hold and verifies its checksums. It may be
// interrupted by ctx, whose error it returns then with what it has found, and
// goes on there when it is called again, also after the pool was opened again.
// Scratch volumes are left out. It fails with [unio.ErrUnsupported] where there
// are no checksums.
func (p *Pool) Scrub(ctx context.Context, cfg ScrubConfig) (rep ScrubReport, err error) {
	if !p.p.sums {
		return rep, fmt.Errorf("scrub %s: %w: the pool has no checksums", p.Info().Name, unio.ErrUnsupported)
	}
	at, err := p.p.beginScrub(ctx, cfg.Restart, &rep)
	began := time.Now()
	for err == nil {
		var done bool
		if at, done, err = p.p.scrubNext(ctx, at, &rep); done || err != nil {
			break
		}
		if rep.Extents++; rep.Extents%saveEvery == 0 {
			err = p.p.saveScrub(at)
		}
		if cfg.Progress != nil {
			cfg.Progress(rep)
		}
		if err == nil && cfg.BytesPerSecond > 0 {
			due := began.Add(time.Duration(float64(rep.Extents*p.p.extent) / float64(cfg.BytesPerSecond) * float64(time.Second)))
			err = sleepUntil(ctx, due)
		}
	}
	if err == nil {
		at = scrubCursor{}
	}
	if e := p.p.saveScrub(at); err == nil {
		err = e
	}
	if err != nil {
		return rep, fmt.Errorf("scrub %s: %w", p.Info().Name, err)
	}
	return rep, nil
}

func sleepUntil(ctx context.Context, due time.Time) error {
	t := time.NewTimer(time.Until(due))
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (p *pool) beginScrub(ctx context.Context, restart bool, rep *ScrubReport) (at scrubCursor, err error) {
	err = p.keep.call(ctx, func(k *keeper) error {
		for _, n := range extentsOf(p.members) {
			rep.Total += n
		}
		rep.Total -= k.space.Free()
		return p.cat.View(func(r catalogue.Reader) error {
			if v := r.Get([]byte{keyScrub}); len(v) == 16 && !restart {
				at = scrubCursor{binary.LittleEndian.Uint64(v), int64(binary.LittleEndian.Uint64(v[8:]))}
			}
			return nil
		})
	})
	return at, err
}

func (p *pool) saveScrub(at scrubCursor) error {
	return p.keep.call(context.Background(), func(*keeper) error {
		return p.cat.Update(func(w catalogue.Writer) error {
			v := binary.LittleEndian.AppendUint64(nil, at.volume)
			return w.Put([]byte{keyScrub}, binary.LittleEndian.AppendUint64(v, uint64(at.page)))
		})
	})
}

// scrubNext verifies the next extent.
func (p *pool) scrubNext(ctx context.Context, at scrubCursor, rep *ScrubReport) (next scrubCursor, done bool, err error) {
	next = at
	err = p.keep.call(ctx, func(k *keeper) error {
		e, ok, err := k.nextExtent(at)
		if done = !ok; err != nil || done {
			return err
		}
		bad, err := k.verifyExtent(e)
		if err != nil {
			return err
		}
		next = scrubCursor{e.volume, e.page + 1}
		if len(bad) == 0 {
			return nil
		}
		rec, err := k.record(e.volume)
		if err != nil {
			return nil // it was deleted meanwhile
		}
		for _, off := range bad {
			if len(rep.Bad) < maxProblems {
				rep.Bad = append(rep.Bad, BadBlock{rec.name, off})
			}
		}
		return nil
	})
	return next, done, err
}

// nextExtent returns the first page from at on that has an extent.
func (k *keeper) nextExtent(at scrubCursor) (e extentRecord, ok bool, err error) {
	err = k.p.cat.View(func(r catalogue.Reader) error {
		scanExtents(r, at.volume, at.page, func(x extentRecord) bool {
			if k.space.Valid(x.place) {
				e, ok = x, true
			}
			return !ok
		})
		return nil
	})
	return e, ok, err
}

// verifyExtent returns the offsets in their volume of blocks that are not what
// was written. Those that are being written, or have no checksum yet, pass.
func (k *keeper) verifyExtent(x extentRecord) (bad []int64, err error) {
	e := k.p.active.FindAll(table.Key{Volume: x.volume, Page: x.page})
	if e == nil {
		if k.dirty.has(x.place) {
			return nil, nil
		}
		e = &entry{key: table.Key{Volume: x.volume, Page: x.page}}
		if err := k.loadStored(e); err != nil || e.at() == 0 {
			return nil, err
		}
	}
	b := e.blocks.Load()
	if b == nil {
		return nil, nil
	}
	sb := k.p.members[x.place.Member()].sb
	data := sb.DataOf(x.place.Extent())
	version := e.version.Load()
	err = k.m.each(x.place.Member(), data, sb.ExtentSize, func(off int64, p []byte) error {
		for i := (off - data) / sumBlock; len(p) > 0; i, p = i+1, p[sumBlock:] {
			want := b.sums[i].Load()
			if want != format.SumUnknown && format.Sum(p[:sumBlock]) != want && !b.written(i, i+1) {
				bad = append(bad, x.page<<k.p.shift+i*sumBlock)
			}
		}
		return nil
	})
	if e.version.Load() != version { // a write may be why: the next scrub looks again
		bad = nil
	}
	return bad, err
}
