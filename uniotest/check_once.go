package uniotest

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/unio-stack/unio"
)

// checkExactlyOnce: whatever is cancelled and closed by whoever, each request
// completes exactly once, and the statistics agree.
func checkExactlyOnce(r *rig) {
	r.needs(unio.OpRead, unio.OpWrite)
	for round := range r.rounds(24) {
		dev := r.dev
		closer := (*unio.Channel).Close
		if round%6 == 5 { // close the whole device instead
			dev = r.cfg.Open(r.T)
			r.adopt(dev)
			closer = func(*unio.Channel) error { return dev.Close() }
		}
		r.storm(dev, closer)
	}
}

// A storm is a channel whose owner posts random requests while others cancel
// them and finally close it.
type storm struct {
	ch       *unio.Channel
	reg      *unio.Region
	ops      unio.OpSet
	patience time.Duration
	rng      *rand.Rand
	buf      []byte // of the requests, in pieces
	silent   []bool // by ID
	count    []int  // completions by ID
	posted   atomic.Int64
	goal     int // requests after which others may close the channel
	full     chan struct{}
}

const (
	stormPiece = 8 << 10
	reached    = 1 << 62 // replaces storm.goal
)

// storm runs one storm on a channel of dev, ended by closer.
func (r *rig) storm(dev *unio.Device, closer func(*unio.Channel) error) {
	r.Helper()
	ch, err := dev.NewChannel(unio.ChannelConfig{Depth: r.depth(1 + r.rng.IntN(48))})
	r.check(err)
	s := &storm{
		ch: ch, reg: r.attach(dev, r.rights()), ops: r.ops, patience: r.cfg.Patience, rng: r.fork(),
		buf: make([]byte, ch.Depth()*stormPiece), goal: 200 + r.rng.IntN(600), full: make(chan struct{}),
	}
	stop := make(chan struct{})
	var others sync.WaitGroup
	others.Go(func() { s.harass(r.fork(), stop) })
	others.Go(func() {
		<-s.full
		if err, ok := within(r.cfg.Patience, func() error { return closer(ch) }); !ok || err != nil {
			r.Errorf("close under load: in time: %v, error: %v", ok, err)
		}
	})
	err = s.own()
	close(stop)
	if s.goal < reached { // it failed early
		close(s.full)
	}
	if errors.Is(err, errLost) {
		r.check(err) // whoever closes the channel would wait forever
	}
	others.Wait()
	r.check(err)
	r.check(s.audit())
}

// own posts and fetches until the channel is closed.
func (s *storm) own() error {
	ctx, stop := context.WithTimeout(context.Background(), s.patience)
	defer stop()
	var done [32]unio.Completion
	for id := 0; ; {
		n, err := s.ch.Post(s.batch(id)...)
		id += n
		if s.posted.Store(int64(id)); id >= s.goal {
			s.goal = reached
			close(s.full)
		}
		switch {
		case errors.Is(err, unio.ErrClosed):
			return s.finish(id)
		case err != nil && !errors.Is(err, unio.ErrFull):
			return err
		}
		k := 0
		if s.rng.IntN(4) == 0 || n == 0 {
			k, err = s.ch.Wait(ctx, done[:1+s.rng.IntN(len(done))])
			if err != nil && !errors.Is(err, unio.ErrClosed) {
				return fmt.Errorf("%w: %d requests posted: %w", errLost, id, err)
			}
		} else {
			k = s.ch.Poll(done[:1+s.rng.IntN(len(done))])
		}
		if err := s.note(id, done[:k]); err != nil {
			return err
		}
	}
}

// finish fetches what is left after the channel was closed.
func (s *storm) finish(id int) error {
	s.silent = s.silent[:id]
	all, err := drain(s.ch, s.patience)
	if err != nil {
		return err
	}
	if n, err := s.ch.Wait(context.Background(), make([]unio.Completion, 1)); n != 0 || !errors.Is(err, unio.ErrClosed) {
		return fmt.Errorf("on a closed channel Wait returns %d, %v; want 0, ErrClosed", n, err)
	}
	return s.note(id, all)
}

// batch makes random requests, of which the first has the given ID.
func (s *storm) batch(id int) []unio.Request {
	reqs := make([]unio.Request, 1+s.rng.IntN(12))
	s.silent = s.silent[:id]
	for i := range reqs {
		q := unio.Request{ID: uint64(id + i), Op: unio.OpRead, Region: s.reg}
		q.Offset = s.rng.Int64N(Size - stormPiece)
		n := 1 + s.rng.IntN(stormPiece)
		switch k := s.rng.IntN(10); {
		case k < 4:
			q.Op = unio.OpWrite
		case k == 4 && s.ops.Has(unio.OpFetchAdd):
			q.Op, q.Offset, q.Swap, n = unio.OpFetchAdd, q.Offset&^7, 1, 0
		case k == 5 && s.ops.Has(unio.OpWriteZeroes):
			q.Op, q.Length, n = unio.OpWriteZeroes, int64(n), 0
		}
		if n > 0 {
			q.Data = s.memory(id+i, n, q.Op)
		}
		if s.rng.IntN(6) == 0 {
			q.Flags |= unio.Fence
		}
		if s.rng.IntN(6) == 0 {
			q.Flags |= unio.Silent
		}
		s.silent = append(s.silent, q.Flags&unio.Silent != 0)
		reqs[i] = q
	}
	return reqs
}

// memory returns memory for a request: shared by writes, private to reads.
func (s *storm) memory(id, n int, op unio.Opcode) []byte {
	if op == unio.OpWrite {
		at := id % s.ch.Depth() * stormPiece
		return s.buf[at : at+n]
	}
	return make([]byte, n)
}

// note counts completions.
func (s *storm) note(posted int, done []unio.Completion) error {
	for len(s.count) < posted {
		s.count = append(s.count, 0)
	}
	for _, c := range done {
		if c.ID >= uint64(posted) {
			return fmt.Errorf("%w: completion of request %d of %d", errLost, c.ID, posted)
		}
		if s.count[c.ID]++; s.count[c.ID] > 1 {
			return fmt.Errorf("%w: request %d completed twice", errLost, c.ID)
		}
		var oe *unio.OpError
		switch {
		case c.Err == nil && s.silent[c.ID]:
			return fmt.Errorf("silent request %d succeeded and has a completion", c.ID)
		case c.Err != nil && !(errors.Is(c.Err, unio.ErrCanceled) && errors.As(c.Err, &oe)):
			return fmt.Errorf("request %d: %w, want success or an OpError that is ErrCanceled", c.ID, c.Err)
		}
	}
	return nil
}

// audit checks that nothing is missing once the channel is closed.
func (s *storm) audit() error {
	for id, n := range s.count {
		if n == 0 && !s.silent[id] {
			return fmt.Errorf("request %d of %d never completed", id, len(s.count))
		}
	}
	st := s.ch.Stats()
	if st.Posted != int64(len(s.count)) || st.Completed != st.Posted {
		return fmt.Errorf("statistics count %d posted and %d completed of %d requests", st.Posted, st.Completed, len(s.count))
	}
	return nil
}

// harass cancels, and asks for statistics, until stop.
func (s *storm) harass(rng *rand.Rand, stop chan struct{}) {
	for {
		select {
		case <-stop:
			return
		default:
		}
		switch id := s.posted.Load(); rng.IntN(16) {
		case 0:
			s.ch.CancelAll()
		case 1:
			_ = s.ch.Stats()
		default:
			s.ch.Cancel(uint64(max(0, id-rng.Int64N(32))))
		}
		time.Sleep(time.Duration(rng.IntN(50)) * time.Microsecond)
	}
}
