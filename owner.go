package unio

import (
	"cmp"
	"fmt"
	"runtime"
	"slices"
	"time"
	"unsafe"

	"github.com/unio-stack/unio/internal/release"
)

// The values of Channel.token. A helper is another goroutine than the owner,
// which holds it briefly, and not while the owner does.
const (
	tokenFree    uint32 = 0
	tokenOwner   uint32 = 1 << 0 // the owner is in a call
	tokenWaiting uint32 = 1 << 1 // the owner is in Wait or Do but lets helpers in
	tokenHelper  uint32 = 1 << 2 // alone or with tokenWaiting
)

// enter takes the token for one call of the owner.
func (c *Channel) enter() error {
	if c.token.CompareAndSwap(tokenFree, tokenOwner) {
		return nil
	}
	return c.contend()
}

// contend takes the token unless another owner has it or is waiting. A helper
// is waited for.
func (c *Channel) contend() error {
	for !c.token.CompareAndSwap(tokenFree, tokenOwner) {
		if c.token.Load()&(tokenOwner|tokenWaiting) != 0 {
			return c.errBusy()
		}
		runtime.Gosched()
	}
	return nil
}

// leave gives the token back at the end of a call.
func (c *Channel) leave() { release.Store32((*uint32)(unsafe.Pointer(&c.token)), tokenFree) }

// leaveAndLook gives the token back before looking at what others do without it.
func (c *Channel) leaveAndLook() { c.token.Store(tokenFree) }

// pauseOwner lets helpers in while the owner waits; resumeOwner ends that.
func (c *Channel) pauseOwner() { c.token.Store(tokenWaiting) }

func (c *Channel) resumeOwner() {
	for !c.token.CompareAndSwap(tokenWaiting, tokenOwner) {
		runtime.Gosched()
	}
}

// waited reports whether the owner waits. Called by a helper.
func (c *Channel) waited() bool { return c.token.Load()&tokenWaiting != 0 }

// help runs f with the token unless the owner or a helper holds it, and reports
// whether it did. f may settle what is finished but, on a pinned channel,
// submit nothing.
func (c *Channel) help(f func()) bool {
	was := c.token.Load()
	if was&^tokenWaiting != 0 || !c.token.CompareAndSwap(was, was|tokenHelper) {
		return false
	}
	f()
	c.token.Store(was)
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
// the stack. The order is carried out by the owner's next or current call, and
// does not concern what is posted after Cancel has returned.
func (c *Channel) Cancel(id uint64) { c.order(cancelOrder{id: id}) }

// CancelAll does what Cancel does, for every request posted so far.
func (c *Channel) CancelAll() { c.order(cancelOrder{all: true}) }

func (c *Channel) order(o cancelOrder) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return
	}
	if o.all {
		c.cancels = c.cancels[:0] // all includes them
	}
	if !slices.Contains(c.cancels, o) {
		c.cancels = append(c.cancels, o)
	}
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
	c.cancels, c.resumed, c.attending = nil, c.attending[:0], resumed
	c.mu.Unlock()
	for _, op := range resumed {
		c.locking--
		switch {
		case op.abort:
			c.endCanceled(op)
		case op.assist != nil:
			c.advance(op)
		default:
			c.submit(op)
		}
	}
	if len(cancels) > 0 {
		c.cancelAll(cancels)
	}
	c.pump()
}

// cancelAll carries out orders to cancel, the youngest requests first: an older message is not to be taken back and a younger
// one to leave in its stead.
func (c *Channel) cancelAll(orders []cancelOrder) {
	byAge := slices.Clone(c.ops)
	slices.SortFunc(byAge, func(a, b *Op) int { return cmp.Compare(b.seq, a.seq) })
	for _, o := range orders {
		for _, op := range byAge {
			if o.all || op.userID() == o.id {
				c.cancel(op)
			}
		}
	}
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
	c.endCanceled(op)
}

// endCanceled ends a request that is not in the queue.
func (c *Channel) endCanceled(op *Op) {
	op.n, op.err = 0, ErrCanceled
	if op.assist != nil {
		op.n = op.assist.pos
	}
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
	idle, waited := false, false
	c.insist(func() {
		c.reapAsHelper()
		idle, waited = c.inFlight() == 0, c.waited() || c.waiting.Load()
	})
	if waited {
		c.wake()
	}
	return idle && !waited
}

// reapAsHelper settles what is finished, unless only the owner's thread may.
// The owner may be asleep until the device has something for it, which is now
// taken, so it is woken.
func (c *Channel) reapAsHelper() {
	if c.cfg.Pinned && threadID() != c.thread {
		return
	}
	before := c.counts.completed
	c.reap()
	if c.counts.completed != before {
		c.wake()
	}
}

// references reports whether a request in flight names reg.
func (c *Channel) references(reg *Region) (found bool) {
	c.insist(func() {
		c.reapAsHelper()
		for _, op := range c.ops {
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
		c.dev.helpOthers(c) // what it waits for may be theirs
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
