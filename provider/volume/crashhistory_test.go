package volume

import (
	"errors"
	"fmt"
	"slices"

	"github.com/unio-stack/unio"
)

// live does n random things to the pool, and closes it.
func (h *history) live(n int) {
	for range n {
		if h.failed() {
			break
		}
		h.one()
	}
	h.drain()
	h.mu.Lock()
	h.on = h.kind.mutant == false && h.failure == nil
	h.mu.Unlock()
	must(h.t, h.pool.Close())
}

func (h *history) failed() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.failure != nil
}

func (h *history) one() {
	v := h.pick()
	if v == nil {
		h.create()
		return
	}
	switch h.rng.IntN(24) {
	case 0, 1:
		h.create()
	case 2:
		h.remove(v)
	case 3:
		h.resize(v)
	case 4:
		h.rename(v)
	case 5, 6, 7:
		h.flush(v)
	case 8, 9, 10:
		h.drain()
	default:
		h.mutate(v)
	}
	if h.rng.IntN(3) == 0 {
		h.fetch(false)
	}
}

// pick returns a volume that is there.
func (h *history) pick() *modelVolume {
	h.mu.Lock()
	defer h.mu.Unlock()
	var some []*modelVolume
	for _, v := range h.vols {
		if !v.absent {
			some = append(some, v)
		}
	}
	if len(some) == 0 {
		return nil
	}
	return some[h.rng.IntN(len(some))]
}

// change changes the model.
func (h *history) change(f func()) {
	h.mu.Lock()
	defer h.mu.Unlock()
	f()
}

const maxVolume = 5 * 64 << 10

func (h *history) create() {
	if len(h.vols) > 40 {
		return
	}
	v := &modelVolume{gone: true, scratch: h.rng.IntN(8) == 0}
	v.appends = !v.scratch && h.rng.IntN(4) == 0
	h.change(func() {
		v.names = []string{fmt.Sprintf("v%d", len(h.vols))}
		v.sizes = []int64{4096 * (1 + h.rng.Int64N(maxVolume/4096))}
		v.grow(v.size())
		h.vols = append(h.vols, v)
	})
	must(h.t, h.pool.CreateVolume(h.t.Context(), v.names[0], VolumeConfig{Size: v.size(), Scratch: v.scratch}))
	h.change(func() { v.gone = false })
	h.attach(v)
}

func (v *modelVolume) grow(size int64) {
	for int64(len(v.units))*unitSize < size {
		v.units = append(v.units, modelUnit{stamps: []uint32{0}})
	}
}

func (h *history) attach(v *modelVolume) {
	reg, err := h.pool.Attach(h.t.Context(), v.names[0], unio.ReadWrite)
	must(h.t, err)
	v.reg = reg
}

func (h *history) remove(v *modelVolume) {
	force := h.rng.IntN(2) == 0
	h.drain()
	if !force {
		must(h.t, v.reg.Close())
	}
	h.change(func() { v.gone = true })
	must(h.t, h.pool.DeleteVolume(h.t.Context(), v.names[0], force))
	h.change(func() { v.absent = true })
	if force {
		must(h.t, v.reg.Close())
	}
}

func (h *history) resize(v *modelVolume) {
	h.drain()
	if v.appends {
		return
	}
	size := 4096 * (1 + h.rng.Int64N(maxVolume/4096))
	h.change(func() {
		if old := v.size(); size < old {
			v.post(size, old-size, 0)
		}
		v.grow(size)
		v.sizes = append(v.sizes, size)
	})
	must(h.t, v.reg.Resize(h.t.Context(), size))
	h.change(func() {
		if old := v.sizes[0]; size < old {
			v.settle(size, old-size, 0, true)
		}
		v.sizes = v.sizes[len(v.sizes)-1:]
	})
}

func (h *history) rename(v *modelVolume) {
	h.drain()
	must(h.t, v.reg.Close())
	to := v.names[0] + "x"
	h.change(func() { v.names = append(v.names, to) })
	must(h.t, h.pool.RenameVolume(h.t.Context(), v.names[0], to))
	h.change(func() { v.names = v.names[1:] })
	h.attach(v)
}

func (h *history) flush(v *modelVolume) {
	f := &crashFlight{v: v, req: unio.Request{Op: unio.OpFlush}}
	h.change(func() { f.flush = v.beginFlush() })
	h.post(f)
}

