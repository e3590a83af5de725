package unio

import (
	"runtime"
	"sync/atomic"
)

// A lane is one channel of a File and the calls that share it. The channel's
// token is the lane's lock. Nobody blocks on it: a caller that finds it taken
// leaves its call in arrivals, and whoever gives the token back looks there
// afterwards. So nothing is left behind:
//
//   - a caller first pushes its call, then looks whether somebody will see to
//     it (awake, or a holder of the token);
//   - who is no longer awake first says so, and a holder first gives the token
//     back; then they look at arrivals.
//
// While requests are in flight, one of the waiting calls is the leader. It
// alone sleeps on the channel (file_lead.go).
type lane struct {
	file *File
	ch   *Channel // immutable once the lane is counted in File.open

	arrivals atomic.Pointer[call] // last one first
	gathered atomic.Int32         // about how many arrivals there are
	awake    atomic.Int32         // how many goroutines will look at arrivals soon
	wanted   atomic.Bool          // the leader waits for the token
	load     atomic.Int32         // inFlight as of when the token was last free

	// What follows is guarded by the token.

	parts    []*part   // in flight, by tag
	inFlight int       // how many
	backlog  callQueue // with parts to be posted, in order of arrival
	leader   *call     // not nil while parts are in flight
	holder   *call     // the call of the goroutine that holds the token, where it has one
	woken    *call     // to be woken when the token is given back
	roused   bool      // the leader may be asleep and should not be
	others   int32     // how lately a leader was not alone
	promptly int32     // how usual it is that requests end while they are posted

	_ [128]byte // keeps lanes out of each other's cache lines
}

// try takes the token unless an owner has it. A helper only has it briefly, and
// does not look at arrivals afterwards, so it is waited for.
func (l *lane) try() bool {
	for !l.ch.token.CompareAndSwap(tokenFree, tokenOwner) {
		switch l.ch.token.Load() {
		case tokenOwner:
			return false
		case tokenHelper:
			runtime.Gosched()
		}
	}
	return true
}

// run sees a call through on the lane. With held, the caller has the token.
func (l *lane) run(c *call, held bool) {
	if !held {
		if l.push(c) >= batchSize && l.try() {
			l.turn()
		}
		l.tend()
		l.await(c)
		return
	}
	l.holder = c
	if len(c.parts) == 1 && l.backlog.first == nil && l.arrivals.Load() == nil {
		l.postOne(c)
	} else {
		l.backlog.push(c)
		l.post()
	}
	l.follow(c)
}

// follow sees a call through that was posted or queued under the token, which
// it gives back.
func (l *lane) follow(c *call) {
	if l.ch.ready.len() > 0 {
		l.dispatch()
		l.post()
	}
	if c.done {
		l.release(l.appoint())
		l.tend()
		return
	}
	if l.leader == nil {
		l.crown(c)
		l.release(nil)
		l.lead(c)
		return
	}
	l.linger()
	l.tend()
	l.await(c)
}

// batchSize calls are posted as soon as they have gathered; fewer wait for the
// next one who looks. It keeps the device from idling while a batch gathers.
const batchSize = 4

// linger gives the token back and, if that wakes others, lets them come back
// with their next calls, to be posted in one batch.
func (l *lane) linger() {
	if l.woken == nil {
		l.release(nil)
		return
	}
	l.awake.Add(1)
	l.release(nil)
	runtime.Gosched()
	l.awake.Add(-1)
}

// await waits until the call has ended, leading the lane if it is asked to.
func (l *lane) await(c *call) {
	if <-c.wake == signalLead {
		l.lead(c)
	}
}

// push leaves a call for whoever looks at arrivals next, and returns about how
// many there are.
func (l *lane) push(c *call) int32 {
	for {
		c.next = l.arrivals.Load()
		if l.arrivals.CompareAndSwap(c.next, c) {
			return l.gathered.Add(1)
		}
	}
}

// collect puts the arrivals into the backlog, first come first.
func (l *lane) collect() {
	var first *call
	l.gathered.Store(0)
	for c := l.arrivals.Swap(nil); c != nil; {
		c, c.next, first = c.next, first, c
	}
	for first != nil {
		c := first
		first = c.next
		l.backlog.push(c)
	}
}

