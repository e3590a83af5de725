package unio

import (
	"cmp"
	"io"
	"os"
	"slices"
)

// streamOut is what goes out on a stream. Its fields are guarded by Stream.mu.
type streamOut struct {
	cells    [][]byte // memory of messages; immutable, their bytes belong to who has the cell
	free     []int    // cells that no message in flight uses
	order    []int    // cells in flight, oldest first
	ended    bool     // the end of the stream was posted, or there is no way to
	ending   bool     // it is in flight
	failed   error    // why a message has not left; what follows will not either
	reported bool     // some Write has returned failed

	writeDeadline streamDeadline
}

func (out *streamOut) init(memory []byte, count int) {
	size := len(memory) / count
	out.cells = make([][]byte, count)
	out.free, out.order = make([]int, count), make([]int, 0, count)
	for i := range out.cells {
		out.cells[i] = memory[i*size:][:size:size]
		out.free[i] = count - 1 - i
	}
}

// Write sends p. It returns when all of it is copied into messages that are
// posted, or how much is; p is the caller's again.
func (s *Stream) Write(p []byte) (n int, err error) {
	s.writing.Lock()
	defer s.writing.Unlock()
	for {
		i, err := s.awaitCell(len(p) == 0)
		if err != nil {
			return n, s.opError("write", err)
		}
		if len(p) == 0 {
			return 0, nil
		}
		k := copy(s.cells[i], p[n:])
		if err := s.send(i, k); err != nil {
			return n, s.opError("write", err)
		}
		if n += k; n == len(p) {
			return n, nil
		}
	}
}

// awaitCell takes a cell, waiting for one unless just looking.
func (s *Stream) awaitCell(look bool) (i int, err error) {
	s.mu.Lock()
	defer s.leave()
	var w waitState
	for polled := false; ; polled = true {
		if err := s.mayWrite(); err != nil || look {
			return 0, err
		}
		if n := len(s.free); n > 0 {
			i = s.free[n-1]
			s.free = s.free[:n-1]
			w.hit(s.ch)
			return i, nil
		}
		if !polled {
			s.reap()
			w = s.ch.startWait()
			continue
		}
		s.wait(roleWriter, &w)
	}
}

// mayWrite says why nothing can be written, or nil.
func (s *Stream) mayWrite() error {
	switch {
	case s.closed:
		return errStreamClosed
	case s.writeDeadline.expired:
		return os.ErrDeadlineExceeded
	case s.failed != nil:
		s.reported = true
		return s.failed
	}
	return s.closedPipe()
}

// closedPipe says that CloseWrite was called, if it was.
func (s *Stream) closedPipe() error {
	if s.ended {
		return io.ErrClosedPipe
	}
	return nil
}

// send posts the first n bytes of a cell that the caller has taken.
func (s *Stream) send(i, n int) error {
	s.mu.Lock()
	defer s.leave()
	if err := cmp.Or(s.failed, s.closedPipe()); err != nil { // since the cell was taken
		s.free = append(s.free, i)
		s.reported = s.failed != nil
		return err
	}
	s.order = append(s.order, i)
	req := [1]Request{{ID: s.sendID(i), Op: OpSend, Data: s.cells[i][:n]}}
	if _, err := s.post(req[:]); err != nil {
		s.release(i)
		s.failed = cmp.Or(s.failed, err)
		s.reported = true
		return err
	}
	return nil
}

func (s *Stream) sendID(i int) uint64 { return uint64(len(s.slots) + i) }

// endID is the ID of the message that ends the stream.
func (s *Stream) endID() uint64 { return s.sendID(len(s.cells)) }

// release frees a cell in flight.
func (s *Stream) release(i int) {
	at := slices.Index(s.order, i)
	s.order = slices.Delete(s.order, at, at+1)
	s.free = append(s.free, i)
}

// sent notes the completion of a message.
func (s *Stream) sent(c *Completion) {
	if c.ID == s.endID() {
		s.ending = false
	} else {
		s.release(int(c.ID) - len(s.slots))
		if c.Err != nil && s.failed == nil {
			s.failed = c.Err
		}
		s.tell(roleWriter)
	}
	s.tell(roleCloser)
}

// CloseWrite says to the other side that no more will be written: it reads
// io.EOF after everything that was. It does not wait. Later Writes fail with
// io.ErrClosedPipe; reading goes on.
func (s *Stream) CloseWrite() error {
	s.mu.Lock()
	defer s.leave()
	if s.closed {
		return s.opError("close", errStreamClosed)
	}
	return s.opError("close", s.end())
}

// end posts the message that ends the stream, once.
func (s *Stream) end() error {
	if s.ended {
		return nil
	}
	s.ended = true
	if s.failed != nil {
		s.tell(roleWriter)
		return s.failed
	}
	s.ending = true
	req := [1]Request{{ID: s.endID(), Op: OpSend}}
	_, err := s.post(req[:])
	if err != nil {
		s.ending = false
	}
	s.tell(roleWriter)
	return err
}
