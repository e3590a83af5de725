package iwarp

import (
	"bytes"
	"encoding/hex"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
)

func TestWrite(t *testing.T) {
	a, b := newPair(t, pairConfig{Settings: Settings{CRC: true}})
	b.buffers[7] = &buffer{base: 1 << 40, data: make([]byte, 10000), mayWr: true}
	data := pattern(9000)
	a.send(func(s *Sender) error { return s.Write(7, 1<<40+500, Payload{Data: data}) })
	exchange(a, b, rand.New(rand.NewPCG(1, 2)))
	if want := slices.Concat(make([]byte, 500), data, make([]byte, 500)); !bytes.Equal(b.buffers[7].data, want) {
		t.Error("not the octets that were written")
	}
	if len(b.got) != 1 || b.got[0].op != OpWrite || b.got[0].length != 9000 {
		t.Errorf("delivered %+v", b.got)
	}
}

// TestWriteOctets: the octets that Linux siw sends for the same Write (p2p-write-rtr-crc.pcap, frame 8).
func TestWriteOctets(t *testing.T) {
	a, _ := newPair(t, pairConfig{Settings: Settings{CRC: true}})
	a.send(func(s *Sender) error { return s.Write(1, 0, Payload{}) })
	want, _ := hex.DecodeString("000ec14000000001000000000000000000000000")
	if n := len(want) - crcSize; !bytes.Equal(a.wire[:n], want[:n]) || hex.EncodeToString(a.wire[n:]) != "ebd34c5f" {
		t.Errorf("% x", a.wire)
	}
}

// TestWriteSegments is the example of RFC 5041 section 5.2: 2048 octets at 16384, with a MULPDU of 1500.
func TestWriteSegments(t *testing.T) {
	a, b := newPair(t, pairConfig{StreamConfig: StreamConfig{MaxFPDU: 1506}})
	if a.stream.sender.mulpdu != 1496+2 {
		t.Fatalf("MULPDU %d of an FPDU of 1506; RFC 5044 section 4.5 has EMSS - (6 + EMSS mod 4)", a.stream.sender.mulpdu)
	}
	a.stream.sender.mulpdu = 1500
	a.send(func(s *Sender) error { return s.Write(7, 16384, Payload{Data: pattern(2048)}) })
	var got [][2]uint64
	for in := a.wire; len(in) > 0; {
		n, e := b.stream.Receiver().Step(in)
		in = in[n:]
		if e.Kind == EventPlace {
			got = append(got, [2]uint64{e.Segment.TO, uint64(e.Length)})
			must(t, b.stream.Receiver().Placed(in[:e.Length]))
			in = in[e.Length:]
		}
	}
	if want := [][2]uint64{{16384, 1486}, {17870, 562}}; !slices.Equal(got, want) {
		t.Errorf("segments %v, want %v", got, want)
	}
}

// TestWriteWithoutPayload: STag and TO are not looked at (RFC 5041 section 5.2).
func TestWriteWithoutPayload(t *testing.T) {
	a, b := newPair(t, pairConfig{})
	a.send(func(s *Sender) error { return s.Write(0xdead, math.MaxUint64, Payload{}) })
	exchange(a, b, nil)
	if len(b.got) != 1 || b.got[0].length != 0 || b.over != nil {
		t.Errorf("delivered %+v, ended with %+v", b.got, b.over)
	}
}

func TestWriteGathers(t *testing.T) {
	a, b := newPair(t, pairConfig{Settings: Settings{CRC: true}, arena: 256, vec: 4})
	b.buffers[7] = &buffer{data: make([]byte, 3000), mayWr: true}
	data := pattern(3000)
	vec := [][]byte{data[:1], {}, data[1:2], data[2:3], nil, data[3:10], data[10:11], data[11:1500], data[1500:]}
	a.send(func(s *Sender) error { return s.Write(7, 0, Payload{Vec: vec}) })
	exchange(a, b, nil)
	if !bytes.Equal(b.buffers[7].data, data) {
		t.Error("not the octets that were written")
	}
}

func TestWriteLimits(t *testing.T) {
	a, _ := newPair(t, pairConfig{})
	s := a.stream.Sender()
	big := make([]byte, 1<<20)
	vec := slices.Repeat([][]byte{big}, 1<<12) // 4 GiB
	wantErr(t, s.Write(1, 0, Payload{Vec: vec}), ErrLength)
	wantErr(t, s.Send(SendOptions{}, Payload{Vec: vec}), ErrLength)
	wantErr(t, s.Write(1, math.MaxUint64-7, Payload{Data: big[:8]}), ErrLength)
	must(t, s.Write(1, math.MaxUint64-8, Payload{Data: big[:8]}))
	wantErr(t, s.Write(1, 0, Payload{}), ErrPending)
}
