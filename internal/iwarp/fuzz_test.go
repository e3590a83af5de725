package iwarp

import (
	"bytes"
	"encoding/binary"
	"testing"
)

// The corpora come from the captures: every frame and every FPDU in them; for what Linux siw does not have, from the encoder.

// captured calls visit for each Request or Reply, and for each FPDU, of the captures.
func captured(f *testing.F, frame func([]byte), fpdu func([]byte)) {
	f.Helper()
	for _, name := range captureFiles(f) {
		chunks, err := readCapture(name)
		if err != nil {
			f.Fatal(err)
		}
		streams := map[flow][]byte{}
		for _, c := range chunks {
			streams[c.flow] = append(streams[c.flow], c.data...)
		}
		for _, s := range streams {
			_, n, err := ParseFrame(s)
			if err != nil {
				f.Fatal(err)
			}
			frame(s[:n])
			for s = s[n:]; len(s) > 0; {
				ulpdu := int(binary.BigEndian.Uint16(s))
				n := lengthSize + ulpdu + pad(ulpdu) + crcSize
				fpdu(s[:n])
				s = s[n:]
			}
		}
	}
}

func nothing([]byte) {}

// seed adds each body of messages of the given kind.
func seed(f *testing.F, op Opcode) {
	f.Helper()
	captured(f, nothing, func(b []byte) {
		if Opcode(b[3]&rdmapOpcodeMask) == op {
			ulpdu := b[lengthSize:][:binary.BigEndian.Uint16(b)]
			f.Add(ulpdu[headerSize(ulpdu[0]):])
		}
	})
}

func FuzzFrame(f *testing.F) {
	captured(f, func(b []byte) { f.Add(b) }, nothing)
	f.Fuzz(func(t *testing.T, b []byte) {
		frame, n, err := ParseFrame(b)
		if err != nil || n > len(b) {
			if err == nil && n > frameHeaderSize+MaxPrivateData {
				t.Errorf("%d octets are wanted", n)
			}
			return
		}
		again, err := AppendFrame(nil, &frame)
		if err != nil || !bytes.Equal(again, b[:n]) {
			t.Errorf("% x is encoded as % x, %v", b[:n], again, err)
		}
	})
}

func FuzzSetup(f *testing.F) {
	captured(f, func(b []byte) { f.Add(b, uint8(0), uint8(20)) }, nothing)
	f.Fuzz(func(t *testing.T, b []byte, policy, cut uint8) {
		cfg := SetupConfig{CRC: CRCPolicy(policy % 3), IRD: 4, ORD: 4, RTR: RTRSet(policy>>2) & allRTR}
		first := min(int(cut), len(b))
		r := responderOf(t, cfg)
		n, o := r.Feed(b[:first])
		if o.Status == StatusPending && n == first {
			_, o = r.Feed(b[first:])
		}
		if o.Status == StatusDecide {
			o = r.Accept(nil)
			if _, n, err := ParseFrame(o.Send); err != nil || n != len(o.Send) {
				t.Errorf("Reply % x, %v", o.Send, err)
			}
		}
		if o.Status == StatusFailed && o.Err == nil {
			t.Error("failed without a reason")
		}
		i := initiatorOf(t, cfg, "")
		if _, o = i.Feed(b); o.Status == StatusReady && i.Settings().IRD < i.Settings().PeerORD && i.Settings().PeerORD != ulpDepth {
			t.Errorf("settings %+v", i.Settings())
		}
	})
}

func FuzzSegment(f *testing.F) {
	captured(f, nothing, func(b []byte) { f.Add(b[lengthSize:min(len(b), lengthSize+untaggedSize)]) })
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(b) == 0 || len(b) < headerSize(b[0]) {
			return
		}
		b = b[:headerSize(b[0])]
		var s, again Segment
		s.parse(b)
		out := head(s)
		if again.parse(out); again != s {
			t.Errorf("%+v becomes %+v", s, again)
		}
		if !bytes.Equal(b[2:], out[2:]) {
			t.Errorf("% x is encoded as % x", b, out)
		}
	})
}

func FuzzReadRequest(f *testing.F) {
	seed(f, OpReadRequest)
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(b) < readRequestSize {
			return
		}
		var q ReadRequest
		q.parse(b)
		out := make([]byte, readRequestSize)
		if q.put(out); !bytes.Equal(out, b[:readRequestSize]) {
			t.Errorf("% x is encoded as % x", b, out)
		}
	})
}

