package iwarp

import (
	"encoding/binary"
	"encoding/hex"
	"path/filepath"
	"strings"
	"testing"
)

func TestTerminate(t *testing.T) {
	a, b := newPair(t, pairConfig{Settings: Settings{CRC: true}})
	a.buffers[1] = sink(1)
	a.send(func(s *Sender) error { return s.Write(0xdead, 0x10, Payload{Data: pattern(4)}) })
	a.deliverTo(b, nil)
	if b.over == nil {
		t.Fatal("no fault")
	}
	b.send(func(s *Sender) error { return s.Terminate(b.over.Terminate) })
	b.deliverTo(a, nil)
	if a.over == nil || a.over.Kind != EventMessage || a.over.Err == nil || !a.over.Err.Remote {
		t.Fatalf("ended with %+v", a.over)
	}
	text := a.over.Err.Error()
	want := "terminated by the peer: invalid STag (DDP, tagged buffer error, 1/1/0x00): " +
		"invalid STag (DDP, tagged buffer error, 1/1/0x00): Write to STag 0x0000dead, offset 0x10"
	if text != want {
		t.Errorf("error %q, want %q", text, want)
	}
	for _, p := range []*peer{a, b} {
		if n, e := p.stream.Receiver().Step(make([]byte, 100)); n != 100 || e.Kind == EventMessage {
			t.Errorf("after the end: %d octets used, %+v", n, e)
		}
	}
	s := b.stream.Sender()
	wantErr(t, s.Terminate(Terminate{}), ErrTerminated)
	wantErr(t, s.Send(SendOptions{}, Payload{}), ErrTerminated)
}

// TestTerminateCutsIn: a message under way is dropped.
func TestTerminateCutsIn(t *testing.T) {
	a, b := newPair(t, pairConfig{arena: 200, vec: 8})
	b.posted = [][]byte{make([]byte, 10000)}
	s := a.stream.Sender()
	must(t, s.Send(SendOptions{}, Payload{Data: pattern(10000)}))
	if s.Fill(a.batch) {
		t.Fatal("all of it fits")
	}
	for _, piece := range a.batch.Buffers() {
		a.wire = append(a.wire, piece...)
	}
	a.batch.Reset()
	a.send(func(s *Sender) error { return s.Terminate(Terminate{Cause: CauseLocalCatastrophic}) })
	a.deliverTo(b, nil)
	if b.over == nil || b.over.Err.Cause != CauseLocalCatastrophic {
		t.Errorf("ended with %+v", b.over)
	}
}

func TestTerminateForms(t *testing.T) {
	tagged := "c140" + "0000dead" + "0000000000000010"
	untagged := "4141" + "00000000" + "00000001" + "00000002" + "00000000"
	body := "00000003" + "0000000000000004" + "00000005" + "00000006" + "0000000000000007"
	for _, c := range []struct {
		name, in string
		want     Terminate // but for the headers
		ddp      int
		read     bool
	}{
		{"RFC, tagged", "1100c000" + "0012" + tagged, Terminate{Cause: CauseTaggedInvalidSTag, HasLength: true, Length: 18}, 14, false},
		{"RFC, untagged", "1202c000" + "0030" + untagged, Terminate{Cause: CauseNoBuffer, HasLength: true, Length: 48}, 18, false},
		{"RFC, Read", "0101e000" + "002e" + untagged + body, Terminate{Cause: CauseBounds, HasLength: true, Length: 46}, 18, true},
		{"RFC, CRC", "20020000", Terminate{Cause: CauseCRC}, 0, false},
		{"RFC, header only", "12024000" + "0000" + untagged, Terminate{Cause: CauseNoBuffer}, 18, false},
		{"siw, untagged", "21020300" + "0064" + untagged, Terminate{Cause: CauseNoBuffer, HasLength: true, Length: 100, Swapped: true}, 18, false},
		{"siw, Read", "10010700" + "0000" + untagged + body, Terminate{Cause: CauseBounds, HasLength: true, Swapped: true}, 18, true},
		{"siw, CRC", "02020000", Terminate{Cause: CauseCRC, Swapped: true}, 0, false},
		{
			"either", "20060000",
			Terminate{Cause: CauseIRD, Ambiguous: true, Other: CauseOpcode},
			0, false,
		},
		{"catastrophic", "00000000", Terminate{Cause: CauseLocalCatastrophic}, 0, false},
		{"nobody's", "77770000", Terminate{Cause: 0x7777}, 0, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			in, _ := hex.DecodeString(c.in)
			var got Terminate
			if !got.parse(in) {
				t.Fatal("does not parse")
			}
			var again [terminateSize]byte
			if out := hex.EncodeToString(again[:got.put(again[:])]); out != c.in {
				t.Errorf("encoded as %s\nwant       %s", out, c.in)
			}
			if int(got.DDPSize) != c.ddp || got.HasRead != c.read || c.read && got.Read != (ReadRequest{3, 4, 5, 6, 7}) {
				t.Errorf("%d octets of DDP header, Read %v %+v", got.DDPSize, got.HasRead, got.Read)
			}
			got.DDP, got.DDPSize, got.Read, got.HasRead = [untaggedSize]byte{}, 0, ReadRequest{}, false
			if got != c.want {
				t.Errorf("got  %+v\nwant %+v", got, c.want)
			}
			for n := range in {
				if got.parse(in[:n]) {
					t.Errorf("parses with %d of %d octets", n, len(in))
				}
			}
		})
	}
}

