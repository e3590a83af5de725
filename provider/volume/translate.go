package volume

import (
	"cmp"

	"github.com/unio-stack/unio"
	"github.com/unio-stack/unio/provider/volume/internal/format"
	"github.com/unio-stack/unio/provider/volume/internal/table"
)

// begin translates a read, a write or zeroes and puts the inner requests into
// the batches, or parks the operation when a page is not active or not to be
// used as it is.
func (q *queue) begin(st *state) {
	if !st.translate(q.p) {
		st.letGo()
		q.park(st)
		return
	}
	st.unhold()
	if q.p.sums && st.op.Op == unio.OpWrite && len(st.sums) == 0 {
		eachBlock(&st.op.Request, 0, st.op.Size(), func(_ int64, b []byte) { st.sums = append(st.sums, format.Sum(b)) })
	}
	for i := 0; i < len(st.pieces); i += st.pieces[i].run {
		q.issue(st, i)
	}
	if st.left == 0 {
		q.settle(st)
	}
}

// translate finds the entries of all pages and enters them. If it fails, the
// pieces are those that were entered.
func (st *state) translate(p *pool) bool { return st.translateFor(p, st.op.Size()) }

func (st *state) translateFor(p *pool, size int64) bool {
	weight, gates := st.weight(), st.gates()
	for off := int64(0); off < size; {
		at := st.op.Offset + off
		pc := piece{off: off, in: at & (p.extent - 1)}
		pc.n = min(p.extent-pc.in, size-off)
		key := table.Key{Volume: st.vol.id, Page: at >> p.shift}
		if pc.e = p.active.Find(key); pc.e == nil {
			if pc.e = st.heldEntry(key); pc.e == nil {
				return false
			}
		}
		if !pc.e.enter(weight, gates) {
			return false
		}
		pc.place = pc.e.at()
		if p.sums && pc.place != 0 && !pc.claim(weight) {
			pc.e.leave(weight)
			return false
		}
		st.pieces = append(st.pieces, pc)
		off += pc.n
	}
	return true
}

// claim makes a writer the only one of its blocks; a reader waits for those
// who write them.
func (pc *piece) claim(weight int64) bool {
	first, end := pc.blocks()
	b := pc.e.blocks.Load()
	if weight == oneReader {
		pc.version = pc.e.version.Load()
		return !b.written(first, end)
	}
	return b.claim(first, end)
}

// heldEntry returns the entry if the keeper has it held for the operation.
func (st *state) heldEntry(key table.Key) *entry {
	for _, e := range st.held {
		if e.key == key {
			return e
		}
	}
	return nil
}

func (st *state) unhold() {
	for i, e := range st.held {
		e.leave(oneReader)
		st.held[i] = nil
	}
	st.held = st.held[:0]
}

// letGo leaves all entries.
func (st *state) letGo() {
	weight := st.weight()
	for i := range st.pieces {
		pc := &st.pieces[i]
		if weight == oneWriter && pc.place != 0 {
			if b := pc.e.blocks.Load(); b != nil {
				first, end := pc.blocks()
				b.release(first, end)
			}
		}
		pc.e.leave(weight)
		pc.e = nil
	}
	st.pieces, st.vec = st.pieces[:0], st.vec[:0]
	st.unhold()
	if p := st.q.p; p.watched.Load() {
		p.keep.poke()
	}
}

// issue makes the inner request that begins with piece i, of as many pieces as
// are adjacent on the medium. Holes need none.
func (q *queue) issue(st *state, i int) {
	first := &st.pieces[i]
	n := first.n
	first.run = 1
	if first.place == 0 {
		if st.op.Op == unio.OpRead {
			zeroMemory(&st.op.Request, first.off, n)
		}
		return
	}
	for j := i + 1; j < len(st.pieces) && adjacent(&st.pieces[j-1], &st.pieces[j]); j++ {
		n += st.pieces[j].n
		first.run++
	}
	m := first.place.Member()
	mb := q.p.members[m]
	r := unio.Request{
		ID: requestID(st.op, i), Op: st.op.Op, Region: mb.reg,
		Offset: mb.sb.DataOf(first.place.Extent()) + first.in,
	}
	if !st.vol.scratch {
		r.Flags = st.op.Flags & unio.Durable
	}
	switch {
	case st.op.Op == unio.OpWriteZeroes:
		r.Length = n
	case st.op.Vec == nil:
		r.Data = st.op.Data[first.off : first.off+n]
	case n == st.op.Size():
		r.Vec = st.op.Vec
	default:
		from := len(st.vec)
		st.vec = cut(st.vec, st.op.Vec, first.off, n)
		r.Vec = st.vec[from:]
	}
	q.lanes[m].batch = append(q.lanes[m].batch, r)
	st.left++
}

// adjacent reports whether b follows a on the medium. A hole follows none.
func adjacent(a, b *piece) bool { return a.place != 0 && b.place == a.place+1 && b.in == 0 }

// ended1 settles one inner request.
func (q *queue) ended1(c unio.Completion) {
	st := q.states[c.ID>>pieceShift]
	st.left--
	if c.Err != nil {
		q.failRun(st, int(c.ID&(1<<pieceShift-1)), c)
	}
	if st.left == 0 {
		q.settle(st)
	}
}

// failRun notes a failure, if it is the first by its place in the operation.
// What a failed write has left of its blocks is not known.
func (q *queue) failRun(st *state, i int, c unio.Completion) {
	if st.op.Op == unio.OpFlush {
		st.failed = cmp.Or(st.failed, error(opError(-1, c.Err)))
		return
	}
	first := &st.pieces[i]
	if st.op.Op != unio.OpRead && q.p.sums {
		for k := range st.pieces[i : i+first.run] {
			pc := &st.pieces[i+k]
			lo, hi := pc.blocks()
			b := pc.e.blocks.Load()
			for s := lo; s < hi; s++ {
				b.sums[s].Store(format.SumUnknown)
			}
			pc.version = failedVersion
		}
	}
	if at := first.off + c.N; st.failed == nil || at < st.failedAt {
		e := opError(-1, c.Err)
		if inner := badByte(c.Err); inner >= 0 {
			e.BadByte = inner - q.p.members[first.place.Member()].sb.DataOf(first.place.Extent()) - first.in + first.off + st.op.Offset
		}
		st.failed, st.failedAt = e, at
	}
}

// failedVersion marks a piece of a write that failed.
const failedVersion = ^uint32(0)

// flush passes a flush on to all members.
func (q *queue) flush(st *state) {
	if st.vol.scratch {
		q.finish(st, 0, nil)
		return
	}
	for i, m := range q.p.members {
		q.lanes[i].batch = append(q.lanes[i].batch, unio.Request{ID: requestID(st.op, 0), Op: unio.OpFlush, Region: m.reg})
		st.left++
	}
}
