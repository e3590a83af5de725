package volume

import (
	"sync/atomic"
	"time"

	"github.com/unio-stack/unio"
	"github.com/unio-stack/unio/provider/volume/internal/format"
	"github.com/unio-stack/unio/provider/volume/internal/space"
)

// A state is one operation of a queue, from Submit to Complete. It belongs to
// the queue, under its mutex, except from park until resume: then to the keeper.
type state struct {
	q   *queue
	op  *unio.Op
	vol *volume

	pieces []piece
	vec    [][]byte // the memory of inner requests that have a part of op.Vec
	sums   []uint32 // of the blocks that a write stores
	left   int      // inner requests in flight
	tries  int      // times that a read was found to be wrong

	failed   error // first failure, by place in the operation
	failedAt int64 // bytes from the operation's start

	// held are entries that the keeper has counted the operation as a reader
	// of, so that they are there when it goes on.
	held   []*entry
	parked time.Time
	// canceled asks the keeper to end the operation if it has not begun to
	// carry it out. Set by the queue.
	canceled atomic.Bool
	// done: the keeper has carried the operation out, with err and value.
	done  bool
	err   error
	value int64
}

// A piece is the part of an operation that lies in one page.
type piece struct {
	e       *entry
	off     int64 // in the operation
	n       int64
	in      int64 // in the page
	place   space.Place
	version uint32 // of e when the piece began
	run     int    // of the first piece of an inner request: how many it has
}

// blocks returns which blocks of its page the piece covers.
func (pc *piece) blocks() (first, end int64) {
	return pc.in / format.SumBlock, (pc.in + pc.n + format.SumBlock - 1) / format.SumBlock
}

// weight is how the operation counts as a user of an entry, and gates which
// gates stop it.
func (st *state) weight() int64 {
	if st.op.Op == unio.OpRead {
		return oneReader
	}
	return oneWriter
}

func (st *state) gates() uint32 {
	switch st.op.Op {
	case unio.OpRead:
		return readGates
	case unio.OpWriteZeroes:
		return zeroGates
	}
	return writeGates
}

// reset makes the state ready for its next operation; it keeps its memory.
func (st *state) reset() {
	st.op, st.vol = nil, nil
	clear(st.pieces)
	clear(st.vec)
	clear(st.held)
	st.pieces, st.vec, st.sums, st.held = st.pieces[:0], st.vec[:0], st.sums[:0], st.held[:0]
	st.left, st.tries, st.failed, st.failedAt = 0, 0, nil, 0
	st.done, st.err, st.value = false, nil, 0
	st.canceled.Store(false)
}

// eachBlock calls f with the n bytes at off of the operation's memory, a block
// at a time. Both are multiples of a block, as are the pieces of Vec.
func eachBlock(r *unio.Request, off, n int64, f func(i int64, block []byte)) {
	const size = format.SumBlock
	if r.Vec == nil {
		for i := off; i < off+n; i += size {
			f(i, r.Data[i:i+size])
		}
		return
	}
	at := int64(0)
	for _, p := range r.Vec {
		for len(p) > 0 && at < off+n {
			if at >= off {
				f(at, p[:size])
			}
			p, at = p[size:], at+size
		}
	}
}

// zeroMemory clears n bytes at off of the operation's memory.
func zeroMemory(r *unio.Request, off, n int64) {
	if r.Vec == nil {
		clear(r.Data[off : off+n])
		return
	}
	for _, p := range r.Vec {
		k := int64(len(p))
		if lo, hi := max(off, 0), min(off+n, k); lo < hi {
			clear(p[lo:hi])
		}
		off -= k
	}
}

// cut appends the n bytes of vec from off on to dst.
func cut(dst, vec [][]byte, off, n int64) [][]byte {
	for _, p := range vec {
		k := int64(len(p))
		if lo, hi := max(off, 0), min(off+n, k); lo < hi {
			dst = append(dst, p[lo:hi])
		}
		off -= k
	}
	return dst
}
