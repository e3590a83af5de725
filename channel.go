package unio

import (
	"fmt"
	"sync"
	"sync/atomic"
	"time"
)

// ChannelConfig configures a channel. The zero value works.
type ChannelConfig struct {
	// Depth is how many requests the channel holds at most, from Post until
	// Poll or Wait has returned their completions. Default 64.
	Depth int
	// NoCopy refuses requests whose bytes would have to be copied on the way
	// (alignment, ragged ends) with ErrUnsupported, instead of counting them.
	NoCopy bool
	// Pinned promises that one goroutine, locked to its OS thread
	// (runtime.LockOSThread), makes every call of NewChannel, Post, Poll, Wait
	// and Do. It is cheaper where the device can use it; Wait then sleeps on
	// that thread. Nobody else can reap for that goroutine: while requests are
	// in flight, a Close of the channel or of a region they name, made
	// elsewhere, waits until it polls.
	Pinned bool
	// Spin bounds how long Wait polls before it sleeps: 0 adapts to what has
	// paid lately, at most 50 µs; a positive time is used as it is; a negative
	// one never polls.
	Spin time.Duration
}

const (
	defaultDepth    = 64
	maxChannelDepth = 1 << 20
)

// A Channel is a private pair of queues to a device: requests in, completions
// out. It has one owner at a time: Post, Poll, Wait and Do must not run
// concurrently, and fail with [ErrBusy] (Poll: return 0) if they do. Cancel,
// Close and Stats may be called from any goroutine.
type Channel struct {
	dev *Device       // immutable
	q   Queue         // immutable
	cfg ChannelConfig // immutable

	// token is held while anything below it is touched.
	token atomic.Uint32
	// waiting keeps Close from closing the queue while a goroutine that does
	// not wait in Wait or Do may sleep on it.
	waiting atomic.Bool

	ops      []*Op    // as many as have been in use at a time; op i has tag i and stays where it is
	free     []uint32 // tags of unused ops
	batch    []*Op    // to be submitted by the next pump
	finished []*Op    // completed by the queue, not settled yet
	ready    fifo     // ended, to be delivered
	held     []*Op    // ended, behind a Silent request in flight
	silent   silentList
	fences   fifo     // opFenced, in order
	epochs   []uint32 // requests in flight per epoch; length a power of two
	oldest   uint32   // first epoch with requests in flight
	epoch    uint32   // current epoch
	seq      uint64   // requests posted
	locking  int      // requests in state opLocking
	assists  assistPool
	counts   counts
	misuse   atomic.Int64
	thread   int // that a pinned channel belongs to; immutable

	// attention says that mu guards something for the owner to attend to.
	attention atomic.Bool
	mu        sync.Mutex
	cancels   []cancelOrder // guarded by mu
	resumed   []*Op         // granted a range; guarded by mu
	attending []*Op         // what resumed was at the last attend, for its memory
	closed    bool          // guarded by mu; no Wake after it is set
	closing   atomic.Bool   // no Post after it is set
	done      chan struct{} // closed when Close is through

	spin    spinner     // touched by the owner's Wait and Do only
	ctxWake contextWake // likewise
	rescan  *time.Timer // likewise; nil until a sleep needs it
}

func newChannel(dev *Device, cfg ChannelConfig) (*Channel, error) {
	if cfg.Depth == 0 {
		cfg.Depth = min(defaultDepth, dev.info.MaxDepth)
	}
	if limit := min(dev.info.MaxDepth, maxChannelDepth); cfg.Depth < 0 || cfg.Depth > limit {
		return nil, fmt.Errorf("channel of depth %d on %s: %w: depth is 1 to %d",
			cfg.Depth, dev.info.Name, ErrInvalid, limit)
	}
	q, err := dev.p.NewQueue(QueueConfig{Depth: cfg.Depth, Pinned: cfg.Pinned})
	if err != nil {
		return nil, fmt.Errorf("channel on %s: %w", dev.info.Name, err)
	}
	c := &Channel{
		dev: dev, q: q, cfg: cfg,
		epochs: make([]uint32, ceilPow2(min(cfg.Depth+1, minPlaces))),
		spin:   spinner{fixed: cfg.Spin},
		thread: threadID(),
		done:   make(chan struct{}),
	}
	c.assists.limit = min(cfg.Depth, maxBounces)
	return c, nil
}

// Device returns the channel's device.
func (c *Channel) Device() *Device { return c.dev }

