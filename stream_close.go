package unio

import (
	"cmp"
	"fmt"
	"time"
)

// Close ends the stream: it gets waiting calls out, which fail with
// net.ErrClosed, tells the other side that no more will come, waits until what
// was written has left, but no longer than StreamConfig.Linger, and closes the
// channel. What arrives meanwhile is discarded. It returns an error when some of
// what Write has taken did not leave and no Write has said so, and calls
// OnClose. It is idempotent; concurrent calls return together, with the same
// error.
func (s *Stream) Close() error {
	s.closing.Do(func() { s.closeErr = s.opError("close", s.close()) })
	return s.closeErr
}

func (s *Stream) close() error {
	s.mu.Lock()
	s.closed = true
	s.tell(roleReader)
	s.tell(roleWriter)
	s.mu.Unlock()
	s.stopReading()
	s.stopWriting()
	err := s.flush()
	err = cmp.Or(err, s.ch.Close())
	s.mu.Lock()
	s.readDeadline.stop()
	s.writeDeadline.stop()
	s.mu.Unlock()
	err = cmp.Or(err, s.memory.Free())
	if s.cfg.OnClose != nil {
		err = cmp.Or(err, s.cfg.OnClose())
	}
	return err
}

// stopReading returns when no Read is at work. Later ones find out that the
// stream is closed, and touch no memory.
func (s *Stream) stopReading() {
	s.reading.Lock()
	defer s.reading.Unlock()
	s.pos = 0 // what was not read is discarded
}

// stopWriting does the same for Write, and posts the end of the stream. If that
// fails so does what is in flight, or nothing is.
func (s *Stream) stopWriting() {
	s.writing.Lock()
	defer s.writing.Unlock()
	s.mu.Lock()
	defer s.mu.Unlock()
	_ = s.end()
}

// flush waits until everything has left, or says why not.
func (s *Stream) flush() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	over := s.cfg.Linger < 0
	if !over {
		t := time.AfterFunc(s.cfg.Linger, func() {
			s.mu.Lock()
			over = true
			s.tell(roleCloser)
			s.mu.Unlock()
		})
		defer t.Stop()
	}
	s.reap()
	for w := s.ch.startWait(); s.pending() && !over; {
		s.discard()
		s.wait(roleCloser, &w)
	}
	switch {
	case s.failed != nil && !s.reported:
		return s.failed
	case s.pending():
		err := fmt.Errorf("%w: %d messages that were written, and the end of the stream, did not leave within %v",
			ErrTimeout, len(s.order), s.cfg.Linger)
		s.withdraw()
		return err
	}
	return nil
}

// pending reports whether something is to leave that still may.
func (s *Stream) pending() bool { return s.failed == nil && (len(s.order) > 0 || s.ending) }

// discard makes room for what the other side sends, which may be what keeps it
// from receiving.
func (s *Stream) discard() {
	for slot := s.slot(0); slot.ready && slot.err == nil && slot.n != 0; slot = s.slot(0) {
		s.receive(1)
	}
}

// withdraw cancels what is in flight, the newest first: the other side must not
// get what follows a gap.
func (s *Stream) withdraw() {
	s.ch.Cancel(s.endID())
	s.reap()
	for i := len(s.order) - 1; i >= 0; i = min(i, len(s.order)) - 1 {
		s.ch.Cancel(s.sendID(s.order[i]))
		s.reap()
	}
}
