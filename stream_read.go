package unio

import (
	"io"
	"os"
)

// streamIn is what comes in on a stream. Its fields are guarded by Stream.mu
// but for what the holder of Stream.reading alone touches.
type streamIn struct {
	// slots are the receives, taken in turn: from head on those that have
	// completed, of which reading reads, and then those in flight.
	slots        []inSlot
	head         int       // changed with reading held too
	pos          int       // bytes of head that were read; guarded by reading
	reposts      []Request // scratch
	readDeadline streamDeadline
}

// An inSlot is the place of one message.
type inSlot struct {
	memory []byte // immutable
	ready  bool   // it has completed
	n      int    // bytes of the message; -1 when it carries none of the stream
	err    error
}

func (in *streamIn) init(memory []byte, count int) {
	size := len(memory) / count
	in.slots = make([]inSlot, count)
	for i := range in.slots {
		in.slots[i].memory = memory[i*size:][:size:size]
	}
	in.reposts = make([]Request, 0, count)
}

// Read reads what has arrived into p, waiting for some. It returns io.EOF when
// the other side has sent everything. An empty p is never waited for.
func (s *Stream) Read(p []byte) (int, error) {
	s.reading.Lock()
	defer s.reading.Unlock()
	n, err := s.awaitInput(len(p) == 0)
	if err == io.EOF {
		return 0, err
	}
	if err != nil {
		return 0, s.opError("read", err)
	}
	read, consumed := s.copyOut(p, n)
	if consumed > 0 {
		s.mu.Lock()
		s.receive(consumed)
		s.leave()
	}
	return read, nil
}

// awaitInput returns how many messages with bytes there are to read, waiting
// for one unless just looking.
func (s *Stream) awaitInput(look bool) (n int, err error) {
	s.mu.Lock()
	defer s.leave()
	var w waitState
	for polled := false; ; polled = true {
		switch slot := &s.slots[s.head]; {
		case s.closed:
			return 0, errStreamClosed
		case s.readDeadline.expired:
			return 0, os.ErrDeadlineExceeded
		case look:
			return 0, nil
		case !slot.ready:
		case slot.err != nil:
			return 0, slot.err
		case slot.n == 0:
			return 0, io.EOF
		case slot.n < 0:
			s.receive(1)
			continue
		default:
			w.hit(s.ch)
			return s.readable(), nil
		}
		if !polled {
			s.reap()
			w = s.ch.startWait()
			continue
		}
		s.wait(roleReader, &w)
	}
}

// readable returns how many messages with bytes are ready, from head on.
func (s *Stream) readable() (n int) {
	for n < len(s.slots) {
		if slot := s.slot(n); !slot.ready || slot.err != nil || slot.n <= 0 {
			break
		}
		n++
	}
	return n
}

// slot returns the one i places after head.
func (in *streamIn) slot(i int) *inSlot { return &in.slots[(in.head+i)%len(in.slots)] }

// copyOut copies from up to n messages, and returns how many bytes and from how
// many messages all of them. Those messages are nobody else's.
func (s *Stream) copyOut(p []byte, n int) (read, consumed int) {
	for consumed < n && read < len(p) {
		slot := s.slot(consumed)
		k := copy(p[read:], slot.memory[s.pos:slot.n])
		read += k
		if s.pos += k; s.pos == slot.n {
			s.pos = 0
			consumed++
		}
	}
	return read, consumed
}

// receive posts the receives of the next n slots again. What cannot be posted
// fails for the Read that gets there.
func (s *Stream) receive(n int) {
	reqs := s.reposts[:0]
	for i := range n {
		slot := s.slot(i)
		slot.ready, slot.n, slot.err = false, 0, nil
		reqs = append(reqs, Request{ID: uint64((s.head + i) % len(s.slots)), Op: OpRecv, Data: slot.memory})
	}
	first := s.head
	s.head = (s.head + n) % len(s.slots)
	posted, err := s.post(reqs)
	for i := posted; i < n; i++ {
		slot := &s.slots[(first+i)%len(s.slots)]
		slot.ready, slot.err = true, err
	}
}

// received notes the completion of a receive.
func (s *Stream) received(c *Completion) {
	slot := &s.slots[c.ID]
	slot.ready, slot.n, slot.err = true, int(c.N), c.Err
	if c.Flags&Immediate != 0 {
		slot.n = -1
	}
	if int(c.ID) == s.head {
		s.tell(roleReader)
	}
}
