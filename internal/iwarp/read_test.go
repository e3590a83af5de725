package iwarp

import (
	"bytes"
	"encoding/hex"
	"math"
	"testing"
)

func readable(data []byte) *buffer { return &buffer{data: data, mayRead: true} }
func sink(n int) *buffer           { return &buffer{data: make([]byte, n), mayWr: true} }

func TestRead(t *testing.T) {
	a, b := newPair(t, pairConfig{Settings: Settings{CRC: true}})
	data := pattern(5000)
	b.buffers[9], a.buffers[3] = readable(data), sink(5000)
	a.send(func(s *Sender) error {
		return s.Read(ReadRequest{SinkSTag: 3, SinkTO: 100, Size: 4000, SourceSTag: 9, SourceTO: 700}, 42)
	})
	if a.stream.Sender().Outstanding() != 1 {
		t.Error("request is not outstanding")
	}
	a.deliverTo(b, nil)
	if b.stream.Sender().Waiting() != 1 {
		t.Error("request does not wait")
	}
	exchange(a, b, nil)
	if !bytes.Equal(a.buffers[3].data[100:4100], data[700:4700]) {
		t.Error("not the octets that were asked for")
	}
	if len(a.got) != 1 || a.got[0].op != OpReadResponse || a.got[0].id != 42 || a.got[0].length != 4000 {
		t.Errorf("delivered %+v", a.got)
	}
	if a.stream.Sender().Outstanding() != 0 || b.stream.Sender().Waiting() != 0 {
		t.Error("request is not over")
	}
}

// TestReadOctets: the octets that Linux siw sends for the same Read (p2p-read-rtr-crc.pcap, frame 8).
func TestReadOctets(t *testing.T) {
	a, b := newPair(t, pairConfig{Settings: Settings{CRC: true}})
	a.send(func(s *Sender) error { return s.Read(ReadRequest{SourceSTag: 1}, 0) })
	want := "002e4141" + "00000000" + "00000001" + "00000001" + "00000000" +
		"00000000" + "0000000000000000" + "00000000" + "00000001" + "0000000000000000" + "ba10e3c9"
	if got := hex.EncodeToString(a.wire); got != want {
		t.Errorf("request  %s\nwant %s", got, want)
	}
	a.deliverTo(b, nil)
	b.answer()
	if got := hex.EncodeToString(b.wire); got != "000ec142000000000000000000000000"+"6975d6ca" {
		t.Errorf("response %s", got)
	}
}

// TestReadDepth: no more than ORD requests are outstanding (RFC 5040 section 6.1), Atomics counted (RFC 7306 section 5.2).
func TestReadDepth(t *testing.T) {
	a, b := newPair(t, pairConfig{Settings: Settings{IRD: 2, ORD: 2}})
	b.buffers[9] = &buffer{data: make([]byte, 8), mayRead: true, mayWr: true}
	a.send(func(s *Sender) error { return s.Read(ReadRequest{}, 1) })
	a.send(func(s *Sender) error { return s.Atomic(AtomicRequest{STag: 9}, 2) })
	s := a.stream.Sender()
	wantErr(t, s.Read(ReadRequest{}, 3), ErrOutstanding)
	wantErr(t, s.Atomic(AtomicRequest{}, 3), ErrOutstanding)
	exchange(a, b, nil)
	must(t, s.Read(ReadRequest{}, 3))
	if len(a.got) != 2 || a.got[0].id != 1 || a.got[1].id != 2 {
		t.Errorf("delivered %+v", a.got)
	}
}

func TestReadSink(t *testing.T) {
	a, _ := newPair(t, pairConfig{})
	wantErr(t, a.stream.Sender().Read(ReadRequest{SinkTO: math.MaxUint64, Size: 1}, 0), ErrLength)
	if a.stream.Sender().Outstanding() != 0 {
		t.Error("a failed request is outstanding")
	}
}

func TestRespond(t *testing.T) {
	a, b := newPair(t, pairConfig{})
	b.talking()
	s := b.stream.Sender()
	wantErr(t, s.Respond(&ReadRequest{}, Payload{}), ErrMisuse)
	a.send(func(s *Sender) error { return s.Read(ReadRequest{Size: 3}, 0) })
	b.buffers[0] = readable(make([]byte, 8))
	a.deliverTo(b, nil)
	wantErr(t, s.Respond(&ReadRequest{Size: 3}, Payload{Data: make([]byte, 4)}), ErrLength)
	must(t, s.Respond(&ReadRequest{Size: 3}, Payload{Data: make([]byte, 3)}))
}

// TestReadCancelled: what comes for a sink that is gone can be dropped, and the stream goes on.
func TestReadCancelled(t *testing.T) {
	a, b := newPair(t, pairConfig{Settings: Settings{CRC: true}})
	b.buffers[9] = readable(pattern(100))
	a.send(func(s *Sender) error { return s.Read(ReadRequest{SinkSTag: 3, Size: 100, SourceSTag: 9}, 42) })
	a.deliverTo(b, nil)
	b.answer()
	r := a.stream.Receiver()
	n, e := r.Step(b.wire)
	if e.Kind != EventPlace || e.ID != 42 {
		t.Fatalf("event %+v", e)
	}
	must(t, r.Placed(b.wire[n:n+100])) // and nobody keeps them
	_, e = r.Step(b.wire[n+100:])
	if e.Kind != EventMessage || e.ID != 42 {
		t.Errorf("event %+v", e)
	}
}

// TestReadResponseViolations: a response must be what was asked for, and nothing else.
func TestReadResponseViolations(t *testing.T) {
	response := func(stag uint32, to uint64, last bool, n int) []byte {
		return fpdu(false, head(Segment{Opcode: OpReadResponse, Tagged: true, Last: last, STag: stag, TO: to}), make([]byte, n))
	}
	for _, c := range []struct {
		name string
		in   []byte
		want Cause
	}{
		{"other STag", response(4, 50, true, 10), CauseTaggedInvalidSTag},
		{"other offset", response(3, 51, true, 10), CauseTaggedBounds},
		{"too long", response(3, 50, true, 11), CauseTaggedBounds},
		{"too short", response(3, 50, true, 9), CauseCatastrophicStream},
		{"gap", append(response(3, 50, false, 4), response(3, 55, true, 5)...), CauseTaggedBounds},
		{"a Write between its segments", append(response(3, 50, false, 4),
			fpdu(false, head(Segment{Opcode: OpWrite, Tagged: true, Last: true}))...), CauseOpcode},
		{"two for one request", append(response(3, 50, true, 10), response(0, 0, true, 0)...), CauseOpcode},
		{"an Atomic Response", fpdu(false, head(Segment{Opcode: OpAtomicResponse, Queue: 3, MSN: 1, Last: true}), make([]byte, 12)), CauseOpcode},
	} {
		t.Run(c.name, func(t *testing.T) {
			a, _ := newPair(t, pairConfig{})
			a.buffers[3] = sink(100)
			a.send(func(s *Sender) error { return s.Read(ReadRequest{SinkSTag: 3, SinkTO: 50, Size: 10}, 1) })
			a.feed(c.in)
			if a.over == nil || a.over.Err.Cause != c.want {
				t.Errorf("ended with %+v, want %v", a.over, c.want)
			}
		})
	}
}
