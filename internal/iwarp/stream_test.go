package iwarp

import (
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
)

func TestStreamConfig(t *testing.T) {
	for name, c := range map[string]struct {
		s   Settings
		cfg StreamConfig
	}{
		"small FPDU": {Settings{}, StreamConfig{MaxFPDU: MinFPDU - 1}},
		"large FPDU": {Settings{}, StreamConfig{MaxFPDU: MaxFPDU + 1}},
		"IRD":        {Settings{IRD: MaxDepth + 1}, StreamConfig{}},
		"ORD":        {Settings{ORD: MaxDepth + 1}, StreamConfig{}},
	} {
		if _, err := NewStream(c.s, c.cfg); err == nil || !strings.HasPrefix(err.Error(), ErrConfig.Error()) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for _, size := range []int{MinFPDU, MaxFPDU} {
		if _, err := NewStream(Settings{ORD: MaxDepth}, StreamConfig{MaxFPDU: size}); err != nil {
			t.Error(err)
		}
	}
}

// TestResponderWaits: "MPA Responder mode implementations MUST receive and validate at least one FPDU before sending any"
// (RFC 5044 section 7.1.2, rule 4).
func TestResponderWaits(t *testing.T) {
	a, b := newPair(t, pairConfig{Settings: Settings{CRC: true}})
	s := b.stream.Sender()
	wantErr(t, s.Write(1, 0, Payload{}), ErrNotReady)
	wantErr(t, s.Read(ReadRequest{}, 0), ErrNotReady)
	wantErr(t, s.Terminate(Terminate{}), ErrNotReady)
	a.send(func(s *Sender) error { return s.Write(1, 0, Payload{}) })
	b.feed(a.wire[:len(a.wire)-1])
	wantErr(t, s.Write(1, 0, Payload{}), ErrNotReady)
	b.feed(a.wire[len(a.wire)-1:])
	must(t, s.Write(1, 0, Payload{}))
}

// TestRTR: RFC 6581 section 9.2; section 5: "MUST NOT allow any later FULPDUs to be transmitted before the RTR indication".
func TestRTR(t *testing.T) {
	for _, c := range []struct {
		rtr RTRSet
		op  Opcode
	}{{RTRSend, OpSend}, {RTRWrite, OpWrite}, {RTRRead, OpReadRequest}} {
		t.Run(c.op.String(), func(t *testing.T) {
			a, b := newPair(t, pairConfig{Settings: Settings{CRC: true, RTR: c.rtr}})
			s := a.stream.Sender()
			wantErr(t, s.Write(1, 0, Payload{}), ErrNotReady)
			if !s.OwesRTR() || b.stream.Sender().OwesRTR() {
				t.Error("who owes an RTR?")
			}
			a.send((*Sender).RTR)
			must(t, s.RTR()) // does nothing
			in := a.wire
			if _, e := b.stream.Receiver().Step(in); e.Kind != EventMessage || !e.RTR || e.Segment.Opcode != c.op {
				t.Errorf("event %+v", e)
			}
			if c.rtr == RTRRead {
				b.send(func(s *Sender) error { return s.Respond(&ReadRequest{}, Payload{}) })
				if _, e := a.stream.Receiver().Step(b.wire); e.Kind != EventMessage || !e.RTR || e.Segment.Opcode != OpReadResponse {
					t.Errorf("event %+v", e)
				}
			}
			checkNoSecondRTR(t, a, b, c.op)
		})
	}
}

// checkNoSecondRTR: only the first message can be one.
func checkNoSecondRTR(t *testing.T, a, b *peer, op Opcode) {
	t.Helper()
	a.wire = nil
	a.send(func(s *Sender) error {
		switch op {
		case OpSend:
			return s.Send(SendOptions{}, Payload{})
		case OpWrite:
			return s.Write(1, 0, Payload{})
		}
		return s.Read(ReadRequest{}, 0)
	})
	if _, e := b.stream.Receiver().Step(a.wire); e.Kind != EventMessage || e.RTR {
		t.Errorf("event %+v", e)
	}
}

// TestNoRTR: an initiator that begins with something else after all, as Linux siw may.
func TestNoRTR(t *testing.T) {
	a, b := newPair(t, pairConfig{Settings: Settings{RTR: RTRWrite}})
	a.stream.sender.rtr = 0
	b.posted = [][]byte{make([]byte, 8)}
	a.send(func(s *Sender) error { return s.Send(SendOptions{}, Payload{Data: pattern(5)}) })
	exchange(a, b, nil)
	if len(b.got) != 1 || b.got[0].rtr {
		t.Errorf("delivered %+v", b.got)
	}
}

// TestRTRWithoutRequest: it stays owed if it cannot be sent.
func TestRTRWithoutRequest(t *testing.T) {
	st, err := NewStream(Settings{Initiator: true, RTR: RTRRead}, StreamConfig{})
	must(t, err)
	wantErr(t, st.Sender().RTR(), ErrOutstanding)
	if !st.Sender().OwesRTR() {
		t.Error("RTR is no longer owed")
	}
}

// TestHalvesApart: the halves of both streams run in four goroutines, under the race detector.
func TestHalvesApart(t *testing.T) {
	const rounds = 5000
	a, b := newPair(t, pairConfig{Settings: Settings{CRC: true, IRD: 4, ORD: 4}})
	b.talking()
	toB, toA, asked := make(chan []byte, 8), make(chan []byte, 8), make(chan ReadRequest, 4)
	room := make(chan struct{}, 4)
	var all sync.WaitGroup
	all.Go(func() { // a sends
		defer close(toB)
		for i := range uint64(rounds) {
			room <- struct{}{}
			toB <- octetsOf(t, a, func(s *Sender) error { return s.Read(ReadRequest{SinkTO: i}, i) })
		}
	})
	all.Go(func() { // b receives
		defer close(asked)
		for in := range toB {
			if _, e := b.stream.Receiver().Step(in); e.Kind == EventMessage {
				asked <- e.Read
			}
		}
	})
	all.Go(func() { // b sends
		defer close(toA)
		for q := range asked {
			toA <- octetsOf(t, b, func(s *Sender) error { return s.Respond(&q, Payload{}) })
		}
	})
	var got []uint64
	all.Go(func() { // a receives
		for in := range toA {
			if _, e := a.stream.Receiver().Step(in); e.Kind == EventMessage {
				got = append(got, e.ID)
				<-room
			}
		}
	})
	all.Wait()
	if len(got) != rounds || !slices.IsSorted(got) {
		t.Errorf("%d responses", len(got))
	}
}

func octetsOf(t *testing.T, p *peer, begin func(*Sender) error) []byte {
	if err := begin(p.stream.Sender()); err != nil {
		t.Error(err)
	}
	p.stream.Sender().Fill(p.batch)
	octets := slices.Concat(p.batch.Buffers()...)
	p.batch.Reset()
	return octets
}

// TestRequests: the queue holds ORD requests, whatever ORD, also where its numbers wrap.
func TestRequests(t *testing.T) {
	for _, ord := range []uint16{0, 1, 3, 8, 64} {
		q := newRequests(ord)
		q.pushed.Store(^uint32(0) - 2)
		q.popped.Store(^uint32(0) - 2)
		id := uint64(0)
		for range 20 {
			first := id
			for q.push(request{id: id}) {
				id++
			}
			if q.len() != int(ord) {
				t.Fatalf("ORD %d: %d requests", ord, q.len())
			}
			for r := q.oldest(); r != nil; r = q.oldest() {
				if r.id != first {
					t.Fatalf("request %d instead of %d", r.id, first)
				}
				first++
				q.pop()
			}
		}
	}
}

// TestRequestsOfTwo: the Sender makes room while the Receiver takes out.
func TestRequestsOfTwo(t *testing.T) {
	const ord, count = 50, 20_000
	q := newRequests(ord)
	q.pushed.Store(^uint32(0) - count/2)
	q.popped.Store(^uint32(0) - count/2)
	var both sync.WaitGroup
	both.Go(func() {
		for id := uint64(0); id < count; {
			if q.push(request{id: id}) {
				id++
			} else {
				runtime.Gosched()
			}
		}
	})
	both.Go(func() {
		for id := uint64(0); id < count; {
			r := q.oldest()
			if r == nil {
				runtime.Gosched()
				continue
			}
			if r.id != id {
				t.Errorf("request %d instead of %d", r.id, id)
			}
			q.pop()
			id++
		}
	})
	both.Wait()
	if n := len(q.in.ring); n > 2*ord {
		t.Errorf("a ring of %d for %d requests", n, ord)
	}
}
