package iwarp

import "testing"

// TestDecline: a Read that is declined ends without octets where that was agreed on, and ends the stream elsewhere.
func TestDecline(t *testing.T) {
	for _, agreed := range []bool{true, false} {
		a, b := newPair(t, pairConfig{})
		a.stream.receiver.declined = agreed
		must(t, a.stream.Sender().Read(ReadRequest{Size: 100, SourceSTag: 5}, 7))
		wire := drainOf(t, a.stream.Sender())
		must(t, a.stream.Sender().Read(ReadRequest{Size: 0, SourceSTag: 5}, 8))
		wire = append(wire, drainOf(t, a.stream.Sender())...)
		var asked []ReadRequest
		for {
			n, e := b.stream.Receiver().Step(wire)
			wire = wire[n:]
			if e.Kind == EventNone {
				break
			}
			asked = append(asked, e.Read)
		}
		must(t, b.stream.Sender().Decline(&asked[0]))
		wire = drainOf(t, b.stream.Sender())
		_, e := a.stream.Receiver().Step(wire)
		if agreed != (e.Kind == EventMessage && e.ID == 7 && e.Length == 0) {
			t.Errorf("agreed %v: %+v", agreed, e)
		}
		if !agreed && (e.Kind != EventFault || e.Err.Cause != CauseCatastrophicStream) {
			t.Errorf("not agreed: %+v", e)
		}
		if agreed && a.stream.Sender().Outstanding() != 1 {
			t.Errorf("%d requests are outstanding", a.stream.Sender().Outstanding())
		}
	}
}

// TestSegments: each segment of a Write is announced, but for the last, with which the message comes.
func TestSegments(t *testing.T) {
	a, b := newPair(t, pairConfig{})
	b.stream.receiver.segments = true
	a.stream.Sender().SetMaxFPDU(1028)
	must(t, a.stream.Sender().Write(9, 100, Payload{Data: pattern(2500)}))
	wire := drainOf(t, a.stream.Sender())
	var got []uint32
	for r := b.stream.Receiver(); ; {
		n, e := r.Step(wire)
		wire = wire[n:]
		switch e.Kind {
		case EventPlace:
			must(t, r.Placed(wire[:e.Length]))
			wire = wire[e.Length:]
			continue
		case EventSegment:
			if e.Segment.TO != 100+uint64(sumOf(got)) {
				t.Errorf("segment at %d after %v", e.Segment.TO, got)
			}
			got = append(got, e.Length)
			continue
		case EventMessage:
			if len(got) != 2 || e.Length != 2500 {
				t.Errorf("segments of %v octets, then the message of %d", got, e.Length)
			}
			return
		}
		t.Fatalf("%+v", e)
	}
}

func sumOf(n []uint32) (s uint32) {
	for _, v := range n {
		s += v
	}
	return s
}

// drainOf returns what s has begun, in FPDUs.
func drainOf(t *testing.T, s *Sender) (wire []byte) {
	t.Helper()
	b := batchOf(t, 4096, 64, 0)
	for done := false; !done; b.Reset() {
		done = s.Fill(b)
		for _, piece := range b.Buffers() {
			wire = append(wire, piece...)
		}
	}
	return wire
}
