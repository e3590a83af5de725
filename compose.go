package unio

import "time"

// Sleep blocks the goroutine until Poll may have something to return or Wake
// was called since Sleep last returned; it may return early. It holds no OS
// thread meanwhile and may run while another goroutine is in Post or Poll, but
// not in another Sleep, Wait, Do or Close.
//
// It is for devices made of devices: the Queue of the outer one posts to a
// channel of the inner one in Submit, polls it in Reap, and passes its own
// Sleep and Wake on. Everybody else has [Channel.Wait].
func (c *Channel) Sleep() {
	var ready, rescan bool
	c.insist(func() { ready, rescan = c.closed || c.ready.len() > 0, c.locking > 0 })
	switch {
	case ready:
	case rescan:
		c.nap()
	default:
		c.q.Sleep()
	}
}

// nap is a Sleep while a range is waited for that the owner of another channel
// may have to be helped to give up.
func (c *Channel) nap() {
	t := time.AfterFunc(100*time.Microsecond, c.wake)
	defer t.Stop()
	c.q.Sleep()
}

// Wake makes the current or the next Sleep return. It may be called from any
// goroutine, also after Close.
func (c *Channel) Wake() { c.wake() }