// Depth returns how many requests the channel holds at most.
func (c *Channel) Depth() int { return c.cfg.Depth }

// Post starts requests, in one batch, and returns how many it accepted: the
// first n. It never waits for the device. err says why request n was not
// accepted: [ErrFull] when the channel holds Depth requests, [ErrClosed],
// [ErrBusy], or an *OpError that describes the request. The first n are
// posted whatever err is.
func (c *Channel) Post(reqs ...Request) (n int, err error) {
	if err := c.enter(); err != nil {
		return 0, err
	}
	n, err = c.post(reqs)
	c.leave()
	return n, err
}

// Poll reaps completions into done, without waiting and in the caller's own
// context, and returns how many. After Close it returns what is left.
func (c *Channel) Poll(done []Completion) int {
	if c.enter() != nil {
		return 0
	}
	n := c.poll(done)
	c.leave()
	return n
}

func (c *Channel) post(reqs []Request) (n int, err error) {
	if c.closing.Load() {
		return 0, c.errClosed()
	}
	if c.attention.Load() {
		c.attend()
	}
	for n < len(reqs) {
		r := &reqs[n]
		if !c.room(r) {
			err = ErrFull
			break
		}
		if err = r.check(c.dev, c.cfg.NoCopy); err != nil {
			c.dev.log.add(err)
			break
		}
		c.admit(r, false)
		n++
	}
	c.pump()
	return n, err
}

func (c *Channel) poll(done []Completion) int {
	if c.ready.len() < len(done) {
		c.reap()
		if c.locking > 0 {
			c.dev.helpOthers(c)
		}
	}
	return c.deliver(done)
}

// reap settles what the device has finished.
func (c *Channel) reap() {
	if c.attention.Load() {
		c.attend()
	}
	if c.inFlight() == 0 || c.closed {
		return
	}
	c.q.Reap()
	c.pump()
}

// room reports whether r can be admitted now. It makes room of what ended
// Silent requests take up.
func (c *Channel) room(r *Request) bool {
	if len(c.free) == 0 && !c.grow() {
		if c.silent.first == nil {
			return false
		}
		c.pump()
		c.reap()
	}
	return len(c.free) > 0 && (r.Flags&Fence == 0 || c.roomForFence())
}

// grow makes places for more requests at a time than there have been so far, so that a channel at rest is small. It
// reports false if there are Depth.
func (c *Channel) grow() bool {
	have := len(c.ops)
	places := make([]Op, min(max(have, minPlaces), c.cfg.Depth-have))
	for i := range places {
		op := &places[len(places)-1-i]
		op.ch, op.tag = c, uint32(have+len(places)-1-i)
		c.free = append(c.free, op.tag)
	}
	for i := range places {
		c.ops = append(c.ops, &places[i])
	}
	c.ready.reserve(len(c.ops))
	c.fences.reserve(len(c.ops))
	return len(places) > 0
}

// minPlaces is how many a channel begins with.
const minPlaces = 8

// roomForFence reports whether there is an epoch for one more fence. Depth has
// them for all but fences that were cancelled while they waited; those use
// theirs up until what they waited for has ended.
func (c *Channel) roomForFence() bool {
	c.advanceEpoch()
	return int(c.epoch-c.oldest) < len(c.epochs)-1 || c.growEpochs()
}

// growEpochs makes room for more epochs, and reports false if there is enough for Depth.
func (c *Channel) growEpochs() bool {
	have := len(c.epochs)
	if have >= ceilPow2(c.cfg.Depth+1) {
		return false
	}
	epochs := make([]uint32, 2*have)
	for e := c.oldest; e != c.epoch+1; e++ {
		epochs[e&uint32(2*have-1)] = c.epochs[e&uint32(have-1)]
	}
	c.epochs = epochs
	return true
}

// admit gives a checked request a place and starts it as soon as its fence lets it.
func (c *Channel) admit(r *Request, sync bool) *Op {
	op := c.ops[c.free[len(c.free)-1]]
	c.free = c.free[:len(c.free)-1]
	op.Request = *r
	op.sync = sync
	op.length = r.size()
	op.seq = c.seq
	c.seq++
	if r.Op == OpRecv { // a queue of its own: Fence and Silent do not concern it
		c.submit(op)
		return op
	}
	if r.Flags&Silent != 0 {
		c.silent.push(op)
	}
	if r.Flags&Fence != 0 {
		c.epoch++
	}
	op.epoch = c.epoch
	c.epochs[c.epoch&uint32(len(c.epochs)-1)]++
	c.advanceEpoch()
	if r.Flags&Fence != 0 && c.oldest != op.epoch {
		op.state = opFenced
		c.fences.push(op.tag)
		return op
	}
	c.start(op)
	return op
}

