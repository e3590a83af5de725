package uniotest

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"github.com/unio-stack/unio"
)

const (
	// stalledAfter is how long nothing completes before a sender counts as
	// stopped by a receiver that receives nothing.
	stalledAfter = 150 * time.Millisecond
	// maxUnreceived bytes may have left a sender at most, with nothing received.
	maxUnreceived = 64 << 20
)

// checkPeersBackpressure: who receives slowly, or not at all, slows its sender
// and nobody else; the connection lives, holds a bounded amount of memory, and
// loses nothing.
func checkPeersBackpressure(d *duo) {
	s := &stalled{duo: d, size: max(numberedSize, min(d.longest(), 64<<10))}
	s.cells = make([][]byte, d.a.Channel.Depth())
	for i := range s.cells {
		s.cells[i] = make([]byte, s.size)
		s.free = append(s.free, i)
	}
	const back = 4
	for i := range back { // so that b can talk to a meanwhile
		s.post(unio.Request{ID: recvID + uint64(i), Op: unio.OpRecv, Data: make([]byte, numberedSize)})
	}
	s.fill()
	d.Logf("with no Recv posted %d messages of %d bytes have left their sender, %d wait", s.left, s.size, s.posted-s.left)
	for i := range back {
		d.check(d.send(d.b, unio.Request{Op: unio.OpSend, Data: make([]byte, i)}))
	}
	s.await("messages the other way", func() bool { return s.heard == back })
	s.drainSlowly()
	d.alive(d.a, d.b)
}

// stalled is a sender whose messages nobody receives for some time.
type stalled struct {
	*duo
	size         int
	cells        [][]byte // memory of messages, by ID
	free         []int    // of them, those not in flight
	posted, left int      // messages; of them, those that have completed
	heard        int      // messages from the other side
}

func (s *stalled) post(q unio.Request) {
	s.Helper()
	if n, err := s.a.Channel.Post(q); n != 1 {
		s.Fatal(err)
	}
}

// fill sends until nothing completes any more.
func (s *stalled) fill() {
	s.Helper()
	began := time.Now()
	for last := time.Now(); time.Since(last) < stalledAfter; {
		if s.advance() {
			last = time.Now()
		}
		if s.left*s.size > maxUnreceived {
			s.Fatalf("%d messages of %d bytes have been sent although nothing is received: memory is not bounded", s.left, s.size)
		}
		if time.Since(began) > s.cfg.Patience {
			s.Fatalf("after %v messages still complete although nothing is received", time.Since(began))
		}
	}
}

// advance posts what there is room for and fetches what has completed. It
// reports whether anything has.
func (s *stalled) advance() bool {
	s.Helper()
	for len(s.free) > 0 {
		i := s.free[len(s.free)-1]
		binary.LittleEndian.PutUint64(s.cells[i], uint64(s.posted))
		n, err := s.a.Channel.Post(unio.Request{ID: uint64(i), Op: unio.OpSend, Data: s.cells[i]})
		if n == 0 && errors.Is(err, unio.ErrFull) {
			break
		}
		s.check(err)
		s.free, s.posted = s.free[:len(s.free)-1], s.posted+1
	}
	return s.fetch()
}

func (s *stalled) fetch() bool {
	s.Helper()
	ctx, stop := context.WithTimeout(context.Background(), 10*time.Millisecond)
	defer stop()
	var done [16]unio.Completion
	n, err := s.a.Channel.Wait(ctx, done[:])
	if err != nil && !errors.Is(err, context.DeadlineExceeded) {
		s.Fatal(err)
	}
	for _, c := range done[:n] {
		if c.Err != nil {
			s.Fatalf("while nothing was received request %#x failed: %v", c.ID, c.Err)
		}
		if c.ID >= recvID {
			s.heard++
			continue
		}
		s.left++
		s.free = append(s.free, int(c.ID))
	}
	return n > 0
}

func (s *stalled) await(what string, cond func() bool) {
	s.Helper()
	for began := time.Now(); !cond(); s.fetch() {
		if time.Since(began) > s.cfg.Patience {
			s.check(fmt.Errorf("%w: %s within %v", errLost, what, s.cfg.Patience))
		}
	}
}

// drainSlowly receives everything: the first messages one at a time.
func (s *stalled) drainSlowly() {
	s.Helper()
	buf := make([]byte, s.size)
	for i := 0; i < s.posted; i++ {
		done, err := drive(s.b.Channel, s.cfg.Patience, []unio.Request{{Op: unio.OpRecv, Data: buf}})
		s.check(err)
		if c := done[0]; c.Err != nil || c.N != int64(s.size) || number(buf) != uint64(i) {
			s.Fatalf("message %d, which had to wait, was received as %+v with number %d", i, c, number(buf))
		}
		if i < 8 {
			time.Sleep(time.Millisecond)
			s.fetch()
		}
	}
	s.await("all messages to be sent", func() bool { return s.left == s.posted })
}

// checkPeersDepth: messages and receives take places of the channel, as many as
// it has, until their completions are fetched.
func checkPeersDepth(d *duo) {
	ch := d.a.Channel
	for _, op := range []unio.Opcode{unio.OpRecv, unio.OpSend} {
		reqs := make([]unio.Request, 2*ch.Depth()+3)
		for i := range reqs {
			reqs[i] = unio.Request{ID: uint64(i), Op: op, Data: make([]byte, numberedSize)}
		}
		if n, err := ch.Post(reqs...); n != ch.Depth() || !errors.Is(err, unio.ErrFull) {
			d.Fatalf("Post of %d %v to a channel of depth %d accepted %d, %v", len(reqs), op, ch.Depth(), n, err)
		}
		partner := unio.Request{Op: unio.OpSend}
		if op == unio.OpSend {
			partner = unio.Request{Op: unio.OpRecv, Data: make([]byte, numberedSize)}
		}
		partners := make([]unio.Request, ch.Depth())
		for i := range partners {
			partners[i] = partner
		}
		_, err := succeedPartly(d.b.Channel, d.cfg.Patience, partners[:1])
		d.check(err)
		one := make([]unio.Completion, 1)
		ctx, stop := context.WithTimeout(context.Background(), d.cfg.Patience)
		if n, err := ch.Wait(ctx, one); n != 1 || one[0].Err != nil {
			d.check(fmt.Errorf("%w: %d completions of %v, %+v, %w", errLost, n, op, one, err))
		}
		stop()
		if n, err := ch.Post(reqs...); n != 1 || !errors.Is(err, unio.ErrFull) {
			d.Fatalf("a full channel of depth %d accepted %d %v after one completion, %v; want 1, ErrFull", ch.Depth(), n, op, err)
		}
		_, err = succeedPartly(d.b.Channel, d.cfg.Patience, partners)
		d.check(err)
		if got := len(d.drain(ch)); got != ch.Depth() {
			d.Errorf("%d completions of %v were left of a channel of depth %d", got, op, ch.Depth())
		}
	}
}

// succeedPartly is succeed for receives, which may get less than they ask for.
func succeedPartly(ch *unio.Channel, patience time.Duration, reqs []unio.Request) ([]unio.Completion, error) {
	done, err := drive(ch, patience, reqs)
	if err != nil {
		return nil, err
	}
	for i, c := range done {
		if c.Err != nil {
			return nil, fmt.Errorf("%s failed: %w", describe(&reqs[i]), c.Err)
		}
	}
	return done, nil
}
