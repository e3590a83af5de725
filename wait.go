package unio

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// Wait reaps completions into done, waiting for the first: it polls for as
// long as that has paid lately, then sleeps without holding an OS thread. It
// returns 0 and nil at once when nothing is in flight, and when what was in
// flight was Silent and has ended. When ctx ends first it returns ctx's error;
// the requests stay in flight. After Close it returns what is left, then
// [ErrClosed].
func (c *Channel) Wait(ctx context.Context, done []Completion) (n int, err error) {
	if err := c.enter(); err != nil {
		return 0, err
	}
	n = c.poll(done)
	if n == 0 {
		n, err = c.wait(ctx, done)
	}
	c.leave()
	return n, err
}

// wait is called and returns with the token held, and lets helpers in between.
func (c *Channel) wait(ctx context.Context, done []Completion) (int, error) {
	w := c.startWait()
	for {
		switch {
		case c.inFlight() == 0 && c.closing.Load():
			return 0, c.errClosed()
		case c.inFlight() == 0, len(done) == 0:
			return 0, nil
		case ctx.Err() != nil:
			return 0, ctx.Err()
		}
		c.pause(ctx, &w)
		if n := c.poll(done); n > 0 {
			w.hit(c)
			return n, nil
		}
	}
}

// Do carries out one request and returns how it ended: nil or an *OpError.
// Completions of other requests stay for Poll. When ctx ends, the request is
// cancelled and Do returns, with [ErrTimeout] or [ErrCanceled], as soon as its
// memory is the caller's again. The flag Silent has no effect.
func (c *Channel) Do(ctx context.Context, r Request) error {
	r.Flags &^= Silent
	if err := c.enter(); err != nil {
		return err
	}
	err := c.do(ctx, &r)
	c.leave()
	return err
}

func (c *Channel) do(ctx context.Context, r *Request) error {
	if c.closing.Load() {
		return c.errClosed()
	}
	if c.attention.Load() {
		c.attend() // what was cancelled before does not concern r
	}
	if !c.room(r) {
		return ErrFull
	}
	if err := r.check(c.dev, c.cfg.NoCopy); err != nil {
		c.dev.log.add(err)
		return err
	}
	if err := ctx.Err(); err != nil {
		return expired(r.refuse(c.dev, ErrCanceled, "nothing was posted"), err)
	}
	op := c.admit(r, true)
	c.pump()
	if op.state != opEnded {
		c.await(ctx, op)
	}
	err := op.err
	c.release(op)
	if err != nil && ctx.Err() != nil {
		return expired(err, ctx.Err())
	}
	return err
}

// await waits until op, a request of Do, has ended.
func (c *Channel) await(ctx context.Context, op *Op) {
	w := c.startWait()
	ordered := false
	for {
		c.reap()
		if op.state == opEnded {
			w.hit(c)
			return
		}
		if c.locking > 0 {
			c.dev.helpOthers(c)
		}
		if ctx.Err() != nil && !ordered {
			ordered = true
			c.giveUp(op)
			continue
		}
		c.pause(ctx, &w)
	}
}

// giveUp cancels Do's request. One that has ended but waits for the Silent
// requests before it fails instead: its success would say that they have ended.
func (c *Channel) giveUp(op *Op) {
	if op.state != opHeld {
		c.cancel(op)
		return
	}
	c.held = remove(c.held, op)
	if op.err == nil {
		op.err = ErrCanceled
		c.fail(op)
	}
	c.deliverable(op)
}

// expired says that a request was cancelled because its context ended.
func expired(err, cause error) error {
	var oe *OpError
	if !errors.As(err, &oe) || !errors.Is(oe.Err, ErrCanceled) {
		return err
	}
	e := *oe
	e.Err = fmt.Errorf("%w: %w", ErrCanceled, cause)
	if errors.Is(cause, context.DeadlineExceeded) {
		e.Err = fmt.Errorf("%w: %w", ErrTimeout, cause)
	}
	return &e
}

// A waitState is where one Wait stands between polling and sleeping.
type waitState struct {
	began  time.Time
	budget time.Duration // to poll before sleeping; 0 once it is spent
}

func (c *Channel) startWait() waitState {
	w := waitState{budget: c.spin.budget()}
	if w.budget > 0 {
		w.began = time.Now()
	}
	return w
}

// pause lets a little time pass: it returns at once while the budget lasts and
// sleeps after that. It lets helpers in meanwhile.
func (c *Channel) pause(ctx context.Context, w *waitState) {
	if w.budget > 0 && time.Since(w.began) < w.budget {
		c.pauseOwner()
	} else {
		if w.budget > 0 {
			c.spin.miss()
			w.budget = 0
		}
		c.counts.sleeps++
		rescan := c.locking > 0
		c.pauseOwner()
		c.sleep(ctx, rescan)
	}
	c.resumeOwner()
}

// sleep gives up the processor until there may be something to do. With
// rescan, what is waited for may have been finished by the device but not been
// reaped by its owner: look again soon.
func (c *Channel) sleep(ctx context.Context, rescan bool) {
	c.ctxWake.watch(ctx, c)
	if !rescan {
		c.q.Sleep()
		return
	}
	if c.rescan == nil {
		c.rescan = time.AfterFunc(rescanEvery, c.wake)
	} else {
		c.rescan.Reset(rescanEvery)
	}
	c.q.Sleep()
	c.rescan.Stop()
}

const rescanEvery = 100 * time.Microsecond

// hit records that polling was enough.
func (w *waitState) hit(c *Channel) {
	if w.budget > 0 {
		c.spin.hit(time.Since(w.began))
	}
}

// A spinner learns how long it pays to poll before sleeping. To sleep and be
// woken costs about sleepCost of CPU time, so polling pays while completions
// arrive sooner than that more often than not.
type spinner struct {
	fixed time.Duration // ChannelConfig.Spin
	rate  int32         // hits of recent polls, 0 to 256
	mean  time.Duration // time to a hit
	waits uint32
}

const (
	sleepCost = 6 * time.Microsecond
	maxSpin   = 50 * time.Microsecond
	// probeEvery makes one wait in so many poll although it has not paid.
	probeEvery = 64
)

// budget returns how long the next wait may poll.
func (s *spinner) budget() time.Duration {
	switch {
	case s.fixed > 0:
		return s.fixed
	case s.fixed < 0:
		return 0
	}
	s.waits++
	if s.rate >= 128 && s.mean <= sleepCost {
		return min(max(2*s.mean, time.Microsecond), maxSpin)
	}
	if s.waits%probeEvery == 1 {
		return sleepCost
	}
	return 0
}

func (s *spinner) hit(after time.Duration) {
	s.rate += (256 - s.rate + 7) / 8
	s.mean += (after - s.mean) / 8
}

func (s *spinner) miss() { s.rate -= (s.rate + 7) / 8 }

// A contextWake wakes the channel when the context of its last sleep ends. It
// is kept from one sleep to the next, so that waiting again under the same
// context costs nothing.
type contextWake struct {
	done  <-chan struct{}
	unset func() bool
}

func (w *contextWake) watch(ctx context.Context, c *Channel) {
	done := ctx.Done()
	if done == w.done {
		return
	}
	w.stop()
	if done != nil {
		w.done, w.unset = done, context.AfterFunc(ctx, c.wake)
	}
}

func (w *contextWake) stop() {
	if w.unset != nil {
		w.unset()
	}
	w.done, w.unset = nil, nil
}