// TestTerminateRead: RFC 5040 section 4.8, "if the terminate occurs after the first RDMA Read Request byte is processed".
func TestTerminateRead(t *testing.T) {
	q := ReadRequest{SinkSTag: 1, SinkTO: 1000, Size: 5000, SourceSTag: 2, SourceTO: 70000}
	term := TerminateRead(q, 9, RefuseSTag, 2048)
	if want := (ReadRequest{1, 3048, 2952, 2, 72048}); !term.HasRead || term.Read != want {
		t.Errorf("Read %+v, want %+v", term.Read, want)
	}
	var s Segment
	s.parse(term.DDP[:])
	if term.DDPSize != untaggedSize || s.Opcode != OpReadRequest || s.Queue != 1 || s.MSN != 9 || !s.Last || term.Length != 46 {
		t.Errorf("header %+v, length %d", s, term.Length)
	}
	if text := term.String(); !strings.Contains(text, "invalid STag") || !strings.Contains(text, "Read of 2952 octets") {
		t.Errorf("text %q", text)
	}
	if term := TerminateRead(q, 9, RefuseFailure, 0); term.HasRead || term.Cause != CauseCatastrophicStream {
		t.Errorf("for a failure of ours: %+v", term)
	}
}

// TestCaptureTerminates lets our Receiver judge what Linux siw has judged, by the buffer that the peers told each other of
// in their private data, and compares the Terminates.
func TestCaptureTerminates(t *testing.T) {
	writable := func(b *buffer) bool { return b.mayWr }
	readable := func(b *buffer) bool { return b.mayRead }
	for _, c := range []struct {
		file    string
		rights  bool
		receive int  // size of the receive posted, -1 for none
		same    bool // as siw's
		ours    Cause
	}{
		{"term-write-bad-stag", true, -1, true, CauseTaggedInvalidSTag},
		{"term-write-beyond", true, -1, true, CauseTaggedBounds},
		{"term-write-below", true, -1, true, CauseTaggedBounds},
		{"term-write-no-access", false, -1, true, CauseTaggedInvalidSTag},
		{"term-read-bad-stag", true, -1, true, CauseInvalidSTag},
		{"term-read-beyond", true, -1, true, CauseBounds},
		{"crc-term-write-bad-stag", true, -1, true, CauseTaggedInvalidSTag},
		{"crc-term-read-beyond", true, -1, true, CauseBounds},
		{"term-send-no-buffer", true, -1, true, CauseNoBuffer},
		{"term-send-too-long", true, 64, false, CauseTooLong},
		{"read-no-access", false, -1, false, CauseAccess},
		{"term-send-bad-invalidate", true, 64, false, CauseCannotInvalidate},
	} {
		t.Run(c.file, func(t *testing.T) {
			ours, siws, sent := judge(t, c.file, func(b *buffer, e *Event) (Refusal, bool) {
				b.mayRead, b.mayWr = c.rights, c.rights
				switch op := e.Segment.Opcode; {
				case op.Invalidates() && e.Kind == EventMessage:
					return RefuseInvalidate, true
				case op.isSend() && c.receive < 0:
					return RefuseNoBuffer, true
				case op.isSend() && e.Kind == EventPlace && int(e.Segment.MO+e.Length) > c.receive:
					return RefuseTooLong, true
				case op == OpWrite && e.Kind == EventPlace:
					return spanOf(b, e.Segment.STag, e.Segment.TO, uint64(e.Length), writable)
				case op == OpReadRequest:
					return spanOf(b, e.Read.SourceSTag, e.Read.SourceTO, uint64(e.Read.Size), readable)
				}
				return 0, false
			})
			if ours == nil || ours.Cause != c.ours {
				t.Fatalf("our verdict is %+v, want %v", ours, c.ours)
			}
			if c.same && siws == nil || siws != nil && c.same != (siws.Cause == ours.Cause) {
				t.Errorf("siw's verdict is %+v, ours %v", siws, ours.Cause)
			}
			checkReturnedHeaders(t, ours, sent)
		})
	}
}

