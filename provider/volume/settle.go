package volume

import (
	"errors"
	"fmt"

	"github.com/unio-stack/unio"
	"github.com/unio-stack/unio/provider/volume/internal/format"
	"github.com/unio-stack/unio/provider/volume/internal/space"
)

// rereads is how often a read whose checksum is wrong is done once more, in
// case it was the way from the medium that changed it.
const rereads = 2

// settle ends an operation whose inner requests have all ended, or does a read
// again that a write has interfered with.
func (q *queue) settle(st *state) {
	if q.p.sums {
		switch st.op.Op {
		case unio.OpRead:
			if st.failed == nil && q.readAgain(st) {
				st.letGo()
				q.again = true
				q.begin(st)
				return
			}
		case unio.OpWrite, unio.OpWriteZeroes:
			st.storeSums()
		}
	}
	op, err, n := st.op, st.failed, st.op.Size()
	if err != nil {
		n = st.failedAt
	}
	st.letGo()
	if op.Op == unio.OpFlush {
		n = 0
	}
	q.finish(st, n, err)
}

// readAgain verifies what was read. It returns true if a block is not what it
// should be and a write may be why, or chance; otherwise the operation fails.
func (q *queue) readAgain(st *state) bool {
	for i := range st.pieces {
		pc := &st.pieces[i]
		if pc.place == 0 {
			continue
		}
		bad := pc.verify(&st.op.Request)
		if bad < 0 {
			continue
		}
		b := pc.e.blocks.Load()
		first, end := pc.blocks()
		if pc.e.version.Load() != pc.version || b.written(first, end) {
			return true
		}
		if st.tries++; st.tries <= rereads {
			return true
		}
		st.failed, st.failedAt = wrongSum(st.op.Offset+bad, pc.place), bad
		return false
	}
	return false
}

// wrongSum is the error of a block that is not what was written.
func wrongSum(bad int64, place space.Place) error {
	return &unio.OpError{
		Layer: layer, BadByte: bad, Err: unio.ErrChecksum,
		Detail: fmt.Sprintf("the %d bytes there, in %v, are not those that were written: restore them from a copy", format.SumBlock, place),
	}
}

// verify returns the offset in the operation of the first block of the piece
// whose checksum is wrong, or -1.
func (pc *piece) verify(r *unio.Request) (bad int64) {
	bad = -1
	sums := pc.e.blocks.Load().sums
	eachBlock(r, pc.off, pc.n, func(at int64, block []byte) {
		want := sums[(pc.in+at-pc.off)/format.SumBlock].Load()
		if bad < 0 && want != format.SumUnknown && format.Sum(block) != want {
			bad = at
		}
	})
	return bad
}

// storeSums makes the checksums those of what was written.
func (st *state) storeSums() {
	for i := range st.pieces {
		pc := &st.pieces[i]
		if pc.place == 0 {
			continue
		}
		if pc.version != failedVersion {
			b := pc.e.blocks.Load()
			first, end := pc.blocks()
			for k := first; k < end; k++ {
				sum := zeroSum
				if st.op.Op == unio.OpWrite {
					sum = st.sums[(pc.off-pc.in)/format.SumBlock+k]
				}
				b.sums[k].Store(sum)
			}
		}
		pc.e.version.Add(1)
	}
}

// badByte returns the first bad byte that an error of a member names, or -1.
func badByte(err error) int64 {
	if e := (*unio.OpError)(nil); errors.As(err, &e) {
		return e.BadByte
	}
	return -1
}
