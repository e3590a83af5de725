package rdma

import (
	"sync"
	"sync/atomic"

	"github.com/unio-stack/unio/internal/iwarp"
)

// A transport carries octets both ways without ever waiting. One caller at a time.
type transport interface {
	// read reads into head and then into tail, and returns errAgain when nothing has come, io.EOF at the end.
	read(head, tail []byte) (int, error)
	// write returns how many octets of the batch it has taken: less than all where more would have to wait.
	write(o *outbox) (int, error)
	// flush reports whether all that was taken has left.
	flush() (bool, error)
	// buffered reports whether read may have something that the descriptor does not show.
	buffered() bool
	// descriptor is what to wait on.
	descriptor() int
	// taken is how many octets the peer's TCP has acknowledged, and whether more are on their way.
	taken() (octets uint64, more bool)
	// finish says that nothing more will be written.
	finish()
	close() error
}

// errAgain is what read returns when nothing has come. TLS takes it for a net.Error after which it can go on.
var errAgain error = again{}

type again struct{}

func (again) Error() string   { return "nothing has come" }
func (again) Timeout() bool   { return true }
func (again) Temporary() bool { return true }

const (
	// maxPieces of one write: Linux takes 1024.
	maxPieces = 256
	arenaSize = 16 << 10
	// shortBatch is how many octets are written at a time where messages are shorter than that: so the peer has something to do
	// while we are at the next ones.
	shortBatch = 64 << 10
	// maxBatch is how many octets of payload are named before they are written; what a cancelled request has to copy. The
	// scheduler's slot is held for as long as TCP takes to copy them.
	maxBatch = 512 << 10
	// copyLimit is up to how many octets payload is copied next to its header, which is cheaper than a piece of its own.
	copyLimit = 256
	// inboxSize is how many octets are read at a time beyond what has its place.
	inboxSize = 64 << 10
)

// An outbox is what is needed to write a batch. A connection has one only while it has something to write.
type outbox struct {
	batch *iwarp.Batch
	gather
	arena [arenaSize]byte
	vec   [maxPieces][]byte
	spare []byte // see provide; nil until it is needed
}

// Exposed memory is copied before it is written, with CRCs: others may change it between the CRC and the write. As many octets as
// a batch has are, at a time, where messages are long and few connections write; where messages are short, or many write, or their
// peers do not read, as many as an FPDU has.
const (
	largeSpare  = maxBatch
	smallSpare  = 64 << 10
	largeSpares = 32
)

// provide makes sure that there is memory for that.
func (o *outbox) provide(large bool) {
	size := smallSpare
	if large {
		size = largeSpare
	}
	if len(o.spare) < size {
		o.spare = make([]byte, size)
	}
	o.batch.SetSpare(o.spare)
}

func newOutbox() *outbox {
	o := &outbox{}
	o.batch, _ = iwarp.NewBatch(o.arena[:], o.vec[:0]) // both are large enough
	o.batch.SetCopyLimit(copyLimit)
	return o
}

// An inbox is memory to read into what has no place yet. It is empty between two reads: whoever reads borrows one.
type inbox [inboxSize]byte

// scratch lends outboxes and inboxes, so that connections at rest have none.
type scratch struct {
	outboxes, inboxes sync.Pool
	lent              atomic.Int32 // outboxes
	batches           sync.Pool    // of *batch
}

// outbox lends an outbox; with CRCs there is to be memory for what may change, in messages that are long or not.
func (s *scratch) outbox(crc, long bool) *outbox {
	o, ok := s.outboxes.Get().(*outbox)
	if !ok {
		o = newOutbox()
	}
	if lent := s.lent.Add(1); crc {
		o.provide(long && lent <= largeSpares)
	}
	return o
}

// putOutbox takes an empty outbox back.
func (s *scratch) putOutbox(o *outbox) {
	s.lent.Add(-1)
	s.outboxes.Put(o)
}

func (s *scratch) inbox() *inbox {
	if b, ok := s.inboxes.Get().(*inbox); ok {
		return b
	}
	return new(inbox)
}
