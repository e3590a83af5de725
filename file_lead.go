package unio

import (
	"context"
	"runtime"
)

// lead reaps and posts for everybody until the leader's own call is done.
func (l *lane) lead(c *call) {
	w := l.ch.startWait()
	for yielded := false; ; {
		l.lock(c)
		l.holder = c
		posted := l.ch.seq
		n := l.harvest()
		if n > 0 {
			w.hit(l.ch)
		}
		switch {
		case c.done:
			l.resign()
			return
		case n > 0 || l.ch.seq != posted || !yielded:
			// Those just woken come back with their next calls, and others may
			// be about to call: let them, so that one batch is made of that.
			company := l.company(c)
			l.release(nil)
			if company {
				runtime.Gosched()
			}
			yielded = true
			if n > 0 {
				w = l.ch.startWait()
			}
		case l.ch.mayPoll(&w):
			l.release(nil)
		default:
			l.sleep()
		}
	}
}

// company reports whether there are other callers, or lately were. Where there
// are none, to yield costs the wake-up of a processor for nothing.
func (l *lane) company(c *call) bool {
	if l.inFlight > c.inFlight() || l.woken != nil {
		l.others = rememberOthers
	} else if l.others > 0 {
		l.others--
	}
	return l.others > 0
}

// rememberOthers turns alone make a leader forget that there were others.
const rememberOthers = 16

// harvest reaps, and posts what has arrived and what there is room for now. It
// returns how many parts have ended.
func (l *lane) harvest() int {
	l.ch.reap()
	if l.ch.locking > 0 {
		l.ch.dev.helpOthers(l.ch)
	}
	n := l.dispatch()
	l.post()
	return n
}

// lock takes the token for the leader. Whoever holds it hands it over.
func (l *lane) lock(c *call) {
	if l.try() {
		return
	}
	l.wanted.Store(true)
	if l.try() {
		l.wanted.Store(false)
		return
	}
	<-c.wake
}

// sleep is called with the token and returns without it, when there may be
// something to do.
func (l *lane) sleep() {
	l.ch.counts.sleeps++
	rescan := l.ch.locking > 0
	l.awake.Add(-1)
	l.release(nil)
	if l.arrivals.Load() == nil {
		l.ch.sleep(context.Background(), rescan)
	}
	l.awake.Add(1)
}

// resign ends the leadership of a call that is done, and gives the token back.
func (l *lane) resign() {
	l.awake.Add(-1)
	l.leader = nil
	next := l.appoint()
	if next == nil {
		l.ch.waiting.Store(false)
	}
	l.release(next)
	l.tend()
}

// appoint makes one of the waiting calls the leader, if the lane has none and
// needs one, and returns it. Releasing the token wakes it.
func (l *lane) appoint() *call {
	if l.leader != nil {
		return nil
	}
	c := l.backlog.first
	if c == nil && l.inFlight > 0 {
		c = l.someParts()
	}
	if c != nil {
		l.crown(c)
	}
	return c
}

// someParts returns a call with parts in flight.
func (l *lane) someParts() *call {
	for _, p := range l.parts {
		if p != nil {
			return p.call
		}
	}
	return nil
}

func (l *lane) crown(c *call) {
	l.leader = c
	l.awake.Add(1)
	l.ch.waiting.Store(true)
}