// mutate posts a mutation of units that no other in flight touches.
func (h *history) mutate(v *modelVolume) {
	f := &crashFlight{v: v}
	h.change(func() { h.stamp++; f.stamp = h.stamp })
	if v.appends {
		n := 1 + h.rng.IntN(6000)
		total := v.acked
		for _, t := range v.tail {
			total += int64(t.n)
		}
		if total+int64(n) > v.size() {
			return
		}
		f.req = unio.Request{Op: unio.OpAppend, Data: appended(n, f.stamp)}
		h.change(func() { v.tail = append(v.tail, tailPiece{n, f.stamp}) })
		h.post(f)
		return
	}
	off, n := h.place(v)
	f.req = unio.Request{Offset: off}
	switch h.rng.IntN(10) {
	case 0, 1:
		f.req.Op, f.req.Length, f.stamp = unio.OpWriteZeroes, n, 0
	case 2:
		if h.rng.IntN(2) == 0 {
			off, n = 0, v.size()
		}
		f.req.Op, f.req.Offset, f.req.Length, f.stamp = unio.OpDiscard, off, n, 0
	case 3, 4, 5:
		f.req = unio.Request{Op: unio.OpWriteAtomic, Ranges: h.ranges(v)}
		for _, g := range f.req.Ranges {
			f.req.Data = append(f.req.Data, stamped(g.Offset, g.Length, f.stamp)...)
		}
		f.atomic = &modelAtomic{v, f.req.Ranges, f.stamp}
	default:
		f.req.Op, f.req.Data = unio.OpWrite, stamped(off, n, f.stamp)
		if h.rng.IntN(4) == 0 {
			f.req.Flags = unio.Durable
		}
	}
	if h.busy(f) {
		return
	}
	h.change(func() {
		for _, g := range f.ranges() {
			v.post(g.Offset, g.Length, f.stamp)
		}
		if f.atomic != nil {
			h.atomics = append(h.atomics, f.atomic)
			h.atomics = h.atomics[max(0, len(h.atomics)-20):]
		}
	})
	h.post(f)
}

// ranges are what the request mutates.
func (f *crashFlight) ranges() []unio.Range {
	switch f.req.Op {
	case unio.OpFlush, unio.OpAppend:
		return nil
	case unio.OpWriteAtomic:
		return f.req.Ranges
	}
	return []unio.Range{{Offset: f.req.Offset, Length: int64(len(f.req.Data)) + f.req.Length}}
}

// busy reports whether something in flight touches the same units.
func (h *history) busy(f *crashFlight) bool {
	for _, o := range h.flight {
		if o.v != f.v {
			continue
		}
		for _, a := range f.ranges() {
			for _, b := range o.ranges() {
				if a.Offset < b.Offset+b.Length && b.Offset < a.Offset+a.Length {
					return true
				}
			}
		}
	}
	return false
}

func stamped(off, n int64, stamp uint32) []byte {
	p := make([]byte, n)
	for i := int64(0); i < n; i += unitSize {
		stampUnit(p[i:], stamp, (off+i)/unitSize)
	}
	return p
}

// place returns some units of a volume.
func (h *history) place(v *modelVolume) (off, n int64) {
	units := v.size() / unitSize
	first := h.rng.Int64N(units)
	n = 1 + h.rng.Int64N(min(units-first, 1<<h.rng.IntN(7)))
	if h.rng.IntN(2) == 0 { // whole blocks
		first &^= 7
		n = min((n+7)&^7, units-first)
	}
	return first * unitSize, n * unitSize
}

func (h *history) ranges(v *modelVolume) (all []unio.Range) {
	for range 1 + h.rng.IntN(5) {
		off, n := h.place(v)
		if n = min(n, 6<<10); !slices.ContainsFunc(all, func(g unio.Range) bool { return off < g.Offset+g.Length && g.Offset < off+n }) {
			all = append(all, unio.Range{Offset: off, Length: n})
		}
	}
	return all
}

func (h *history) post(f *crashFlight) {
	f.req.Region = f.v.reg
	f.req.ID = h.next
	h.next++
	for {
		n, err := h.ch.Post(f.req)
		if n == 1 {
			h.flight[f.req.ID] = f
			return
		}
		if len(h.flight) == 0 {
			h.t.Fatal(err)
		}
		h.fetch(true)
	}
}

func (h *history) drain() {
	for len(h.flight) > 0 {
		h.fetch(true)
	}
}

// fetch notes what has completed.
func (h *history) fetch(wait bool) {
	var done [8]unio.Completion
	n := h.ch.Poll(done[:])
	if n == 0 && wait {
		var err error
		n, err = h.ch.Wait(h.t.Context(), done[:])
		must(h.t, err)
	}
	for _, c := range done[:n] {
		f := h.flight[c.ID]
		delete(h.flight, c.ID)
		full := errors.Is(c.Err, unio.ErrNoSpace)
		if c.Err != nil && !full && !h.kind.mutant {
			h.t.Errorf("%v: %v", f.req.Op, c.Err)
		}
		if full {
			h.change(func() { f.refused() })
		}
		if c.Err == nil {
			h.change(func() { f.ended(c) })
		}
	}
}

// refused takes back an Append for which there was no space. Of another request
// a part may have been done.
func (f *crashFlight) refused() {
	f.v.tail = slices.DeleteFunc(f.v.tail, func(t tailPiece) bool { return t.stamp == f.stamp })
}

func (f *crashFlight) ended(c unio.Completion) {
	v := f.v
	switch f.req.Op {
	case unio.OpFlush:
		v.endFlush(f.flush)
	case unio.OpAppend:
		i := slices.IndexFunc(v.tail, func(t tailPiece) bool { return t.stamp == f.stamp })
		v.tail = slices.Delete(v.tail, i, i+1)
		end := int64(c.Value) + c.N
		if int64(len(v.content)) < end {
			v.content = append(v.content, make([]byte, end-int64(len(v.content)))...)
		}
		copy(v.content[c.Value:], f.req.Data)
		v.acked += c.N
	default:
		durable := f.atomic != nil || f.req.Flags&unio.Durable != 0
		for _, g := range f.ranges() {
			v.settle(g.Offset, g.Length, f.stamp, durable)
		}
	}
}
