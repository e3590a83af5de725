package target

import (
	"errors"
	"fmt"
	"sync"

	"github.com/unio-stack/unio"
	"github.com/unio-stack/unio/provider/rdma"
)

// A lane is a channel to an export's device that its connections share. At most one goroutine is at the channel: whoever
// brings operations and finds nobody there, or the lane's own, which sleeps until something has ended. Nobody waits for it to
// be done: operations that are brought meanwhile are left in the queue, where it looks before it goes.
type lane struct {
	channel *unio.Channel    // immutable
	region  *unio.Region     // immutable
	flushes *flushes         // of the export
	finish  func([]*rdma.IO) // immutable; rdma.Finish
	ended   *sync.Pool       // of *batch
	// handOff leaves the posting to the lane's own goroutine, because it may wait for the medium. Guarded by mu.
	handOff bool
	done    chan struct{} // closed when that goroutine has ended
	quiet   chan struct{} // closed when the lane is revoked and nothing is in flight

	mu      sync.Mutex
	queue   queue  // guarded by mu
	busy    bool   // somebody is at the channel; guarded by mu
	again   bool   // and is to look once more before it goes; guarded by mu
	revoked bool   // guarded by mu
	calm    bool   // quiet is closed; guarded by mu
	closing bool   // run is to return; guarded by mu
	told    counts // as of the last tell, or when somebody last left the channel; guarded by mu

	// What follows is owned by who is at the channel.

	places      []*rdma.IO // in flight, by their request's ID
	free        []uint32   // indexes of places without one
	requests    []unio.Request
	completions [64]unio.Completion
	counts      counts
}

// counts are what a lane has done.
type counts struct {
	Operations   int64 // that have ended
	Failed       int64 // of those
	BytesRead    int64
	BytesWritten int64
	inFlight     int
}

const (
	laneDepth = 256
	// maxRounds is how often one goroutine looks for more to do before it leaves that to the lane's own.
	maxRounds = 32
	// postBatch is how many operations are posted at a time.
	postBatch = 16
	// finishBatch is how many operations are finished at a time.
	finishBatch = 16
)

// A batch is operations that have ended.
type batch struct{ ios []*rdma.IO }

// newLane opens a channel. The caller completes the lane and starts run.
func newLane(r *unio.Region) (*lane, error) {
	d := r.Device()
	depth := min(laneDepth, d.Info().MaxDepth)
	ch, err := d.NewChannel(unio.ChannelConfig{Depth: depth})
	if err != nil {
		return nil, err
	}
	l := &lane{
		channel: ch, region: r, done: make(chan struct{}), quiet: make(chan struct{}),
		places: make([]*rdma.IO, depth), free: make([]uint32, depth), requests: make([]unio.Request, 0, depth),
	}
	for i := range l.free {
		l.free[i] = uint32(depth - 1 - i)
	}
	return l, nil
}

// start takes operations, which end by finish.
func (l *lane) start(ios []*rdma.IO) {
	l.mu.Lock()
	for _, io := range ios {
		if io.Op == unio.OpFlush {
			if io = l.flushes.join(io); io == nil {
				continue
			}
		}
		l.queue.push(io)
	}
	wake := l.handOff && !l.revoked
	mine := !wake && l.approach()
	l.mu.Unlock()
	switch {
	case mine:
		l.work()
	case wake:
		l.channel.Wake()
	}
}

// run is the lane's own goroutine: it sees to what ends while nobody brings anything.
func (l *lane) run() {
	defer close(l.done)
	for {
		l.channel.Sleep()
		l.mu.Lock()
		if l.closing {
			l.mu.Unlock()
			return
		}
		mine := l.approach()
		l.mu.Unlock()
		if mine {
			l.work()
		}
	}
}

// poll finishes what has ended, and reports whether anything had.
func (l *lane) poll() bool {
	l.mu.Lock()
	mine := !l.busy && l.approach()
	l.mu.Unlock()
	return mine && l.work() > 0
}

// approach reports whether the caller is at the channel now. If not, somebody is, and will look once more. mu is held.
func (l *lane) approach() (mine bool) {
	if l.busy {
		l.again = true
		return false
	}
	l.busy = true
	return true
}

// work posts what is in the queue, takes what has ended and finishes it. So that the medium has something to do meanwhile, that
// is done a few at a time, between which what they have led to is posted. It returns how many operations those were.
func (l *lane) work() (ended int) {
	b := l.ended.Get().(*batch)
	for round := 0; ; round++ {
		l.post(b)
		l.reap(b)
		if len(b.ios) > 0 {
			l.tell() // before anybody knows that they have ended
		}
		for at := 0; at < len(b.ios); {
			n := min(len(b.ios)-at, finishBatch)
			l.finish(b.ios[at : at+n])
			if at += n; at < len(b.ios) {
				l.post(b)
			}
		}
		ended += len(b.ios)
		clear(b.ios)
		b.ios = b.ios[:0]
		if !l.leave(round) {
			break
		}
	}
	l.ended.Put(b)
	return ended
}

