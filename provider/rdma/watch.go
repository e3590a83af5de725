package rdma

import (
	"sync"
	"time"
)

// Who looks at a connection's socket: at any time exactly one of
//
//   - the system, which tells the watcher of the next thing that happens (armed);
//   - the watcher, which polls it for a little while after something has happened (hot);
//   - the channel's owner, who polls (polled): a look now and then finds out when that is no longer so.
//
// A system that is asked to tell, tells; and that costs the sender of every packet, and wakes a thread. So nobody who polls
// has it armed.

// A watch is where a connection stands in this. Guarded by the queuePair's mu.
type watch struct {
	by     *watcher
	id     int32  // in by
	armed  bool   // the system tells
	reads  bool   // and it tells when something has come
	writes bool   // and it tells when the socket takes more
	hot    bool   // the watcher polls
	polled bool   // the owner polls
	listed bool   // in by.polled
	reaps  uint32 // queuePair.reaps at the last look
	active time.Time
	pays   int8 // whether polling after an event has paid: -spinLimit to spinLimit
}

const (
	// spinTime is how long the watcher polls a connection after something has come.
	spinTime = 100 * time.Microsecond
	// spinLimit events in a row without a second one soon after end the polling, but for a try now and then.
	spinLimit = 8
	// hotLimit is how many connections one watcher polls at a time.
	hotLimit = 8
	// pollStreak calls of Reap between two events say that the owner polls. While the watcher polls, one call says so: its
	// looks are that close.
	pollStreak = 4
	// lookEvery is how soon it is noticed that the owner does not poll any more.
	lookEvery = time.Millisecond
)

// attend makes sure that somebody looks at the socket. Who waits for memory does not read, and would be told of what has come
// again and again: memory that others give back, and operations that end, attend anew. q.mu is held.
func (q *queuePair) attend() {
	w := &q.watch
	if w.by == nil || w.hot {
		return
	}
	reads, writes := q.failure != nil || !q.starving(), q.wantsRoom() || q.mayEat()
	if !reads && !writes || w.armed && w.reads == reads && w.writes == writes {
		return
	}
	w.armed, w.reads, w.writes, w.polled = true, reads, writes, false
	w.by.arm(q.wire.descriptor(), w.id, reads, writes)
}

// goOn makes sure that what the socket has not taken goes on, although nobody may poll. q.mu is held.
func (q *queuePair) goOn() {
	if !q.watch.polled && q.blocked() {
		q.attend()
	}
}

// wantsRoom reports whether something waits for the socket to take more.
func (q *queuePair) wantsRoom() bool {
	if q.failure != nil {
		return !q.goodbye.finished
	}
	return q.blocked()
}

// unwatch ends the watch. q.mu is held; the watcher may still look once, and finds that all is over.
func (q *queuePair) unwatch() {
	if w := q.watch.by; w != nil {
		q.watch.by = nil
		w.remove(q.watch.id, q.wire.descriptor())
		q.watcherEnds = q.domain.watchers.dismiss(w)
	}
}

// event is what the watcher calls when the system has told of q. It reports whether q is to be polled, for which there has
// to be room.
func (q *queuePair) event(room bool) (hot bool) {
	q.mu.Lock()
	defer q.release()
	w := &q.watch
	w.armed, w.active = false, time.Now()
	if room {
		q.progress(1) // the next turn comes soon
	} else {
		q.progress(turns)
	}
	q.rouse()
	return q.next(true, room, pollStreak)
}

// poll is what the watcher calls for a connection that is hot. It reports whether q is to be polled again.
func (q *queuePair) poll(now time.Time) (came, hot bool) {
	ended := q.served != nil && q.served.service.Store.Poll()
	if !q.mu.TryLock() {
		return ended, true // somebody is at it
	}
	defer q.release()
	w := &q.watch
	w.hot = false
	if w.by == nil {
		return false, false
	}
	if came = q.progress(1) || ended; came {
		w.active = now
		w.pays = min(w.pays+1, spinLimit)
		q.rouse()
	}
	return came, q.next(now.Sub(w.active) < spinTime, true, 1)
}

// next decides who looks next: soon says that something has just come, room that the watcher may poll; so many calls of Reap
// since the last look say that the owner polls. q.mu is held.
func (q *queuePair) next(soon, room bool, polls uint32) (hot bool) {
	w := &q.watch
	streak := q.reaps - w.reaps
	w.reaps = q.reaps
	switch {
	case w.by == nil:
		return false
	case streak >= polls && !q.sleeping:
		w.polled = true
		if !w.listed {
			w.listed = true
			w.by.lookSoon(q)
		}
		return false
	case soon && room && q.failure == nil && q.wantsToSpin():
		w.hot = true
		return true
	}
	if !soon {
		w.pays = max(w.pays-1, -spinLimit)
	}
	q.attend()
	return false
}

// wantsToSpin says whether polling has paid, or is to be tried again.
func (q *queuePair) wantsToSpin() bool {
	w := &q.watch
	if w.pays > -spinLimit {
		return true
	}
	w.pays-- // wraps nowhere: it comes back below
	if w.pays <= -spinLimit-32 {
		w.pays = -spinLimit + 1
		return true
	}
	return false
}

// look is called now and then while the owner polls. It reports whether that is still so.
func (q *queuePair) look() (polled bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	w := &q.watch
	if w.polled && w.by != nil && q.reaps != w.reaps && !q.sleeping {
		w.reaps = q.reaps
		return true
	}
	w.polled, w.listed = false, false
	q.attend()
	return false
}

// watchers are those of a Domain: one for each processor, up to maxWatchers. They run while there are connections.
type watchers struct {
	mu   sync.Mutex
	all  []*watcher // guarded by mu
	next int        // guarded by mu
}

const maxWatchers = 4
