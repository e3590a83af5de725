package unio

// A streamDriver has those who wait for something of a stream take turns at the
// channel. Its fields are guarded by Stream.mu.
//
// One of those who wait, the driver, sleeps on the channel; the others wait for
// a signal. Whoever reaps tells each whom a completion concerns. A driver
// that is done hands over to one that still waits.
type streamDriver struct {
	driver  streamRole
	waiting [streamRoles]bool          // for a signal
	signals [streamRoles]chan struct{} // each holds at most one
	done    []Completion               // scratch
}

// A streamRole is who may wait: of each kind there is one at most.
type streamRole uint8

const (
	roleNobody streamRole = iota
	roleReader
	roleWriter
	roleCloser
	streamRoles // how many there are
)

func (d *streamDriver) init(depth int) {
	for i := range d.signals {
		d.signals[i] = make(chan struct{}, 1)
	}
	d.done = make([]Completion, depth)
}

// wait returns when there may be something new for the role. It is called and
// returns with mu held, and lets others in meanwhile. w is where the caller
// stands between polling and sleeping.
func (s *Stream) wait(r streamRole, w *waitState) {
	if s.driver != roleNobody {
		s.waiting[r] = true
		s.mu.Unlock()
		<-s.signals[r]
		s.mu.Lock()
		return
	}
	s.driver = r
	if s.ch.mayPoll(w) {
		s.mu.Unlock()
		s.mu.Lock()
	} else if s.ch.mayDoze() {
		s.mu.Unlock()
		s.ch.doze()
		s.mu.Lock()
	}
	s.driver = roleNobody
	s.reap()
}

// tell gets the one of this role out of wait.
func (s *Stream) tell(r streamRole) {
	switch {
	case s.driver == r:
		s.ch.wake()
	case s.waiting[r]:
		s.waiting[r] = false
		s.signals[r] <- struct{}{}
	}
}

// leave ends a call: it gives mu back, and the channel to another that waits.
func (s *Stream) leave() {
	for r := roleReader; s.driver == roleNobody && r < streamRoles; r++ {
		if s.waiting[r] {
			s.tell(r)
			break
		}
	}
	s.mu.Unlock()
}

// reap fetches completions and tells whom they concern.
func (s *Stream) reap() {
	if s.ch.enter() != nil {
		return
	}
	n := s.ch.poll(s.done)
	s.ch.leave()
	s.note(n)
}

// post posts requests, for which there is room, and returns how many and why
// not the next. What has ended by then is noted.
func (s *Stream) post(reqs []Request) (int, error) {
	if err := s.ch.enter(); err != nil {
		return 0, err
	}
	n, err := s.ch.post(reqs)
	ended := s.ch.deliver(s.done)
	s.ch.leave()
	s.note(ended)
	return n, err
}

func (s *Stream) note(n int) {
	for i := range n {
		if c := &s.done[i]; c.ID < uint64(len(s.slots)) {
			s.received(c)
		} else {
			s.sent(c)
		}
	}
	clear(s.done[:n])
}

// mayDoze reports whether to doze: there is something in flight, and nothing to
// fetch. The channel is not closed until doze has returned.
func (c *Channel) mayDoze() bool {
	if c.enter() != nil {
		return false
	}
	defer c.leave()
	c.reap()
	if c.ready.len() > 0 || c.inFlight() == 0 {
		return false
	}
	c.counts.sleeps++
	c.waiting.Store(true)
	return true
}

// doze sleeps until there may be something to fetch, or wake was called, after
// mayDoze. Others may use the channel meanwhile.
func (c *Channel) doze() {
	c.q.Sleep()
	c.waiting.Store(false)
}
