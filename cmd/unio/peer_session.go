package main

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/unio-stack/unio"
	"github.com/unio-stack/unio/provider/rdma"
)

// What the two ends say of themselves in their private data.
const (
	sinkGreeting = "sink" // all of the request's: do not send messages back
	echoPromise  = "echo" // behind the key in the reply: messages come back
)

// A session is one connection at the peer. It has numbered slots, each with
// memory for a message and one request in flight: a Recv, or the Send of what
// came. A connection begins with a few and gets more as it uses them, so that
// one at rest costs little.
type session struct {
	ch      *unio.Channel
	memory  *unio.Buffer
	message int // bytes of each slot's memory
	slots   int // in use
	most    int
	batch   *peerBatch                        // nil while it waits
	done    [sessionBatch / 2]unio.Completion // as many as are looked at at a time
	sink    bool
	tally   *peerTally
	batches *sync.Pool // of *peerBatch, shared with the other sessions
}

// A peerBatch is room for requests until they are posted: never more than grow
// and answer make at a time.
type peerBatch struct {
	requests [2 * sessionBatch]unio.Request
	n        int
}

func (b *peerBatch) add(r unio.Request) {
	b.requests[b.n] = r
	b.n++
}

const (
	firstSlots   = 8
	sessionBatch = 16 // requests posted at a time
)

// attend serves one peer until it is gone or ctx ends. It is a goroutine for
// each peer, which sleeps unless there are messages.
func (p *peer) attend(ctx context.Context, conn *rdma.Conn) {
	p.tally.open.Add(1)
	defer p.tally.open.Add(-1)
	p.tally.accepted.Add(1)
	s, err := newSession(conn, p)
	if err == nil {
		err = s.run(ctx)
		_ = conn.Close() // as far as the peer still listens
		_ = s.memory.Free()
	} else {
		_ = conn.Close()
	}
	p.explain(conn, err)
}

// explain says why a connection ended, unless one of the two wanted it to.
func (p *peer) explain(conn *rdma.Conn, err error) {
	var request *unio.OpError
	if err != nil && !errors.As(err, &request) && !errors.Is(err, context.Canceled) && !errors.Is(err, unio.ErrClosed) {
		fmt.Fprintf(p.sh.err, "unio: peer %s: %v\n", conn.RemoteAddr(), err)
	}
	for _, r := range conn.Device().Errors() {
		if !errors.As(r.Err, &request) { // those in flight failed with the connection
			fmt.Fprintf(p.sh.err, "unio: %v\n", r.Err)
		}
	}
}

func newSession(conn *rdma.Conn, p *peer) (*session, error) {
	ch, message := conn.Channel(), int(p.flags.message)
	memory, err := unio.NewBuffer(ch.Depth() * message)
	if err != nil {
		return nil, err
	}
	return &session{
		ch: ch, memory: memory, message: message, most: ch.Depth(),
		sink: string(conn.PeerData()) == sinkGreeting, tally: &p.tally, batches: &p.batches,
	}, nil
}

// grow takes up to n more slots into use.
func (s *session) grow(n int) {
	for n = min(n, s.most-s.slots); n > 0; n-- {
		s.receive(uint64(s.slots))
		s.slots++
	}
}

// receive has slot i take the next message.
func (s *session) receive(i uint64) {
	s.batch.add(unio.Request{ID: i, Op: unio.OpRecv, Data: s.slot(i)})
}

func (s *session) slot(i uint64) []byte {
	at := int(i) * s.message
	return s.memory.Bytes()[at : at+s.message : at+s.message]
}

// sending marks the ID of a Send, which is otherwise the slot's number.
const sending = 1 << 63

// run returns why the connection, or ctx, has ended.
func (s *session) run(ctx context.Context) error {
	s.begin()
	s.grow(firstSlots)
	for {
		err := s.post()
		if err != nil {
			return err
		}
		n, err := s.ch.Wait(ctx, s.done[:])
		if err != nil {
			return err
		}
		s.begin()
		if err := s.answer(s.done[:n]); err != nil {
			return err
		}
	}
}

// begin makes room for a batch.
func (s *session) begin() { s.batch = s.batches.Get().(*peerBatch) }

func (s *session) post() error {
	_, err := s.ch.Post(s.batch.requests[:s.batch.n]...)
	clear(s.batch.requests[:s.batch.n])
	s.batch.n = 0
	s.batches.Put(s.batch)
	s.batch = nil
	return err
}

// answer makes a batch of what is to follow what has ended.
func (s *session) answer(done []unio.Completion) error {
	messages, returned, bytes := 0, 0, int64(0)
	for i := range done {
		c := &done[i]
		switch {
		case c.Err != nil:
			return c.Err
		case c.ID&sending != 0:
			s.receive(c.ID &^ sending)
			continue
		case s.sink || c.Flags&unio.Immediate != 0:
			s.receive(c.ID)
		default:
			returned++
			s.batch.add(unio.Request{ID: c.ID | sending, Op: unio.OpSend, Data: s.slot(c.ID)[:c.N]})
		}
		messages++
		bytes += c.N
	}
	if 2*messages >= min(s.slots, sessionBatch) { // the peer waits for Recvs, perhaps
		s.grow(sessionBatch)
	}
	s.tally.messages.Add(int64(messages))
	s.tally.returned.Add(int64(returned))
	s.tally.bytes.Add(bytes)
	return nil
}
