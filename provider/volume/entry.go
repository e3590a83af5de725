package volume

import (
	"math/bits"
	"sync/atomic"

	"github.com/unio-stack/unio/provider/volume/internal/format"
	"github.com/unio-stack/unio/provider/volume/internal/space"
	"github.com/unio-stack/unio/provider/volume/internal/table"
)

// An entry is an active translation: where a page of a volume is, and what has
// to be known to use it. Queues use entries, and only the keeper changes them.
//
// A request first counts itself as a user and then looks at the gates; the
// keeper first shuts a gate and then looks at the users. One of the two sees
// the other.
type entry struct {
	key table.Key // immutable
	// seen is one more than version was when the keeper last looked, which
	// guards it.
	seen uint32
	// resident says that the medium has checksums of the page; immutable.
	resident bool
	// dirty says that only the entry has them; guarded by the keeper, in whose
	// resting it is then.
	dirty bool

	users   atomic.Int64  // readers in the low half, writers in the high half
	gates   atomic.Uint32 // a gate set stops whom it is for
	touched atomic.Bool   // since CLOCK last came by
	place   atomic.Int64  // space.Place; 0: a hole

	// What follows is for checksums; nil without them and for holes.

	version atomic.Uint32 // changes with every write that ends
	blocks  atomic.Pointer[blockChecksums]
}

// Gates. Who is stopped hands his request to the keeper.
const (
	gateGone  uint32 = 1 << iota // the entry is in the table no more
	gateShut                     // the keeper has the page to itself
	gateLog                      // the log has bytes of the page, or is about to
	gateClean                    // the checksums on the medium are valid
	gateHole                     // the page has no extent

	readGates  = gateGone | gateShut
	writeGates = readGates | gateLog | gateClean | gateHole
	zeroGates  = writeGates &^ gateHole // zeroes need no extent

	oneReader int64 = 1
	oneWriter int64 = 1 << 32
)

// enter counts a user unless a gate stops it.
func (e *entry) enter(weight int64, gates uint32) bool {
	e.users.Add(weight)
	if e.gates.Load()&gates != 0 {
		e.users.Add(-weight)
		return false
	}
	if !e.touched.Load() {
		e.touched.Store(true)
	}
	return true
}

func (e *entry) leave(weight int64) { e.users.Add(-weight) }

// idle reports whether nobody uses the entry; quiet, whether nobody writes.
func (e *entry) idle() bool  { return e.users.Load() == 0 }
func (e *entry) quiet() bool { return e.users.Load() < oneWriter }

func (e *entry) shut(gate uint32) { e.gates.Or(gate) }
func (e *entry) open(gate uint32) { e.gates.And(^gate) }

// at returns where the page is.
func (e *entry) at() space.Place { return space.Place(e.place.Load()) }

// Key implements table.Entry.
func (e *entry) Key() table.Key { return e.key }

// Touched implements table.Entry.
func (e *entry) Touched() bool { return e.touched.Swap(false) }

// Retire implements table.Entry. Called by the keeper. What is dirty, or in the
// log, stays: only the entry knows.
func (e *entry) Retire() bool {
	if e.dirty || e.gates.Load()&(gateShut|gateLog) != 0 {
		return false
	}
	e.shut(gateGone)
	if e.idle() {
		return true
	}
	e.open(gateGone)
	return false
}

// blockChecksums are the checksums of an extent, and which of its blocks are
// being written. Those of a block change while it is being written, by who does.
type blockChecksums struct {
	busy []atomic.Uint64 // a bit for each block
	sums []atomic.Uint32
}

func newBlockChecksums(n int64) *blockChecksums {
	return &blockChecksums{busy: make([]atomic.Uint64, (n+63)/64), sums: make([]atomic.Uint32, n)}
}

// mask returns the bits of word w that blocks [first, end) have.
func mask(w, first, end int64) uint64 {
	lo, hi := max(first, w*64)-w*64, min(end, w*64+64)-w*64
	return ^uint64(0) << lo & (^uint64(0) >> (64 - hi))
}

// claim marks blocks as being written, unless one of them is.
func (b *blockChecksums) claim(first, end int64) bool {
	for w := first / 64; w*64 < end; w++ {
		m := mask(w, first, end)
		if old := b.busy[w].Or(m); old&m != 0 {
			b.busy[w].And(^(m &^ old))
			b.release(first, min(end, w*64))
			return false
		}
	}
	return true
}

// release ends the writing of blocks.
func (b *blockChecksums) release(first, end int64) {
	for w := first / 64; w*64 < end; w++ {
		b.busy[w].And(^mask(w, first, end))
	}
}

// written reports whether one of the blocks is being written.
func (b *blockChecksums) written(first, end int64) bool {
	for w := first / 64; w*64 < end; w++ {
		if b.busy[w].Load()&mask(w, first, end) != 0 {
			return true
		}
	}
	return false
}

// encode returns the checksums as they are on the medium.
func (b *blockChecksums) encode(p []byte) {
	for i := range b.sums {
		putSum(p[4*i:], b.sums[i].Load())
	}
}

func (b *blockChecksums) decode(p []byte) {
	for i := range b.sums {
		b.sums[i].Store(getSum(p[4*i:]))
	}
}

func (b *blockChecksums) fill(sum uint32) {
	for i := range b.sums {
		b.sums[i].Store(sum)
	}
}

func putSum(p []byte, s uint32) {
	p[0], p[1], p[2], p[3] = byte(s), byte(s>>8), byte(s>>16), byte(s>>24)
}

func getSum(p []byte) uint32 {
	return uint32(p[0]) | uint32(p[1])<<8 | uint32(p[2])<<16 | uint32(p[3])<<24
}

const sumBlock = format.SumBlock

// zeroSum is the checksum of a block of zeroes.
var zeroSum = format.Sum(make([]byte, format.SumBlock))

// pageShift returns how far to shift an offset to get its page.
func pageShift(extent int64) uint { return uint(bits.TrailingZeros64(uint64(extent))) }
