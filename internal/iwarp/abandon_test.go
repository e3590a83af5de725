package iwarp

import (
	"bytes"
	"testing"
)

// TestAbandon: a Write ends early, a Send comes whole from a copy; the memory of neither is looked at afterwards.
func TestAbandon(t *testing.T) {
	for _, c := range []struct {
		name  string
		begin func(*Sender, Payload) error
		whole bool
	}{
		{"Write", func(s *Sender, p Payload) error { return s.Write(1, 0, p) }, false},
		{"Send", func(s *Sender, p Payload) error { return s.Send(SendOptions{}, p) }, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			a, _ := newPair(t, pairConfig{})
			s := a.stream.Sender()
			data := pattern(5000)
			want := bytes.Clone(data)
			must(t, c.begin(s, Payload{Vec: [][]byte{data[:3000], data[3000:]}}))
			b := batchOf(t, 200, 8, 0)
			if s.Fill(b) || !s.Active() || s.Left() == 0 {
				t.Fatal("all of it fits, the test shows nothing")
			}
			size := b.Size()
			b.Detach()
			s.Abandon()
			clear(data)
			var wire []byte
			for done := false; ; done = s.Fill(b) {
				for _, piece := range b.Buffers() {
					wire = append(wire, piece...)
				}
				b.Reset()
				if done {
					break
				}
			}
			if len(wire) < size || b.Size() != 0 {
				t.Errorf("%d octets in all, Size said %d of the first batch and now %d", len(wire), size, b.Size())
			}
			got, last := payloads(t, wire)
			if !last || !bytes.HasPrefix(want, got) || c.whole != (len(got) == len(want)) {
				t.Errorf("%d octets came, last %v, as they were: %v", len(got), last, bytes.HasPrefix(want, got))
			}
		})
	}
}

// payloads decodes FPDUs and returns what they carry, and whether the message ended.
func payloads(t *testing.T, wire []byte) (got []byte, last bool) {
	t.Helper()
	_, b := newPair(t, pairConfig{})
	for r := b.stream.Receiver(); ; {
		n, e := r.Step(wire)
		wire = wire[n:]
		switch e.Kind {
		case EventNone:
			return got, last
		case EventPlace:
			piece := wire[:min(int(e.Length), len(wire))]
			got = append(got, piece...)
			must(t, r.Placed(piece))
			wire = wire[len(piece):]
		case EventMessage:
			last = true
		case EventFault:
			t.Fatal(e.Err)
		}
	}
}
