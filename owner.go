package unio

import (
	"fmt"
	"runtime"
	"time"
)

// enter takes the channel for one call of its owner.
func (c *Channel) enter() error {
	if c.waiting.Load() {
		return c.errBusy()
	}
	return c.take()
}

// take takes the token for the owner. A helper holds it only briefly, so it is
// waited for; another owner is an error.
func (c *Channel) take() error {
	for !c.token.CompareAndSwap(tokenFree, tokenOwner) {
		if c.token.Load() == tokenOwner {
			return c.errBusy()
		}
		runtime.Gosched()
	}
	return nil
}

func (c *Channel) leave() { c.token.Store(tokenFree) }

// help runs f with the token unless the owner holds it, and reports whether it
// did. f may settle what is finished but, on a pinned channel, submit nothing.
func (c *Channel) help(f func()) bool {
	if !c.token.CompareAndSwap(tokenFree, tokenHelper) {
		return false
	}
	f()
	c.token.Store(tokenFree)
	return true
}

// insist runs f with the token, waiting for a busy owner as long as that takes.
func (c *Channel) insist(f func()) {
	for pause := time.Microsecond; !c.help(f); pause = min(2*pause, time.Millisecond) {
		if pause < 32*time.Microsecond {
			runtime.Gosched()
		} else {
			time.Sleep(pause)
		}
	}
}

// wake makes the owner look at the channel again. Callable from anywhere.
func (c *Channel) wake() {
	c.mu.Lock()
	if !c.closed {
		c.q.Wake()
	}
	c.mu.Unlock()
}

// A cancelOrder asks the owner to cancel requests.
type cancelOrder struct {
	id  uint64
	all bool
}

// Cancel asks for an early end of every request posted with this ID. Each
// still completes exactly once: with [ErrCanceled], or as if nothing had
// happened when it was too late. Until it has completed its memory belongs to
// the stack. The order is carried out by the owner's next or current call.
func (c *Channel) Cancel(id uint64) { c.order(cancelOrder{id: id}) }

// CancelAll does what Cancel does, for every request posted so far.
func (c *Channel) CancelAll() { c.order(cancelOrder{all: true}) }

func (c *Channel) order(o cancelOrder) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return
	}
	c.cancels = append(c.cancels, o)
	c.attention.Store(true)
	c.q.Wake()
}

// resume hands a granted operation back to its channel. Called by rangeLock,
// with its mutex held: rangeLock.mu comes before Channel.mu.
func (c *Channel) resume(op *Op) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.resumed = append(c.resumed, op)
	c.attention.Store(true)
	if !c.closed {
		c.q.Wake()
	}
}

// attend carries out what others have asked for. Called with the token held.
func (c *Channel) attend() {
	c.mu.Lock()
	c.attention.Store(false)
	cancels, resumed := c.cancels, c.resumed
	c.cancels, c.resumed = nil, nil
	c.mu.Unlock()
	for _, op := range resumed {
		c.locking--
		switch {
		case op.abort:
			op.n, op.err = 0, ErrCanceled
			c.end(op)
		case op.assist != nil:
			c.advance(op)
		default:
			c.submit(op)
		}
	}
	for _, o := range cancels {
		for i := range c.ops {
			if op := &c.ops[i]; o.all || op.userID() == o.id {
				c.cancel(op)
			}
		}
	}
	c.pump()
}

// userID is the ID the request was posted with.
func (o *Op) userID() uint64 {
	if o.assist != nil {
		return o.assist.user.ID
	}
	return o.ID
}

// cancel ends op as early as can be.
func (c *Channel) cancel(op *Op) {
	switch op.state {
	case opFenced:
		c.fences.remove(op.tag)
	case opLocking:
		if !op.Region.store.locks.withdraw(op) {
			op.abort = true // granted meanwhile; the next attend finds it
			return
		}
		c.locking--
	case opBouncing:
		c.assists.withdraw(op)
	case opActive:
		op.abort = true
		c.pump() // what is cancelled must have been submitted
		if op.state == opActive {
			c.q.Cancel(op)
		}
		return
	default:
		return
	}
	op.n, op.err = 0, ErrCanceled
	c.end(op)
}

// Close cancels what is in flight, waits until all of it has ended, and
// releases the channel. Completions not yet delivered can still be polled. It
// is idempotent and may be called from any goroutine; concurrent calls return
// together.
func (c *Channel) Close() error {
	if c.closing.Swap(true) {
		<-c.done
		return nil
	}
	for pause := 10 * time.Microsecond; !c.settled(); pause = min(2*pause, time.Millisecond) {
		c.CancelAll()
		time.Sleep(pause)
	}
	var err error
	c.insist(func() {
		c.counts.queue = c.q.Counters()
		c.mu.Lock()
		c.closed = true
		c.mu.Unlock()
		err = c.q.Close()
		c.assists.close()
		c.ctxWake.stop()
	})
	c.dev.forget(c)
	close(c.done)
	return err
}

// settled settles what it can and reports whether nothing is in flight and
// nobody waits.
func (c *Channel) settled() bool {
	idle := false
	c.insist(func() {
		c.reapAsHelper()
		idle = c.inFlight() == 0
	})
	if c.waiting.Load() {
		c.wake()
		return false
	}
	return idle
}

// reapAsHelper settles what is finished, unless only the owner's thread may.
func (c *Channel) reapAsHelper() {
	if c.cfg.Pinned && threadID() != c.thread {
		return
	}
	c.reap()
	if c.waiting.Load() && c.ready.len() > 0 {
		c.wake()
	}
}

// references reports whether a request in flight names reg.
func (c *Channel) references(reg *Region) (found bool) {
	c.insist(func() {
		c.reapAsHelper()
		for i := range c.ops {
			op := &c.ops[i]
			if op.Region == reg && op.state != opFree && op.state < opEnded {
				found = true
			}
		}
	})
	return found
}

// drain returns when no request in flight names reg, which is revoked.
func (c *Channel) drain(reg *Region) {
	for pause := 10 * time.Microsecond; c.references(reg); pause = min(2*pause, time.Millisecond) {
		time.Sleep(pause)
	}
}

func (c *Channel) errClosed() error {
	return fmt.Errorf("channel on %s: %w", c.dev.info.Name, ErrClosed)
}

func (c *Channel) errBusy() error {
	c.misuse.Add(1)
	return fmt.Errorf("channel on %s: %w: another goroutine is using it; a channel has one owner at a time",
		c.dev.info.Name, ErrBusy)
}