// start begins an operation that no fence holds back.
func (c *Channel) start(op *Op) {
	if !c.dev.direct(&op.Request, op.length) {
		c.assist(op)
		return
	}
	if op.Op.mutates() {
		if l := op.Region.store.locks; l != nil && !c.share(l, op) {
			return
		}
	}
	c.submit(op)
}

// share takes op's range for a plain mutation. The state is set first: as soon
// as op is queued, a release on another channel may resume it.
func (c *Channel) share(l *rangeLock, op *Op) bool {
	op.state = opLocking
	if l.share(op) {
		return true
	}
	c.locking++
	return false
}

func (c *Channel) submit(op *Op) {
	op.state = opActive
	c.batch = append(c.batch, op)
}

// pump submits what is waiting and settles what is finished, until neither
// leads to more of the other.
func (c *Channel) pump() {
	for {
		if len(c.batch) > 0 {
			c.q.Submit(c.batch)
			c.counts.doorbells++
			c.batch = c.batch[:0]
		}
		if len(c.finished) == 0 {
			return
		}
		for i := 0; i < len(c.finished); i++ {
			c.settle(c.finished[i])
		}
		c.finished = c.finished[:0]
	}
}

// settle takes an operation back from the queue.
func (c *Channel) settle(op *Op) {
	switch {
	case op.assist != nil:
		c.step(op)
	case op.err == nil && op.n < op.length && op.Op != OpRecv:
		c.resumeShort(op)
	default:
		c.end(op)
	}
}

// end gives a request its completion: op.n, op.value and op.err are final and
// nothing below touches its memory any more.
func (c *Channel) end(op *Op) {
	if op.lock != unlocked {
		op.Region.store.locks.release(op)
	}
	if op.assist != nil {
		c.dropAssist(op)
	}
	if op.err != nil {
		c.fail(op)
	} else if op.Op.isAtomic() {
		op.putWord(op.value)
	}
	c.counts.ended(op)
	if op.Op == OpRecv {
		c.deliverable(op)
		return
	}
	c.epochs[op.epoch&uint32(len(c.epochs)-1)]--
	if c.fences.len() > 0 {
		c.advanceEpoch()
		c.passFences()
	}
	if c.silent.first != nil {
		c.retireSilent(op)
		return
	}
	c.deliverable(op)
}

// advanceEpoch moves oldest to the first epoch with requests in flight.
func (c *Channel) advanceEpoch() {
	for c.oldest != c.epoch && c.epochs[c.oldest&uint32(len(c.epochs)-1)] == 0 {
		c.oldest++
	}
}

// passFences starts the fenced requests that nothing posted earlier precedes.
func (c *Channel) passFences() {
	for c.fences.len() > 0 {
		op := c.ops[c.fences.peek()]
		if op.epoch != c.oldest {
			return
		}
		c.fences.pop()
		c.start(op)
	}
}

// deliverable makes an ended request's completion available to Poll, or Do.
func (c *Channel) deliverable(op *Op) {
	op.state = opEnded
	if !op.sync {
		c.ready.push(op.tag)
	}
}

// deliver hands out completions and frees their places.
func (c *Channel) deliver(done []Completion) int {
	n := min(len(done), c.ready.len())
	for i := range n {
		op := c.ops[c.ready.pop()]
		d := &done[i]
		d.ID, d.N, d.Value, d.Err, d.Flags = op.ID, op.n, op.value, op.err, 0
		if op.Op == OpRecv {
			d.Flags = op.Flags
		}
		c.release(op)
	}
	return n
}

// release frees an op's place, and its hold on the caller's memory.
func (c *Channel) release(op *Op) {
	op.Request = Request{}
	op.err, op.n, op.value = nil, 0, 0
	op.state, op.sync, op.abort = opFree, false, false
	c.free = append(c.free, op.tag)
}

// inFlight is the number of requests whose completion is not yet deliverable.
func (c *Channel) inFlight() int {
	return len(c.ops) - len(c.free) - c.ready.len()
}
