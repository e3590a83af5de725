package rdma

import (
	"fmt"
	"time"

	"github.com/unio-stack/unio"
)

// A silence is how long nothing has come from the peer, in pulses. After some the peer is asked for an answer, with a Read of
// no octets, which any peer gives; if that does not come either, it is dead. The time between two pulses is a fifth of what
// the connection may be dead without being found out.
type silence struct {
	heard  bool   // something has come since the last pulse
	spoken bool   // something has come at all
	taken  uint64 // octets that its TCP had taken at the last pulse
	pulses int
	probe  bool // the peer is to be asked
	owing  int  // pulses in a row at which the Store had not done what the peer had asked for
	timer  *time.Timer
}

const (
	pulsesUntilProbe = 2
	pulsesUntilDead  = 4
	pulsesPerAlive   = 5
)

// listen starts the pulse, unless it is not wanted or the peer would not answer.
func (q *queuePair) listen() {
	if q.alive > 0 && q.peer.ORD > 0 {
		q.silence.timer = time.AfterFunc(q.alive/pulsesPerAlive, q.pulse)
	}
}

func (s *silence) stop() {
	if s.timer != nil {
		s.timer.Stop()
	}
}

// taking reports whether the peer is taking what is on its way to it, which may be so long that it has nothing to say meanwhile.
// What it has taken whole does not count: its TCP does that although nobody may be there any more.
func (q *queuePair) taking() bool {
	s := &q.silence
	before := s.taken
	var more bool
	s.taken, more = q.wire.taken()
	return more && s.taken != before
}

// assure lets a peer that waits for a Store hear something now and then, as that may take longer than the peer would wait for
// an answer: the answer to its asking comes after those to what it has asked for before.
func (q *queuePair) assure() {
	s := &q.silence
	if q.served == nil || q.served.pending == 0 && !q.starving() {
		s.owing = 0
		return
	}
	if s.owing++; s.owing%pulsesUntilProbe == 0 {
		q.ask()
	}
}

// ask asks the peer for an answer.
func (q *queuePair) ask() {
	q.silence.probe = true
	q.progress(turns)
	q.goOn()
	q.rouse()
}

// pulse looks whether the peer has been heard.
func (q *queuePair) pulse() {
	q.mu.Lock()
	defer q.release()
	if q.failure != nil {
		return
	}
	s := &q.silence
	s.timer.Reset(q.alive / pulsesPerAlive)
	q.assure()
	if q.failure != nil {
		return
	}
	if q.starving() { // who does not read does not hear
		s.pulses = 0
		return
	}
	if q.taking() || s.heard || !s.spoken && !q.initiator { // a responder may not ask before the peer's first FPDU
		s.spoken = s.spoken || s.heard
		s.heard, s.pulses = false, 0
		return
	}
	s.pulses++
	switch s.pulses {
	case pulsesUntilProbe:
		q.ask()
	case pulsesUntilDead:
		q.fail(&failure{
			layer: Layer, cause: fmt.Errorf("%w: %w", unio.ErrDisconnected, unio.ErrTimeout),
			detail: fmt.Sprintf("the peer has not answered for %v", q.alive),
		})
		q.bury() // it would not hear a farewell
	}
}
