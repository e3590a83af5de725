package workload

// A ledger remembers which generation of each block of a worker's part should
// be on the medium, and which blocks have requests in flight: while a block is
// being written, nothing is known about what a read of it returns.
type ledger struct {
	first       int64    // number of the first block
	generations []uint32 // 0: not known
	busy        []bool
	seed        uint64
	checked     int64
	wrong       int64
	shown       []Mismatch // the first few
}

const maxShown = 8

func newLedger(first, count int64, seed uint64) *ledger {
	return &ledger{first: first, generations: make([]uint32, count), busy: make([]bool, count), seed: seed}
}

// claim returns b, or the next block after it that has no request in flight,
// and marks it. There is one: a part has at least as many blocks as the depth.
func (l *ledger) claim(g *generator, b int64) int64 {
	for l.busy[b-l.first] {
		b = g.after(b)
	}
	l.busy[b-l.first] = true
	return b
}

// write stamps data as the next generation of block b at offset.
func (l *ledger) write(b int64, data []byte, offset int64) {
	g := &l.generations[b-l.first]
	if *g++; *g == 0 {
		*g = 1
	}
	stamp(data, offset, *g, l.seed)
}

// done takes back the claim on b. After a write that failed, nobody knows what
// is there.
func (l *ledger) done(b int64, lost bool) {
	l.busy[b-l.first] = false
	if lost {
		l.generations[b-l.first] = 0
	}
}

// check looks at what was read of block b at offset.
func (l *ledger) check(b int64, data []byte, offset int64) {
	l.checked++
	m := inspect(data, offset, l.generations[b-l.first], l.seed)
	if m == nil {
		return
	}
	if l.wrong++; len(l.shown) < maxShown {
		l.shown = append(l.shown, *m)
	}
}
