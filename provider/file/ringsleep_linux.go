package file

import (
	"time"

	"golang.org/x/sys/unix"
)

// Sleep implements unio.Queue. The ring raises the event only while somebody
// sleeps: otherwise every completion would wake the Go runtime's poller.
func (q *ringQueue) Sleep() {
	switch {
	case q.pinned:
		q.sleepInRing()
		return
	case q.polls():
		q.polled.sleep(q.event)
		return
	}
	if q.stuck.Load() { // the kernel is short of memory: give it time
		time.Sleep(stuckPause)
		return
	}
	q.ring.SetEventfdEnabled(true)
	q.event.Sleep(q.pending)
	q.ring.SetEventfdEnabled(false)
}

const stuckPause = 100 * time.Microsecond

// sleepInRing blocks the channel's own thread in the kernel. Wake reaches it
// through a poll of the event.
func (q *ringQueue) sleepInRing() {
	if !q.woken && !q.ring.Pending() {
		n, _ := q.ring.SubmitAndWait(1, -1) // a fault shows in the next Submit
		q.entered = append(q.entered[:0], q.entered[min(n, len(q.entered)):]...)
	}
	q.woken = false
}

// armWake has a pinned ring complete an entry when the event is raised. A Raise
// that Reset forgets is one that woken, which finish sets, remembers.
func (q *ringQueue) armWake() {
	q.event.Reset()
	if sqe := q.entry(); sqe != nil {
		sqe.PollAdd(q.event.FD(), unix.POLLIN)
		sqe.SetUserData(tagWake)
		q.entered = append(q.entered, tagWake)
		q.flush()
	}
}

// Wake implements unio.Queue.
func (q *ringQueue) Wake() { q.event.Raise() }
