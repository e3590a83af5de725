package iwarp

import "testing"

// TestTolerant: octets in the response to a Read of none are dropped where that was asked for, and end the stream elsewhere.
func TestTolerant(t *testing.T) {
	for _, tolerant := range []bool{true, false} {
		a, b := newPair(t, pairConfig{})
		a.stream.receiver.tolerant = tolerant
		must(t, a.stream.Sender().Read(ReadRequest{SinkSTag: 3, SourceSTag: 5}, 7))
		if _, e := b.stream.Receiver().Step(drainOf(t, a.stream.Sender())); e.Kind != EventMessage {
			t.Fatalf("%+v", e)
		}
		must(t, b.stream.Sender().Respond(&ReadRequest{SinkSTag: 3, Size: 100}, Payload{Data: pattern(100)})) // as siw does
		wire := drainOf(t, b.stream.Sender())
		r := a.stream.Receiver()
		n, e := r.Step(wire)
		if !tolerant {
			if e.Kind != EventFault || e.Err.Cause != CauseTaggedBounds {
				t.Errorf("%+v", e)
			}
			continue
		}
		if e.Kind != EventPlace || e.ID != 7 || e.Length != 100 {
			t.Fatalf("%+v", e)
		}
		must(t, r.Placed(wire[n:n+100]))
		if _, e = r.Step(wire[n+100:]); e.Kind != EventMessage || e.ID != 7 || a.stream.Sender().Outstanding() != 0 {
			t.Errorf("%+v", e)
		}
	}
}
