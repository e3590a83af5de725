package rdma

import (
	"sync"

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
	// scheduler's slot is held for as long as TCP takes to copy them, some 80 µs.
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

// spareSize is how many octets of exposed memory are copied before they are written, with CRCs: others may change them
// between the CRC and the write.
const spareSize = 256 << 10

// provide makes sure that there is memory for that.
func (o *outbox) provide() {
	if o.spare == nil {
		o.spare = make([]byte, spareSize)
		o.batch.SetSpare(o.spare)
	}
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
	batches           sync.Pool // of *batch
}

func (s *scratch) outbox() *outbox {
	if o, ok := s.outboxes.Get().(*outbox); ok {
		return o
	}
	return newOutbox()
}

func (s *scratch) inbox() *inbox {
	if b, ok := s.inboxes.Get().(*inbox); ok {
		return b
	}
	return new(inbox)
}
