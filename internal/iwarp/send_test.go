package iwarp

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
)

func TestSend(t *testing.T) {
	for _, o := range []SendOptions{
		{},
		{Solicited: true},
		{Invalidates: true, Invalidate: 5},
		{Solicited: true, Invalidates: true, Invalidate: 5},
	} {
		t.Run(o.opcode().String(), func(t *testing.T) {
			a, b := newPair(t, pairConfig{Settings: Settings{CRC: true}})
			b.posted = [][]byte{make([]byte, 6000)}
			b.buffers[5] = sink(1)
			a.send(func(s *Sender) error { return s.Send(o, Payload{Data: pattern(5000)}) })
			exchange(a, b, rand.New(rand.NewPCG(3, 4)))
			if len(b.got) != 1 || b.got[0].op != o.opcode() || !bytes.Equal(b.got[0].data, pattern(5000)) || b.got[0].invalidate != o.Invalidate {
				t.Fatalf("delivered %d messages", len(b.got))
			}
			if op := b.got[0].op; op.Solicited() != o.Solicited || op.Invalidates() != o.Invalidates {
				t.Errorf("%v is solicited %v, invalidates %v", op, op.Solicited(), op.Invalidates())
			}
			if (b.buffers[5] == nil) != o.Invalidates {
				t.Error("the wrong thing was invalidated")
			}
		})
	}
}

// TestSendExample is the first example of RFC 5044 section 4.4, without its marker.
func TestSendExample(t *testing.T) {
	a, _ := newPair(t, pairConfig{})
	a.send(func(s *Sender) error { return s.Send(SendOptions{}, Payload{Data: make([]byte, 24)}) })
	want := "002a" + "4143" + "00000000" + "00000000" + "00000001" + "00000000" + hex.EncodeToString(make([]byte, 24)) + "00000000"
	if got := hex.EncodeToString(a.wire); got != want {
		t.Errorf("%s\nwant %s", got, want)
	}
}

// TestSendSegments is the example of RFC 5041 section 5.2: 2048 octets with a MULPDU of 1500.
func TestSendSegments(t *testing.T) {
	a, b := newPair(t, pairConfig{})
	a.stream.sender.mulpdu = 1500
	a.send(func(s *Sender) error { return s.Send(SendOptions{}, Payload{Data: pattern(2048)}) })
	var got strings.Builder
	for in := a.wire; len(in) > 0; {
		n, e := b.stream.Receiver().Step(in)
		in = in[n:]
		if e.Kind == EventPlace {
			got.WriteString(fmt.Sprintf("%d+%d ", e.Segment.MO, e.Length))
			must(t, b.stream.Receiver().Placed(in[:e.Length]))
			in = in[e.Length:]
		}
	}
	if got.String() != "0+1482 1482+566 " {
		t.Errorf("segments %s", got.String())
	}
}

// TestSendsTakeReceivesInOrder: also without payload (RFC 5040 section 5.3), and of any padding.
func TestSendsTakeReceivesInOrder(t *testing.T) {
	a, b := newPair(t, pairConfig{Settings: Settings{CRC: true}, copies: 3})
	for n := range 9 {
		b.posted = append(b.posted, make([]byte, n))
		a.send(func(s *Sender) error { return s.Send(SendOptions{}, Payload{Data: pattern(n)}) })
	}
	for wire := a.wire; len(wire) > 0; {
		ulpdu := int(binary.BigEndian.Uint16(wire))
		end := lengthSize + ulpdu + pad(ulpdu)
		if !bytes.Equal(wire[lengthSize+ulpdu:end], make([]byte, pad(ulpdu))) {
			t.Errorf("padding % x (RFC 5044 section 4.1 wants zeros)", wire[lengthSize+ulpdu:end])
		}
		wire = wire[end+crcSize:]
	}
	exchange(a, b, rand.New(rand.NewPCG(5, 6)))
	for n, d := range b.got {
		if !bytes.Equal(d.data, pattern(n)) {
			t.Errorf("message %d is % x", n, d.data)
		}
	}
	if len(b.got) != 9 {
		t.Errorf("%d messages", len(b.got))
	}
}

// TestMSNWraps: the number after 2^32-1 is 0 (RFC 5041 section 4.3).
func TestMSNWraps(t *testing.T) {
	a, b := newPair(t, pairConfig{})
	a.stream.sender.next[queueSend], b.stream.receiver.queue[queueSend].msn = 0xffffffff, 0xffffffff
	for range 3 {
		b.posted = append(b.posted, make([]byte, 4))
		a.send(func(s *Sender) error { return s.Send(SendOptions{}, Payload{Data: pattern(4)}) })
	}
	exchange(a, b, nil)
	if len(b.got) != 3 || b.over != nil {
		t.Errorf("%d messages, ended with %+v", len(b.got), b.over)
	}
}
