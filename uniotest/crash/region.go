package crash

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"slices"

	"github.com/unio-stack/unio"
)

// A region is what is known about a region of the inner device. All but inner
// is guarded by controller.mu.
type region struct {
	inner   *unio.Region
	unit    int64
	durable []byte      // what survives in any case
	pending [][]*record // by unit: the mutations since, oldest first
	records []*record   // those that are pending in some unit, oldest first
}

// A record is a mutation that a power cut may undo.
type record struct {
	off  int64
	data []byte // nil while it is not known: an atomic in flight
	size int64
	done bool  // it has completed
	lost bool  // a rule says that it does not survive unless it is flushed
	tear int64 // a rule says that it is torn into pieces of this size; or 0
}

// newRegion reads what the inner region holds.
func newRegion(ctx context.Context, inner *unio.Region, unit int) (*region, error) {
	ch, err := inner.Device().NewChannel(unio.ChannelConfig{})
	if err != nil {
		return nil, err
	}
	defer ch.Close()
	rg := &region{inner: inner, unit: int64(unit), durable: make([]byte, inner.Size())}
	const step = 1 << 20
	for off := 0; off < len(rg.durable); off += step {
		piece := rg.durable[off:min(off+step, len(rg.durable))]
		if err := ch.Do(ctx, unio.Request{Op: unio.OpRead, Region: inner, Offset: int64(off), Data: piece}); err != nil {
			return nil, fmt.Errorf("read what is durable at first: %w", err)
		}
	}
	rg.pending = make([][]*record, (int64(len(rg.durable))+rg.unit-1)/rg.unit)
	return rg, nil
}

// units returns the first and the last unit that [off, off+n) touches.
func (rg *region) units(off, n int64) (first, last int64) {
	return off / rg.unit, (off + n - 1) / rg.unit
}

// add makes a mutation pending.
func (rg *region) add(rec *record) {
	rg.records = append(rg.records, rec)
	first, last := rg.units(rec.off, rec.size)
	for u := first; u <= last; u++ {
		rg.pending[u] = append(rg.pending[u], rec)
	}
}

// drop takes back a mutation that has not happened and is the latest of all
// its units.
func (rg *region) drop(rec *record) {
	first, last := rg.units(rec.off, rec.size)
	for u := first; u <= last; u++ {
		rg.pending[u] = slices.DeleteFunc(rg.pending[u], func(r *record) bool { return r == rec })
	}
	rg.records = slices.DeleteFunc(rg.records, func(r *record) bool { return r == rec })
}

// completed returns the pending mutations that have completed: what a flush
// that begins now makes durable.
func (rg *region) completed() []*record {
	var recs []*record
	for _, r := range rg.records {
		if r.done {
			recs = append(recs, r)
		}
	}
	return recs
}

// persist makes mutations durable, with what precedes them in their units.
func (rg *region) persist(recs ...*record) {
	for _, rec := range recs {
		first, last := rg.units(rec.off, rec.size)
		for u := first; u <= last; u++ {
			i := slices.Index(rg.pending[u], rec)
			for _, r := range rg.pending[u][:i+1] {
				rg.apply(rg.durable, r, u)
			}
			rg.pending[u] = rg.pending[u][i+1:]
		}
	}
	rg.records = slices.DeleteFunc(rg.records, func(r *record) bool {
		first, last := rg.units(r.off, r.size)
		for u := first; u <= last; u++ {
			if slices.Contains(rg.pending[u], r) {
				return false
			}
		}
		return true
	})
}

// apply stores the part of a mutation that lies in unit u.
func (rg *region) apply(medium []byte, rec *record, u int64) {
	lo, hi := max(rec.off, u*rg.unit), min(rec.off+rec.size, (u+1)*rg.unit)
	copy(medium[lo:hi], rec.data[lo-rec.off:])
}

// image returns what a power cut now might leave.
func (rg *region) image(rng *rand.Rand) []byte {
	medium := bytes.Clone(rg.durable)
	mood := rng.IntN(8) // now and then everything survives, or nothing
	for u, recs := range rg.pending {
		if len(recs) == 0 || mood == 0 {
			continue
		}
		n := rng.IntN(len(recs) + 1)
		if mood == 1 {
			n = len(recs)
		}
		for i, rec := range recs[:n] {
			switch {
			case rec.lost, rec.data == nil:
			case rec.tear > 0 && i == n-1:
				rg.tear(medium, rec, int64(u), rng)
			default:
				rg.apply(medium, rec, int64(u))
			}
		}
	}
	return medium
}

// tear stores a random part of what apply would store.
func (rg *region) tear(medium []byte, rec *record, u int64, rng *rand.Rand) {
	lo, hi := max(rec.off, u*rg.unit), min(rec.off+rec.size, (u+1)*rg.unit)
	for lo < hi {
		end := min(hi, (lo/rec.tear+1)*rec.tear)
		if rng.IntN(2) == 0 {
			copy(medium[lo:end], rec.data[lo-rec.off:])
		}
		lo = end
	}
}