// postOne posts the only part of a call when no other call is waiting to be posted.
func (l *lane) postOne(c *call) {
	p := &c.parts[0]
	op, err := l.ch.launch(&p.req, true)
	switch {
	case err == ErrFull:
		l.backlog.push(c)
		return
	case err != nil:
		c.posted = 1
		l.end(p, 0, err)
		return
	}
	c.posted = 1
	l.ch.pump()
	if op.state == opEnded {
		n, err := op.n, op.err
		l.ch.release(op)
		l.learn(1, 1)
		l.end(p, n, err)
		return
	}
	op.sync = false
	l.fly(p, op)
	l.learn(1, 0)
}

// post posts what has arrived and what has been waiting, in one batch, as far
// as the channel has room.
func (l *lane) post() {
	if l.arrivals.Load() != nil {
		l.collect()
	}
	for l.backlog.first != nil {
		n := l.fill()
		if n == 0 && l.ch.ready.len() == 0 {
			return
		}
		l.ch.pump()
		l.learn(n, l.dispatch())
	}
}

// fill admits parts of the backlog until the channel is full, and returns how many.
func (l *lane) fill() (n int) {
	for c := l.backlog.first; c != nil; c = l.backlog.first {
		for c.mayPost() {
			p := &c.parts[c.posted]
			op, err := l.ch.launch(&p.req, false)
			if err == ErrFull {
				return n
			}
			c.posted++
			n++
			if err == nil {
				l.fly(p, op)
			} else {
				l.end(p, 0, err)
			}
		}
		l.backlog.pop()
		l.finish(c)
	}
	return n
}

// fly takes note of a part in flight.
func (l *lane) fly(p *part, op *Op) {
	l.parts[op.tag] = p
	l.inFlight++
}

// dispatch hands out completions, and returns how many.
func (l *lane) dispatch() int {
	ch := l.ch
	n := ch.ready.len()
	for range n {
		op := ch.ops[ch.ready.pop()]
		p := l.parts[op.tag]
		l.parts[op.tag] = nil
		l.inFlight--
		done, err := op.n, op.err
		ch.release(op)
		l.end(p, done, err)
	}
	return n
}

// end ends a part that was posted.
func (l *lane) end(p *part, n int64, err error) {
	p.ended(n, err)
	if c := p.call; !c.queued {
		l.finish(c)
	}
}

// finish ends a call that is in no queue, or puts it back into one.
func (l *lane) finish(c *call) {
	switch {
	case c.left > 0:
		if c.mayPost() {
			l.backlog.push(c)
		}
		return
	case c == l.holder:
	case c == l.leader:
		l.roused = true
	default:
		l.wakeLater(c)
	}
	c.done = true
}

func (l *lane) wakeLater(c *call) {
	c.nextWoken = l.woken
	l.woken = c
}

// release gives the token back, wakes those whose calls are done and then the
// new leader, if there is one.
func (l *lane) release(leader *call) {
	woken, rouse := l.woken, l.roused
	l.woken, l.roused, l.holder = nil, false, nil
	if n := int32(l.inFlight); l.load.Load() != n {
		l.load.Store(n)
	}
	l.giveBack()
	if rouse {
		l.ch.wake()
	}
	for woken != nil {
		c := woken
		woken, c.nextWoken = c.nextWoken, nil
		c.wake <- signalDone
	}
	if leader != nil {
		leader.wake <- signalLead
	}
}

// giveBack gives the token back, or to the leader if that waits for it.
func (l *lane) giveBack() {
	for !l.wanted.Load() {
		l.ch.leaveAndLook()
		if !l.wanted.Load() || !l.try() {
			return
		}
	}
	l.wanted.Store(false)
	l.leader.wake <- signalToken
}

// tend posts what arrived while the token was taken. After a few rounds it
// leaves that to one of those that wait, so that no caller is kept for long.
func (l *lane) tend() {
	for round := 0; l.arrivals.Load() != nil && l.awake.Load() == 0 && l.try(); round++ {
		if round < maxTendRounds {
			l.turn()
			continue
		}
		l.collect()
		l.roused = l.leader != nil
		l.release(l.appoint())
	}
}

// turn posts what has arrived, and gives the token back.
func (l *lane) turn() {
	l.post()
	l.release(l.appoint())
}

const maxTendRounds = 8

// learn adjusts the notion of whether requests usually end while they are
// posted: prompt of n have.
func (l *lane) learn(n, prompt int) {
	const most = 256
	l.promptly = min(max(l.promptly+int32(prompt)-8*int32(n-prompt), 0), most)
	switch inline := l.file.inline.Load(); {
	case !inline && l.promptly >= most/4:
		l.file.inline.Store(true)
	case inline && l.promptly == 0:
		l.file.inline.Store(false)
	}
}
