package unio

import "time"

// A streamDeadline is guarded by Stream.mu.
type streamDeadline struct {
	at      time.Time // zero: none
	expired bool
	timer   *time.Timer // nil until there is a deadline
}

// SetDeadline sets both deadlines; see [Stream.SetReadDeadline].
func (s *Stream) SetDeadline(t time.Time) error {
	if err := s.SetReadDeadline(t); err != nil {
		return err
	}
	return s.SetWriteDeadline(t)
}

// SetReadDeadline makes Reads, also those that wait already, fail with
// os.ErrDeadlineExceeded from t on, even if there is something to read. The
// zero time makes them wait for ever.
func (s *Stream) SetReadDeadline(t time.Time) error {
	return s.setDeadline(&s.readDeadline, roleReader, t)
}

// SetWriteDeadline does for Writes what SetReadDeadline does for Reads. A Write
// that fails may have sent a part: it says how much.
func (s *Stream) SetWriteDeadline(t time.Time) error {
	return s.setDeadline(&s.writeDeadline, roleWriter, t)
}

func (s *Stream) setDeadline(d *streamDeadline, r streamRole, t time.Time) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return s.opError("set", errStreamClosed)
	}
	d.stop()
	if d.at = t; t.IsZero() {
		return nil
	}
	left := time.Until(t)
	switch {
	case left <= 0:
		d.expired = true
		s.tell(r)
	case d.timer == nil:
		d.timer = time.AfterFunc(left, func() { s.expire(d, r) })
	default:
		d.timer.Reset(left)
	}
	return nil
}

// expire is called by the timer, perhaps for a deadline that has been moved.
func (s *Stream) expire(d *streamDeadline, r streamRole) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if d.at.IsZero() || s.closed {
		return
	}
	if left := time.Until(d.at); left > 0 {
		d.timer.Reset(left)
		return
	}
	d.expired = true
	s.tell(r)
}

func (d *streamDeadline) stop() {
	d.expired = false
	if d.timer != nil {
		d.timer.Stop()
	}
}
