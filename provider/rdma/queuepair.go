package rdma

import (
	"net"
	"sync"
	"time"

	"github.com/unio-stack/unio"
	"github.com/unio-stack/unio/internal/iwarp"
)

// A queuePair is one connection: the RDMAP stream on its socket, what we have asked of the peer, and what the peer has
// asked of us. It is the Queue of its channel. Whoever holds mu moves it on: the channel's owner, or the Domain's watcher
// when nobody polls.
type queuePair struct {
	domain    *Domain       // immutable
	local     net.Addr      // immutable
	remote    net.Addr      // immutable
	peer      PeerInfo      // immutable
	sink      uint32        // STag of what our Reads are answered into; nobody else may write there; immutable
	page      controlPage   // STags of ours and of the peer's; immutable but for its content, which mu guards
	alive     time.Duration // see Config.KeepAlive; immutable
	initiator bool          // immutable
	longest   int           // Config.MaxMessage; immutable

	// exposures are what this peer alone may reach. Guarded by domain.mu.
	exposures map[*Exposure]struct{}

	wakeUp chan struct{} // holds a token while Sleep is to return
	ended  chan struct{} // closed when the connection has ended

	mu        sync.Mutex // guards all below; taken after none, held during no wait
	wire      transport
	stream    *iwarp.Stream
	out       *outbox // nil while there is nothing to write
	finished  ring[result]
	own       requests
	answers   ring[answer]
	answering *Exposure // whose memory the answer under way is; nil without one
	in        receives
	served    *served           // nil unless a Store is served here; the pointer is immutable
	agreed    bool              // both ends know of statuses and commands; immutable
	home      *Key              // the region that the peer serves us; nil otherwise; immutable
	capsule   [commandSize]byte // the command or reply that is coming
	lookup    *Exposure         // the last one that the peer named
	failure   *failure          // why the connection has ended; set once
	goodbye   farewell
	watch     watch
	silence   silence
	unwanted  []byte // see drain; nil until it is needed
	counts    unio.Counters
	// watcherEnds is closed when the watcher has ended, if this was its last connection. Set before ended is closed.
	watcherEnds <-chan struct{}
	keep        func(*unio.Op, error) bool // takes an operation that is not to fail yet; nil: none is; immutable
	observe     func(*unio.Op)             // is told of what succeeds, before the channel is; nil if nobody is; immutable
	onEnd       func()                     // called when ended is closed, with mu held; nil if nobody wants to know
	report      func(error)                // to the Device; nil until there is one
	sleeping    bool                       // the owner is in Sleep
	reaps       uint32
	vain        uint32 // calls of Reap since something came
}

// A result is how an operation has ended, until its channel asks.
type result struct {
	op    *unio.Op
	n     int64
	err   error
	value uint64
	flags unio.Flags
}

// end notes how an operation has ended; nothing here touches its memory any more.
func (q *queuePair) end(op *unio.Op, n int64, err error) {
	q.finished.push(result{op: op, n: n, err: err})
}

// Submit implements unio.Queue.
func (q *queuePair) Submit(ops []*unio.Op) {
	q.mu.Lock()
	q.in.quiet = true
	for _, op := range ops {
		q.in.quiet = q.in.quiet && op.Op == unio.OpRecv
		q.accept(op)
	}
	q.transmit()
	q.in.quiet = false
	q.goOn()
	q.harvest()
	q.release()
}

func (q *queuePair) accept(op *unio.Op) {
	switch {
	case q.failure != nil:
		q.end(op, 0, q.failure.of(op, q))
	case op.Op == unio.OpRecv:
		q.post(op)
	default:
		q.own.work.push(op)
	}
}

// Reap implements unio.Queue: it reads the socket, once, so that what has ended can be posted anew while more comes.
func (q *queuePair) Reap() {
	q.mu.Lock()
	q.reaps++
	q.in.quiet = true
	if q.read(1) {
		q.vain = 0
	} else if q.vain++; q.out != nil || q.vain%tellAfter == 0 {
		q.in.quiet = false
		q.transmit()
	}
	q.in.quiet = false
	q.harvest()
	q.release()
}

// tellAfter calls of Reap in vain the owner is not likely any more to send something soon.
const tellAfter = 32

// failed reports whether the connection has ended.
func (q *queuePair) failed() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.failure != nil
}

// progress reads what has come, acts on it, and writes what is due. It reports whether anything came.
func (q *queuePair) progress(turns int) (came bool) {
	if came = q.read(turns); !came {
		q.transmit()
	}
	return came
}

// read reads what has come, acts on it, and writes what is due then, in turns, so that the peer has something to do before all of
// what it sent has been looked at. It reports whether anything came.
func (q *queuePair) read(turns int) (came bool) {
	if q.failure != nil {
		q.part()
		return false
	}
	for more := true; more && (turns > 0 || q.wire.buffered()); turns-- {
		var some bool
		if some, more = q.receive(); some {
			came = true
			q.transmit()
		}
	}
	return came
}

// harvest hands finished operations to the channel. Called by its owner.
func (q *queuePair) harvest() {
	for q.finished.len() > 0 {
		r := q.finished.pop()
		switch {
		case r.err != nil && q.keep != nil && q.keep(r.op, r.err):
		case r.err != nil:
			r.op.Complete(r.n, r.err)
		case r.op.Op == unio.OpRecv:
			r.op.CompleteMessage(r.n, r.flags, r.value)
		case r.op.Op == unio.OpCompareSwap, r.op.Op == unio.OpFetchAdd:
			if q.observe != nil {
				q.observe(r.op)
			}
			r.op.CompleteWord(r.value)
		default:
			if q.observe != nil {
				q.observe(r.op)
			}
			r.op.Complete(r.op.Size(), nil)
		}
	}
}

// Sleep implements unio.Queue.
func (q *queuePair) Sleep() {
	q.mu.Lock()
	if q.finished.len() > 0 {
		q.mu.Unlock()
		return
	}
	q.sleeping = true
	q.transmit()
	q.attend()
	q.mu.Unlock()
	<-q.wakeUp
	q.mu.Lock()
	q.sleeping = false
	q.mu.Unlock()
}

// Wake implements unio.Queue.
func (q *queuePair) Wake() {
	select {
	case q.wakeUp <- struct{}{}:
	default:
	}
}

// rouse wakes the owner if it sleeps and there is something for it.
func (q *queuePair) rouse() {
	if q.sleeping && q.finished.len() > 0 {
		q.Wake()
	}
}

// Counters implements unio.Queue.
func (q *queuePair) Counters() unio.Counters {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.counts
}

// Close implements unio.Queue: it says goodbye to the peer, and returns when the socket is closed.
func (q *queuePair) Close() error {
	q.mu.Lock()
	if q.failure == nil {
		q.fail(q.closedHere())
	}
	q.release()
	<-q.ended
	if q.watcherEnds != nil {
		<-q.watcherEnds
	}
	return nil
}
