package iwarp

import (
	"bytes"
	"testing"
)

// TestVolatile: payload that others change is sent with a CRC that is right for what is sent.
func TestVolatile(t *testing.T) {
	a, _ := newPair(t, pairConfig{})
	s := a.stream.Sender()
	s.crc = true
	data := pattern(3000)
	want := bytes.Clone(data)
	b := batchOf(t, 4096, 64, 0)
	must(t, s.Write(1, 0, Payload{Data: data, Volatile: true}))
	if s.Fill(b) || !b.Empty() {
		t.Fatal("volatile payload went without memory to copy it to")
	}
	b.SetSpare(make([]byte, 1500)) // for one FPDU at a time
	var wire []byte
	for done := false; !done; {
		done = s.Fill(b)
		sent := len(wire)
		clear(data[:min(len(data), sent)]) // what is in FPDUs changes
		for _, piece := range b.Buffers() {
			wire = append(wire, piece...)
		}
		b.Reset()
	}
	_, peer := newPair(t, pairConfig{})
	r := peer.stream.Receiver()
	r.crc = true
	var got []byte
	for {
		n, e := r.Step(wire)
		wire = wire[n:]
		switch e.Kind {
		case EventPlace:
			got = append(got, wire[:e.Length]...)
			must(t, r.Placed(wire[:e.Length]))
			wire = wire[e.Length:]
		case EventMessage:
			if !bytes.Equal(got, want) {
				t.Error("other octets came")
			}
			return
		default:
			t.Fatalf("%+v %v", e.Kind, e.Err)
		}
	}
}