func FuzzTerminate(f *testing.F) {
	seed(f, OpTerminate)
	f.Add([]byte{0x20, 0x06, 0, 0})
	f.Fuzz(func(t *testing.T, b []byte) {
		var term, again Terminate
		if !term.parse(b) {
			return
		}
		var out [terminateSize]byte
		n := term.put(out[:])
		if !again.parse(out[:n]) || again != term {
			t.Errorf("%+v becomes %+v", term, again)
		}
		if n > len(b) || !bytes.Equal(out[terminateControlSize:n], b[terminateControlSize:n]) || out[1] != b[1] {
			t.Errorf("% x is encoded as % x", b, out[:n])
		}
		_ = term.String()
	})
}

func FuzzAtomicRequest(f *testing.F) {
	q := AtomicRequest{Op: AtomicCmpSwap, ID: 1, STag: 2, TO: 3, Value: 4, Mask: 5, Compare: 6, CompareMask: 7}
	body := make([]byte, atomicRequestSize)
	q.put(body)
	f.Add(body, uint64(1))
	f.Fuzz(func(t *testing.T, b []byte, old uint64) {
		if len(b) < atomicRequestSize {
			return
		}
		var q, again AtomicRequest
		q.parse(b)
		out := make([]byte, atomicRequestSize)
		q.put(out)
		if again.parse(out); again != q || !bytes.Equal(out[4:], b[4:atomicRequestSize]) {
			t.Errorf("% x is encoded as % x", b, out)
		}
		want := fetchAdd(old, q.Value, q.Mask)
		if q.Op == AtomicCmpSwap {
			want = cmpSwap(old, q.Value, q.Mask, q.Compare, q.CompareMask)
		}
		if got := q.Apply(old); got != want {
			t.Errorf("%+v of %x is %x, want %x", q, old, got, want)
		}
	})
}

func FuzzAtomicResponse(f *testing.F) {
	f.Add([]byte("\x00\x00\x00\x01\x00\x00\x00\x00\x00\x00\x00\x02"))
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(b) < atomicResponseSize {
			return
		}
		var a AtomicResponse
		a.parse(b)
		out := make([]byte, atomicResponseSize)
		if a.put(out); !bytes.Equal(out, b[:atomicResponseSize]) {
			t.Errorf("% x is encoded as % x", b, out)
		}
	})
}

// FuzzReceiver feeds octets whole and in pieces: both ways must come to the same, and use up everything.
func FuzzReceiver(f *testing.F) {
	var whole []byte
	captured(f, nothing, func(b []byte) {
		f.Add(b, false, uint16(7))
		if whole = append(whole, b...); len(whole) > 2000 {
			f.Add(whole, true, uint16(99))
			whole = nil
		}
	})
	a, _ := newPair(f, pairConfig{Settings: Settings{CRC: true}})
	a.send(func(s *Sender) error { return s.Atomic(AtomicRequest{}, 1) })
	a.send(func(s *Sender) error { return s.Immediate([8]byte{1}, true) })
	a.send(func(s *Sender) error { return s.Send(SendOptions{}, Payload{Data: pattern(9)}) })
	f.Add(a.wire, true, uint16(1))
	f.Fuzz(func(t *testing.T, b []byte, crc bool, cut uint16) {
		all, pieces := fuzzPeer(t, crc), fuzzPeer(t, crc)
		all.feed(b)
		for rest := b; len(rest) > 0; {
			n := min(len(rest), 1+int(cut)%1500)
			pieces.feed(rest[:n])
			rest = rest[n:]
		}
		compareOutcomes(t, all, pieces, crc)
	})
}

func fuzzPeer(t *testing.T, crc bool) *peer {
	p, _ := newPair(t, pairConfig{Settings: Settings{CRC: crc}})
	p.buffers[1] = &buffer{data: make([]byte, 4096), mayRead: true, mayWr: true}
	p.posted = [][]byte{make([]byte, 100), make([]byte, 5000)}
	must(t, p.stream.Sender().Read(ReadRequest{SinkSTag: 1, Size: 64}, 1))
	return p
}

func compareOutcomes(t *testing.T, a, b *peer, crc bool) {
	t.Helper()
	if len(a.got) != len(b.got) || len(a.reads) != len(b.reads) {
		t.Fatalf("delivered %d and %d", len(a.got)+len(a.reads), len(b.got)+len(b.reads))
	}
	switch {
	case a.over == nil && b.over == nil:
	case a.over == nil || b.over == nil:
		// With the whole FPDU at hand a bad CRC shows before anything else; without, a fault shows behind the segment.
		t.Fatalf("ended with %+v and %+v", a.over, b.over)
	case a.over.Kind != b.over.Kind || a.over.Terminate != b.over.Terminate:
		t.Fatalf("ended with %+v and %+v, CRC %v", a.over, b.over, crc)
	}
}
