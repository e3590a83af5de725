package iwarp

import (
	"encoding/hex"
	"testing"
)

func TestImmediate(t *testing.T) {
	a, b := newPair(t, pairConfig{Settings: Settings{CRC: true}})
	b.buffers[7], b.posted = sink(10), [][]byte{make([]byte, 10)}
	a.send(func(s *Sender) error { return s.Write(7, 0, Payload{Data: pattern(10)}) })
	a.send(func(s *Sender) error { return s.Immediate([8]byte{1, 2, 3, 4, 5, 6, 7, 8}, false) })
	a.send(func(s *Sender) error { return s.Send(SendOptions{}, Payload{Data: pattern(3)}) })
	a.send(func(s *Sender) error { return s.Immediate([8]byte{9}, true) })
	exchange(a, b, nil)
	want := []Opcode{OpWrite, OpImmediate, OpSend, OpImmediateSolicited}
	if len(b.got) != len(want) {
		t.Fatalf("delivered %+v", b.got)
	}
	for i, d := range b.got {
		if d.op != want[i] {
			t.Errorf("message %d is %v", i, d.op)
		}
	}
	if hex.EncodeToString(b.got[1].data) != "0102030405060708" || b.got[3].data[0] != 9 || !b.got[3].op.Solicited() {
		t.Errorf("immediate data % x and % x", b.got[1].data, b.got[3].data)
	}
}

// TestImmediateOctets: RFC 7306 section 6.2 and appendix A.3.
func TestImmediateOctets(t *testing.T) {
	a, _ := newPair(t, pairConfig{})
	a.send(func(s *Sender) error { return s.Immediate([8]byte{1, 2, 3, 4, 5, 6, 7, 8}, true) })
	want := "001a" + "4149" + "00000000" + "00000000" + "00000001" + "00000000" + "0102030405060708" + "00000000"
	if got := hex.EncodeToString(a.wire); got != want {
		t.Errorf("%s\nwant %s", got, want)
	}
}