// checkReturnedHeaders: what is returned is what was sent.
func checkReturnedHeaders(t *testing.T, term *Terminate, sent []byte) {
	t.Helper()
	ulpdu := sent[lengthSize:]
	if n := int(term.DDPSize); n != headerSize(ulpdu[0]) || string(term.DDP[:n]) != string(ulpdu[:n]) {
		t.Errorf("returned header % x, sent % x", term.DDP[:n], ulpdu[:18])
	}
	if !term.HasLength || term.Length != binary.BigEndian.Uint16(sent) {
		t.Errorf("returned length %d", term.Length)
	}
	var q ReadRequest
	if term.HasRead != (term.Cause>>8 == CauseInvalidSTag>>8 && ulpdu[1]&15 == byte(OpReadRequest)) {
		t.Errorf("Read returned: %v", term.HasRead)
	}
	if term.HasRead {
		if q.parse(ulpdu[untaggedSize:]); q != term.Read {
			t.Errorf("returned %+v, sent %+v", term.Read, q)
		}
	}
}

func spanOf(b *buffer, stag uint32, to, n uint64, permitted func(*buffer) bool) (Refusal, bool) {
	switch {
	case stag != b.stag:
		return RefuseSTag, true
	case !permitted(b):
		return RefuseAccess, true
	}
	refusal, ok := CheckRange(to, n, b.base, b.size)
	return refusal, !ok
}

// judge replays a capture up to the first refusal by the responder. It returns the Terminate we would have sent, the one that
// was sent, and the message at fault.
func judge(t *testing.T, file string, refuse func(*buffer, *Event) (Refusal, bool)) (ours, siws *Terminate, sent []byte) {
	t.Helper()
	chunks, err := readCapture(filepath.Join("testdata/captures", file+".pcap"))
	if err != nil {
		t.Fatal(err)
	}
	r := newReplay(chunks[0].flow)
	var theirs []byte // FPDUs of the responder
	for _, c := range chunks {
		if r.started && r.initiator.bounds == nil {
			b := bufferOf(r.reply.Private)
			r.initiator.bounds = func(e *Event) (Refusal, bool) { return refuse(b, e) }
		}
		if r.initiator.fault != nil || c.flow == r.responder.flow {
			if r.started && c.flow == r.responder.flow {
				theirs = append(theirs, c.data...)
			}
		}
		if r.initiator.fault == nil {
			must(t, r.feed(c.flow, c.data))
			sent = r.initiator.raw
		}
	}
	return r.initiator.fault, lastTerminate(theirs), sent
}

// bufferOf reads what the program in the captures tells of its buffer: address, rkey and length.
func bufferOf(private []byte) *buffer {
	return &buffer{
		base: binary.BigEndian.Uint64(private), stag: binary.BigEndian.Uint32(private[8:]),
		size: uint64(binary.BigEndian.Uint32(private[12:])),
	}
}

func lastTerminate(fpdus []byte) *Terminate {
	for _, n := range fpduSizes(fpdus) {
		one := fpdus[:n]
		fpdus = fpdus[n:]
		if Opcode(one[3]&rdmapOpcodeMask) == OpTerminate {
			var term Terminate
			if term.parse(one[lengthSize+untaggedSize : n-crcSize]) {
				return &term
			}
		}
	}
	return nil
}