// tell updates what is told of the lane.
func (l *lane) tell() {
	l.mu.Lock()
	l.counts.inFlight = len(l.places) - len(l.free)
	l.told = l.counts
	l.mu.Unlock()
}

// post posts some of what is in the queue, as far as there are places.
func (l *lane) post(b *batch) {
	l.mu.Lock()
	refuses := l.revoked
	for !refuses && l.queue.len() > 0 && len(l.free) > 0 && len(l.requests) < postBatch {
		l.requests = append(l.requests, l.place(l.queue.pop()))
	}
	l.mu.Unlock()
	if refuses {
		l.refuse(b)
	}
	left := l.requests
	for len(left) > 0 {
		n, err := l.channel.Post(left...)
		if n == len(left) {
			break
		}
		io := l.vacate(left[n].ID)
		io.Err = err
		l.end(io, b)
		left = left[n+1:]
	}
	clear(l.requests)
	l.requests = l.requests[:0]
}

// refuse ends what is in the queue of a lane that was revoked.
func (l *lane) refuse(b *batch) {
	for {
		l.mu.Lock()
		if l.queue.len() == 0 {
			l.mu.Unlock()
			return
		}
		io := l.queue.pop()
		l.mu.Unlock()
		io.Err = errRevoked
		l.end(io, b) // which may put a flush into the queue
	}
}

// errRevoked is what becomes of operations on an export that is no more.
var errRevoked = fmt.Errorf("%w: the export was removed", unio.ErrRevoked)

// place gives an operation a place, and returns the request for it.
func (l *lane) place(io *rdma.IO) unio.Request {
	i := l.free[len(l.free)-1]
	l.free = l.free[:len(l.free)-1]
	l.places[i] = io
	q := unio.Request{
		ID: uint64(i), Op: io.Op, Region: l.region, Offset: io.Offset,
		Compare: io.Compare, Swap: io.Swap,
	}
	switch {
	case io.Op == unio.OpDiscard, io.Op == unio.OpWriteZeroes:
		q.Length = io.Length
	case len(io.Data) == 1:
		q.Data = io.Data[0]
	case len(io.Data) > 1:
		q.Vec = io.Data
	}
	return q
}

func (l *lane) vacate(place uint64) *rdma.IO {
	io := l.places[place]
	l.places[place] = nil
	l.free = append(l.free, uint32(place))
	return io
}

// reap takes what has ended.
func (l *lane) reap(b *batch) {
	for {
		n := l.channel.Poll(l.completions[:])
		for i := range n {
			c := &l.completions[i]
			io := l.vacate(c.ID)
			io.Value, io.Err = c.Value, c.Err
			if errors.Is(c.Err, unio.ErrCanceled) && l.isRevoked() {
				io.Err = errRevoked // which is why
			}
			l.end(io, b)
			c.Err = nil
		}
		if n < len(l.completions) {
			return
		}
	}
}

func (l *lane) isRevoked() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.revoked
}

// end adds an operation to those that have ended.
func (l *lane) end(io *rdma.IO, b *batch) {
	l.counts.add(io)
	if io.Op != unio.OpFlush {
		b.ios = append(b.ios, io)
		return
	}
	if b.ios, io = l.flushes.ended(b.ios); io != nil {
		l.mu.Lock()
		l.queue.push(io)
		l.mu.Unlock()
	}
}

func (n *counts) add(io *rdma.IO) {
	n.Operations++
	switch {
	case io.Err != nil:
		n.Failed++
	case io.Op == unio.OpRead:
		n.BytesRead += io.Length
	case io.Op == unio.OpWrite:
		n.BytesWritten += io.Length
	}
}

// leave ends the caller's being at the channel, and returns false; or, if there is more to do, it does not and returns true.
func (l *lane) leave(round int) (more bool) {
	l.mu.Lock()
	more = l.again || l.queue.len() > 0 && (l.revoked || len(l.free) > 0)
	if more && round < maxRounds {
		l.again = false
		l.mu.Unlock()
		return true
	}
	l.counts.inFlight = len(l.places) - len(l.free)
	l.told = l.counts
	l.busy, l.again = false, false
	if l.revoked && !l.calm && !more && l.counts.inFlight == 0 {
		l.calm = true
		close(l.quiet)
	}
	l.mu.Unlock()
	if more {
		l.channel.Wake()
	}
	return false
}

// revoke ends the lane: what is in flight is cancelled, what comes later fails with [unio.ErrRevoked]. It returns when
// nothing is in flight and the channel is closed.
func (l *lane) revoke() error {
	l.mu.Lock()
	l.revoked = true
	mine := l.approach()
	l.mu.Unlock()
	l.channel.CancelAll()
	if mine {
		l.work()
	}
	<-l.quiet
	l.mu.Lock()
	l.closing = true
	l.mu.Unlock()
	l.channel.Wake()
	<-l.done
	return l.channel.Close()
}

// stats returns what the lane has done, and how many operations are in its queue.
func (l *lane) stats() (counts, int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.told, l.queue.len()
}
