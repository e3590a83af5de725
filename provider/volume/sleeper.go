package volume

import (
	"sync"
	"sync/atomic"

	"github.com/unio-stack/unio"
)

// A sleeper sleeps on several channels at a time. It has a goroutine for each,
// which sleeps on the channel only while somebody sleeps here.
type sleeper struct {
	lanes []lane
	wakes chan struct{}   // one of them has something, or wake
	arms  []chan struct{} // for each lane: sleep on it once
	wg    sync.WaitGroup
	// closing keeps what was armed from sleeping when nobody is left to wake it.
	closing atomic.Bool
}

func newSleeper(lanes []lane) *sleeper {
	s := &sleeper{lanes: lanes, wakes: make(chan struct{}, 1)}
	for i := range lanes {
		arm := make(chan struct{}, 1)
		s.arms = append(s.arms, arm)
		s.wg.Go(func() { s.watch(lanes[i].ch, arm) })
	}
	return s
}

func (s *sleeper) watch(ch *unio.Channel, arm <-chan struct{}) {
	for range arm {
		if s.closing.Load() {
			return
		}
		ch.Sleep()
		s.wake()
	}
}

func (s *sleeper) sleep() {
	for _, arm := range s.arms {
		select {
		case arm <- struct{}{}:
		default:
		}
	}
	<-s.wakes
}

func (s *sleeper) wake() {
	select {
	case s.wakes <- struct{}{}:
	default:
	}
}

// close ends the goroutines. Nobody sleeps any more.
func (s *sleeper) close() {
	s.closing.Store(true)
	for _, arm := range s.arms {
		close(arm)
	}
	for i := range s.lanes {
		s.lanes[i].ch.Wake()
	}
	s.wg.Wait()
}
