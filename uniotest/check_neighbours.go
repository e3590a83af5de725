package uniotest

import (
	"fmt"
	"math/rand/v2"

	"github.com/unio-stack/unio"
)

// A cell is a few bytes that one worker owns, beside the cells of others.
type cell struct {
	span
	want []byte
}

// neighbourArea bytes are shared by all workers, starting at neighbourBase,
// which is inside a block.
const (
	neighbourArea = 24 << 10
	neighbourBase = 64<<10 - 100
)

// checkNeighbours: workers with channels of their own write ragged pieces of
// the same blocks, and none loses what a neighbour wrote.
func checkNeighbours(r *rig) {
	r.needs(unio.OpRead, unio.OpWrite)
	const workers = 4
	cells := r.cells(workers)
	r.together(workers, func(i int, rng *rand.Rand) error {
		return r.cultivate(cells[i], rng)
	})
	ch := r.channel(unio.ChannelConfig{})
	for _, own := range cells {
		for _, c := range own {
			got := r.read(ch, c.off, len(c.want))
			if at := differ(got, c.want); at >= 0 {
				r.Fatalf("byte %d is %#x, want %#x: a neighbour's write was lost", c.off+int64(at), got[at], c.want[at])
			}
		}
	}
}

// cells divides the area among the workers, in turn.
func (r *rig) cells(workers int) [][]*cell {
	cells := make([][]*cell, workers)
	for off, i := int64(neighbourBase), 0; off < neighbourBase+neighbourArea; i++ {
		n := 1 + r.rng.Int64N(700)
		if r.rng.IntN(4) == 0 {
			n = 1 + r.rng.Int64N(9)
		}
		c := &cell{span: span{off, off + n}, want: make([]byte, n)}
		cells[i%workers] = append(cells[i%workers], c)
		off += n
	}
	return cells
}

// cultivate rewrites the worker's cells in random order, several at a time, and
// looks at each of them afterwards.
func (r *rig) cultivate(cells []*cell, rng *rand.Rand) error {
	ch, err := r.dev.NewChannel(unio.ChannelConfig{Depth: r.depth(8)})
	if err != nil {
		return err
	}
	for range r.rounds(60) {
		var writes, reads []unio.Request
		picked := rng.Perm(len(cells))[:min(8, len(cells))]
		for _, k := range picked {
			writes = append(writes, r.rewrite(cells[k], rng))
		}
		if _, err := succeed(ch, r.cfg.Patience, writes); err != nil {
			return err
		}
		for _, k := range picked {
			c := cells[k]
			reads = append(reads, unio.Request{Op: unio.OpRead, Region: r.reg, Offset: c.off, Data: make([]byte, len(c.want))})
		}
		if _, err := succeed(ch, r.cfg.Patience, reads); err != nil {
			return err
		}
		for i, k := range picked {
			c, got := cells[k], reads[i].Data
			if at := differ(got, c.want); at >= 0 {
				return fmt.Errorf("byte %d is %#x, want %#x: a neighbour's write was lost", c.off+int64(at), got[at], c.want[at])
			}
		}
	}
	return ch.Close()
}

// rewrite gives the cell new contents and returns the request that stores them.
func (r *rig) rewrite(c *cell, rng *rand.Rand) unio.Request {
	q := unio.Request{Op: unio.OpWrite, Region: r.reg, Offset: c.off}
	op := [...]unio.Opcode{unio.OpWriteZeroes, unio.OpDiscard, unio.OpWrite}[min(2, rng.IntN(8))]
	if op != unio.OpWrite && r.ops.Has(op) {
		q.Op, q.Length = op, int64(len(c.want))
		clear(c.want)
		return q
	}
	copy(c.want, payload(rng, len(c.want)))
	q.Data = append([]byte(nil), c.want...)
	return q
}
