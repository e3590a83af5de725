package iwarp

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"testing"
)

func untagged(op Opcode, queue, msn, mo uint32, last bool) []byte {
	return head(Segment{Opcode: op, Queue: queue, MSN: msn, MO: mo, Last: last})
}

func tagged(op Opcode, stag uint32, to uint64, last bool) []byte {
	return head(Segment{Opcode: op, Tagged: true, STag: stag, TO: to, Last: last})
}

// with changes an octet of b.
func with(b []byte, at int, to byte) []byte {
	b = bytes.Clone(b)
	b[at] = to
	return b
}

// A violation is a run of ULPDUs of which the last is wrong.
type violation struct {
	name   string
	ulpdus [][]byte
	want   Cause
	header bool // the Terminate returns the DDP header
}

// violations are the errors that a Receiver finds by itself.
func violations() []violation {
	send := func(msn, mo uint32, last bool) []byte { return append(untagged(OpSend, 0, msn, mo, last), 1, 2, 3, 4) }
	write := func(stag uint32, to uint64, last bool) []byte {
		return append(tagged(OpWrite, stag, to, last), 1, 2, 3, 4)
	}
	ctl := func(op Opcode, queue uint32, last bool, n int) []byte {
		return append(untagged(op, queue, 1, 0, last), make([]byte, n)...)
	}
	one := func(b ...[]byte) [][]byte { return b }
	return []violation{
		// RFC 5041 section 7.1, untagged: 1. The QN is valid.
		{"queue 4", one(untagged(OpSend, 4, 1, 0, true)), CauseQueue, true},
		{"queue 2^32-1", one(untagged(OpSend, math.MaxUint32, 1, 0, true)), CauseQueue, true},
		{"Send in queue 1", one(untagged(OpSend, 1, 1, 0, true)), CauseQueue, true},
		{"Read Request in queue 0", one(ctl(OpReadRequest, 0, true, 28)), CauseQueue, true},
		{"Terminate in queue 0", one(ctl(OpTerminate, 0, true, 4)), CauseQueue, true},
		{"Immediate Data in queue 3", one(ctl(OpImmediate, 3, true, 8)), CauseQueue, true},
		{"Atomic Request in queue 3", one(ctl(OpAtomicRequest, 3, true, 52)), CauseQueue, true},
		{"Atomic Response in queue 1", one(ctl(OpAtomicResponse, 1, true, 12)), CauseQueue, true},
		// 2. There is a buffer: for requests as many as IRD.
		{"more requests than IRD", one(ctl(OpReadRequest, 1, true, 28), append(untagged(OpReadRequest, 1, 2, 0, true), make([]byte, 28)...),
			append(untagged(OpReadRequest, 1, 3, 0, true), make([]byte, 28)...)), CauseNoBuffer, true},
		// 3. and 4. The MO is legal.
		{"message begins in the middle", one(send(1, 4, true)), CauseMO, true},
		{"gap in a message", one(send(1, 0, false), send(1, 8, true)), CauseMO, true},
		{"overlap in a message", one(send(1, 0, false), send(1, 2, true)), CauseMO, true},
		{"Immediate Data with an offset", one(append(untagged(OpImmediate, 0, 1, 4, true), make([]byte, 8)...)), CauseMO, true},
		{"Immediate Data within a Send", one(untagged(OpSend, 0, 1, 0, false), ctl(OpImmediate, 0, true, 8)), CauseMO, true},
		// 5. The MSN is in range.
		{"MSN 0", one(send(0, 0, true)), CauseMSNRange, true},
		{"MSN 2 first", one(send(2, 0, true)), CauseMSNRange, true},
		{"MSN again", one(send(1, 0, true), send(1, 0, true)), CauseMSNRange, true},
		{"MSN left out", one(send(1, 0, true), send(3, 0, true)), CauseMSNRange, true},
		{"next message before the last is over", one(send(1, 0, false), send(2, 0, true)), CauseMSNRange, true},
		// Tagged: 5. The offset does not wrap.
		{"offset wraps", one(write(7, math.MaxUint64-3, true)), CauseTaggedTOWrap, true},
		// RFC 5041 section 4.2: all segments of a message have the same STag; section 5.2: consecutive offsets.
		{"STag changes", one(write(7, 0, false), write(8, 4, true)), CauseTaggedInvalidSTag, true},
		{"gap in a Write", one(write(7, 0, false), write(7, 8, true)), CauseTaggedBounds, true},
		{"opcode changes", one(write(7, 0, false), tagged(OpReadResponse, 7, 4, true)), CauseOpcode, true},
		// DDP version.
		{"DDP version 0, untagged", one(with(send(1, 0, true), 0, 0x40)), CauseUntaggedVersion, true},
		{"DDP version 2, tagged", one(with(write(7, 0, true), 0, 0xc2)), CauseTaggedVersion, true},
		// RFC 5040 section 7.2: 2. The opcode is valid.
		{"opcode 12", one(untagged(12, 0, 1, 0, true)), CauseOpcode, true},
		{"opcode 15, tagged", one(tagged(15, 0, 0, true)), CauseOpcode, true},
		{"untagged Write", one(untagged(OpWrite, 0, 1, 0, true)), CauseOpcode, true},
		{"untagged Read Response", one(untagged(OpReadResponse, 0, 1, 0, true)), CauseOpcode, true},
		{"tagged Send", one(tagged(OpSend, 0, 0, true)), CauseOpcode, true},
		{"Read Response to nothing", one(tagged(OpReadResponse, 0, 0, true)), CauseOpcode, true},
		{"Atomic Response to nothing", one(ctl(OpAtomicResponse, 3, true, 12)), CauseOpcode, true},
		{"atomic operation 1", one(with(ctl(OpAtomicRequest, 1, true, 52), untaggedSize+3, 1)), CauseOpcode, true},
		// 3. The RDMAP version is valid.
		{"RDMAP version 0", one(with(send(1, 0, true), 1, 0x03)), CauseRDMAPVersion, true},
		{"RDMAP version 2", one(with(write(7, 0, true), 1, 0x80)), CauseRDMAPVersion, true},
		// RFC 7306 section 6.3: exactly 8 octets, and likewise the others.
		{"Immediate Data of 7 octets", one(ctl(OpImmediate, 0, true, 7)), CauseOperationUnstated, true},
		{"Immediate Data of 9 octets", one(ctl(OpImmediateSolicited, 0, true, 9)), CauseTooLong, true},
		{"Read Request of 27 octets", one(ctl(OpReadRequest, 1, true, 27)), CauseOperationUnstated, true},
		{"Read Request of 29 octets", one(ctl(OpReadRequest, 1, true, 29)), CauseTooLong, true},
		{"Read Request in segments", one(ctl(OpReadRequest, 1, false, 28)), CauseOperationUnstated, true},
		{"Terminate of 3 octets", one(ctl(OpTerminate, 2, true, 3)), CauseOperationUnstated, true},
		{"Terminate of 53 octets", one(ctl(OpTerminate, 2, true, 53)), CauseTooLong, true},
		{"Terminate without what it announces", one(append(untagged(OpTerminate, 2, 1, 0, true), 0x12, 2, 0xc0, 0)), CauseOperationUnstated, true},
		// A ULPDU that is too short for its header.
		{"empty ULPDU", one(nil), CauseCatastrophicStream, false},
		{"ULPDU of 13 octets", one(make([]byte, 13)), CauseCatastrophicStream, false},
		{"untagged ULPDU of 17 octets", one(make([]byte, 17)), CauseCatastrophicStream, false},
	}
}

func TestViolations(t *testing.T) {
	for _, crc := range []bool{false, true} {
		for _, pieces := range []int{1, 1 << 20} {
			for _, v := range violations() {
				t.Run(fmt.Sprintf("%s, CRC %v, pieces of %d", v.name, crc, pieces), func(t *testing.T) {
					checkViolation(t, v, crc, pieces)
				})
			}
		}
	}
}

func checkViolation(t *testing.T, v violation, crc bool, pieces int) {
	t.Helper()
	_, b := newPair(t, pairConfig{Settings: Settings{CRC: crc, IRD: 2, ORD: 2}})
	b.trust = true
	b.posted = [][]byte{make([]byte, 1000), make([]byte, 1000)}
	for i, ulpdu := range v.ulpdus {
		if b.over != nil {
			t.Fatalf("ended before ULPDU %d: %v", i, b.over.Err)
		}
		in := fpdu(crc, ulpdu)
		for len(in) > 0 {
			n := min(pieces, len(in))
			b.feed(in[:n])
			in = in[n:]
		}
	}
	if b.over == nil || b.over.Kind != EventFault {
		t.Fatal("no fault")
	}
	term, bad := &b.over.Terminate, v.ulpdus[len(v.ulpdus)-1]
	if term.Cause != v.want || b.over.Err.Cause != v.want || b.over.Err.Remote {
		t.Errorf("%v, want %v", term.Cause, v.want)
	}
	if (term.DDPSize > 0) != v.header || term.HasLength != v.header || term.HasRead {
		t.Errorf("Terminate %+v", term)
	}
	if v.header && (!bytes.HasPrefix(bad, term.DDP[:term.DDPSize]) || int(term.Length) != len(bad)) {
		t.Errorf("returned % x, length %d", term.DDP[:term.DDPSize], term.Length)
	}
	b.send(func(s *Sender) error { return s.Terminate(*term) }) // a responder may: it has heard something
}

// TestRefusals: RFC 5040 section 4.8, figures 9 and 10; RFC 5041 section 7.2; RFC 7306 section 8.
func TestRefusals(t *testing.T) {
	type refusal struct {
		why  Refusal
		want Cause
	}
	sendTo := func(msn uint32) []byte { return append(untagged(OpSend, 0, msn, 0, true), 1, 2, 3, 4) }
	for _, c := range []struct {
		name     string
		ulpdu    []byte
		refusals []refusal
	}{
		{"Write", append(tagged(OpWrite, 7, 0, true), 1, 2, 3, 4), []refusal{
			{RefuseSTag, 0x1100},
			{RefuseBounds, 0x1101},
			{RefuseForeignSTag, 0x1102},
			{RefuseWrap, 0x1103},
			{RefuseAccess, 0x1100},
			{RefuseFailure, 0x0207},
		}},
		{"Read Request", append(untagged(OpReadRequest, 1, 1, 0, true), pattern(28)...), []refusal{
			{RefuseSTag, 0x0100},
			{RefuseBounds, 0x0101},
			{RefuseAccess, 0x0102},
			{RefuseForeignSTag, 0x0103},
			{RefuseWrap, 0x0104},
			{RefuseFailure, 0x0207},
		}},
		{"Atomic Request", append(untagged(OpAtomicRequest, 1, 1, 0, true), make([]byte, 52)...), []refusal{
			{RefuseSTag, 0x0100},
			{RefuseAccess, 0x0102},
			{RefuseAlignment, 0x0207},
		}},
		{"Send", sendTo(1), []refusal{{RefuseNoBuffer, 0x1202}, {RefuseTooLong, 0x1205}}},
		{"Send with Invalidate", untagged(OpSendInvalidate, 0, 1, 0, true), []refusal{{RefuseInvalidate, 0x0109}, {RefuseNoBuffer, 0x1202}}},
		{"Immediate Data", append(untagged(OpImmediate, 0, 1, 0, true), make([]byte, 8)...), []refusal{{RefuseNoBuffer, 0x1202}}},
	} {
		for _, r := range c.refusals {
			for _, crc := range []bool{false, true} {
				t.Run(fmt.Sprintf("%s, %d, CRC %v", c.name, r.why, crc), func(t *testing.T) {
					checkRefusal(t, c.ulpdu, r.why, r.want, crc)
				})
			}
		}
	}
}

func checkRefusal(t *testing.T, ulpdu []byte, why Refusal, want Cause, crc bool) {
	t.Helper()
	_, b := newPair(t, pairConfig{Settings: Settings{CRC: crc}})
	r := b.stream.Receiver()
	in := fpdu(crc, ulpdu)
	wantErr(t, r.Refuse(why), ErrMisuse)
	n, e := r.Step(in[:len(in)-1]) // so that the CRC is not known ahead
	if e.Kind == EventNone {
		n, e = r.Step(in[len(in)-1:])
		n += len(in) - 1
	}
	if e.Kind != EventPlace && e.Kind != EventMessage {
		t.Fatalf("event %+v", e)
	}
	must(t, r.Refuse(why))
	wantErr(t, r.Refuse(why), ErrMisuse)
	_, e = r.Step(in[n:])
	if e.Kind != EventFault || e.Terminate.Cause != want {
		t.Fatalf("event %v with %v, want %v", e.Kind, e.Terminate.Cause, want)
	}
	isRead := Opcode(ulpdu[1]&15) == OpReadRequest
	if e.Terminate.HasRead != (isRead && want>>8 == 1) || e.Terminate.DDPSize == 0 || int(e.Terminate.Length) != len(ulpdu) {
		t.Errorf("Terminate %+v", e.Terminate)
	}
	if _, e := r.Step(make([]byte, 10)); e.Kind != EventFault {
		t.Error("the fault does not last")
	}
}

// TestRefusedThenBadCRC: a wrong STag in an FPDU with a wrong CRC is the network's fault.
func TestRefusedThenBadCRC(t *testing.T) {
	for _, cut := range []int{1, 5, 25, 1000} {
		_, b := newPair(t, pairConfig{Settings: Settings{CRC: true}})
		in := fpdu(true, tagged(OpWrite, 7, 0, true), pattern(20))
		in[5] ^= 1
		for len(in) > 0 {
			n := min(cut, len(in))
			b.feed(in[:n])
			in = in[n:]
		}
		if b.over == nil || b.over.Err.Cause != CauseCRC || b.over.Terminate.DDPSize != 0 {
			t.Errorf("pieces of %d: ended with %+v", cut, b.over)
		}
	}
}

// TestCorruption: no flipped bit gets through where CRCs are on, and none is delivered.
func TestCorruption(t *testing.T) {
	a, _ := newPair(t, pairConfig{Settings: Settings{CRC: true}})
	a.send(func(s *Sender) error { return s.Send(SendOptions{}, Payload{Data: pattern(21)}) })
	a.send(func(s *Sender) error { return s.Read(ReadRequest{}, 0) })
	first := fpduSizes(a.wire)[0]
	for bit := range len(a.wire) * 8 {
		for _, whole := range []bool{true, false} {
			_, b := newPair(t, pairConfig{Settings: Settings{CRC: true}})
			b.posted = [][]byte{make([]byte, 100)}
			in := bytes.Clone(a.wire)
			in[bit/8] ^= 1 << (bit % 8)
			in = append(in, make([]byte, 70000)...) // if the length was changed
			if whole {
				b.feed(in)
			} else {
				for i := range in[:len(a.wire)+1] {
					b.feed(in[i : i+1])
				}
				b.feed(in[len(a.wire)+1:])
			}
			sound := 0 // messages before the bit
			if bit/8 >= first {
				sound = 1
			}
			if b.over == nil || b.over.Terminate.Cause != CauseCRC || len(b.got)+len(b.reads) != sound {
				t.Fatalf("bit %d: delivered %d, ended with %+v", bit, len(b.got)+len(b.reads), b.over)
			}
		}
	}
}

// TestCRCFirst: where the whole FPDU is at hand, nothing is placed before the CRC was checked.
func TestCRCFirst(t *testing.T) {
	_, b := newPair(t, pairConfig{Settings: Settings{CRC: true}})
	in := fpdu(true, tagged(OpWrite, 7, 0, true), pattern(20))
	in[20] ^= 1
	if _, e := b.stream.Receiver().Step(in); e.Kind != EventFault || e.Terminate.Cause != CauseCRC {
		t.Errorf("event %+v", e)
	}
}

// TestNoCRC: "when CRCs are not enabled, this field is still present, may contain any value, and MUST NOT be checked"; nor
// is the padding (RFC 5044 section 4.1), nor are the reserved bits of the headers.
func TestIgnored(t *testing.T) {
	_, b := newPair(t, pairConfig{})
	b.posted = [][]byte{make([]byte, 8)}
	in, _ := hex.DecodeString("0013" + "7d73" + "ffffffff" + "00000000" + "00000001" + "00000000" + "61" + "aabbcc" + "deadbeef")
	b.feed(in)
	if len(b.got) != 1 || string(b.got[0].data) != "a" {
		t.Errorf("delivered %+v, ended with %+v", b.got, b.over)
	}
	_, b = newPair(t, pairConfig{Settings: Settings{CRC: true}})
	b.posted = [][]byte{make([]byte, 8)}
	in = fpdu(true, untagged(OpSend, 0, 1, 0, true), []byte("a"))
	end := len(in) - crcSize
	in[end-1] = 7
	s := sum(0, in[:end])
	copy(in[end:], []byte{byte(s), byte(s >> 8), byte(s >> 16), byte(s >> 24)})
	b.feed(in)
	if len(b.got) != 1 {
		t.Errorf("padding with a good CRC: ended with %+v", b.over)
	}
}

// TestInterleaving: a tagged message may lie within an untagged one; Linux siw permits it.
func TestInterleaving(t *testing.T) {
	_, b := newPair(t, pairConfig{})
	b.posted, b.buffers[7] = [][]byte{make([]byte, 8)}, sink(8)
	b.feed(fpdu(false, untagged(OpSend, 0, 1, 0, false), []byte("ab")))
	b.feed(fpdu(false, tagged(OpWrite, 7, 0, false), []byte("12")))
	b.feed(fpdu(false, untagged(OpSend, 0, 1, 2, true), []byte("cd")))
	b.feed(fpdu(false, tagged(OpWrite, 7, 2, true), []byte("34")))
	if len(b.got) != 2 || string(b.got[0].data) != "abcd" || string(b.buffers[7].data[:4]) != "1234" {
		t.Errorf("delivered %+v, ended with %+v", b.got, b.over)
	}
}

// TestWithoutExtensions: a peer that was not told of RFC 7306 here must not use it.
func TestWithoutExtensions(t *testing.T) {
	for op, queue := range map[Opcode]uint32{OpImmediate: 0, OpImmediateSolicited: 0, OpAtomicRequest: 1, OpAtomicResponse: 3} {
		st, err := NewStream(Settings{}, StreamConfig{})
		must(t, err)
		_, e := st.Receiver().Step(fpdu(false, untagged(op, queue, 1, 0, true), make([]byte, 8)))
		if e.Kind != EventFault || e.Terminate.Cause != CauseOpcode {
			t.Errorf("%v: event %+v", op, e)
		}
	}
}

// TestPlaced: in pieces, and no more than was announced.
func TestPlaced(t *testing.T) {
	_, b := newPair(t, pairConfig{Settings: Settings{CRC: true}})
	r := b.stream.Receiver()
	wantErr(t, r.Placed([]byte{1}), ErrMisuse)
	in := fpdu(true, tagged(OpWrite, 7, 100, true), pattern(20))
	if n, e := r.Step(in[:16]); n != 16 || e.Kind != EventPlace || e.Segment.TO != 100 || e.Length != 20 || e.Resumed || r.Want() != 20 {
		t.Fatalf("event %+v", e)
	}
	wantErr(t, r.Placed(make([]byte, 21)), ErrMisuse)
	must(t, r.Placed(in[16:21]))
	if n, e := r.Step(in[21:]); n != 0 || e.Kind != EventPlace || e.Segment.TO != 105 || e.Length != 15 || !e.Resumed {
		t.Fatalf("event %+v", e)
	}
	must(t, r.Placed(in[21:36]))
	if r.Want() != crcSize {
		t.Errorf("want %d octets", r.Want())
	}
	if _, e := r.Step(in[36:]); e.Kind != EventMessage {
		t.Errorf("event %+v", e)
	}
}

// TestWant: it is never 0 while the stream lives, and never more than there is up to the end of the FPDU.
func TestWant(t *testing.T) {
	a, b := newPair(t, pairConfig{Settings: Settings{CRC: true}})
	b.posted = [][]byte{make([]byte, 100)}
	a.send(func(s *Sender) error { return s.Send(SendOptions{}, Payload{Data: pattern(33)}) })
	a.send(func(s *Sender) error { return s.Read(ReadRequest{}, 0) })
	for _, n := range fpduSizes(a.wire) {
		for i := range n {
			if want := b.stream.Receiver().Want(); want <= 0 || want > n-i {
				t.Errorf("at octet %d of %d: %d", i, n, want)
			}
			b.feed(a.wire[i : i+1])
		}
		a.wire = a.wire[n:]
	}
}

func TestClosed(t *testing.T) {
	a, _ := newPair(t, pairConfig{Settings: Settings{CRC: true}})
	a.send(func(s *Sender) error { return s.Send(SendOptions{}, Payload{Data: pattern(3000)}) })
	boundaries := map[int]bool{0: true, len(a.wire): true}
	for n := range len(a.wire) + 1 {
		_, b := newPair(t, pairConfig{Settings: Settings{CRC: true}})
		b.posted = [][]byte{make([]byte, 4000)}
		b.feed(a.wire[:n])
		var lost *Error
		err := b.stream.Receiver().Closed()
		if (err == nil) != boundaries[n] || err != nil && (!errors.As(err, &lost) || lost.Cause != CauseConnectionLost) {
			t.Errorf("after %d of %d octets: %v", n, len(a.wire), err)
		}
	}
}

// TestCheckRange: RFC 5041 section 7.1, RFC 5040 section 7.2.
func TestCheckRange(t *testing.T) {
	const base = 1 << 40
	for _, c := range []struct {
		to, n, base, size uint64
		want              Refusal
		ok                bool
	}{
		{base, 100, base, 100, 0, true},
		{base + 99, 1, base, 100, 0, true},
		{base, 101, base, 100, RefuseBounds, false},
		{base + 100, 1, base, 100, RefuseBounds, false},
		{base - 1, 1, base, 100, RefuseBounds, false},
		{base + 101, 1, base, 100, RefuseBounds, false},
		{math.MaxUint64, 1, base, 100, RefuseWrap, false},
		{math.MaxUint64 - 1, 1, math.MaxUint64 - 9, 9, 0, true},
		{0, math.MaxUint64, 0, math.MaxUint64, 0, true},
		{2, math.MaxUint64 - 1, 0, 100, RefuseWrap, false},
	} {
		if got, ok := CheckRange(c.to, c.n, c.base, c.size); ok != c.ok || got != c.want {
			t.Errorf("%x+%x in %x+%x: %v, %v", c.to, c.n, c.base, c.size, got, ok)
		}
	}
}

// TestBothEnds runs a random mix of messages in both directions, in random pieces, and compares memory and deliveries.
func TestBothEnds(t *testing.T) {
	seed := rand.Uint64()
	for round := range 40 {
		t.Run(fmt.Sprintf("seed %d, round %d", seed, round), func(t *testing.T) {
			random := rand.New(rand.NewPCG(seed, uint64(round)))
			c := pairConfig{Settings: Settings{CRC: random.IntN(2) == 0, IRD: 3, ORD: 3}, arena: 150 + random.IntN(5000), vec: 4 + random.IntN(60), copies: random.IntN(600)}
			c.MaxFPDU = []int{MinFPDU, 600, 1448, MaxFPDU}[random.IntN(4)]
			a, b := newPair(t, c)
			newMix(a, b, random).run()
			if a.over != nil || b.over != nil {
				t.Fatalf("ended with %+v, %+v", a.over, b.over)
			}
		})
	}
}

// A mix drives two peers, and knows what must come of it.
type mix struct {
	a, b   *peer
	random *rand.Rand
	sends  map[*peer][][]byte // payloads that are to arrive at the peer, in order
	read   map[*peer]int      // responses that are to arrive
	model  map[*peer][]byte   // what buffer 1 of the peer is to hold
}

func newMix(a, b *peer, random *rand.Rand) *mix {
	m := &mix{a, b, random, map[*peer][][]byte{}, map[*peer]int{}, map[*peer][]byte{}}
	for _, p := range []*peer{a, b} {
		p.buffers[1] = &buffer{base: 4096, data: make([]byte, 20000), mayWr: true, mayRead: true}
		p.buffers[2] = sink(20000)
		m.model[p] = make([]byte, 20000)
	}
	return m
}

func (m *mix) run() {
	m.step(m.a, m.b) // the initiator begins
	exchange(m.a, m.b, m.random)
	for range 60 {
		if m.random.IntN(2) == 0 {
			m.step(m.a, m.b)
		} else {
			m.step(m.b, m.a)
		}
		if m.random.IntN(3) == 0 {
			m.a.deliverTo(m.b, m.random)
			m.b.deliverTo(m.a, m.random)
		}
		if m.random.IntN(4) == 0 {
			exchange(m.a, m.b, m.random)
		}
	}
	exchange(m.a, m.b, m.random)
	m.check(m.a)
	m.check(m.b)
}

func (m *mix) step(p, other *peer) {
	data := make([]byte, []int{0, 1, 7, 100, 3000, 9000}[m.random.IntN(6)])
	for i := range data {
		data[i] = byte(m.random.Uint32())
	}
	at := uint64(m.random.IntN(11000))
	cut := m.random.IntN(len(data) + 1)
	payload := Payload{Data: data[:cut], Vec: [][]byte{nil, data[cut:]}}
	switch m.random.IntN(4) {
	case 0:
		p.send(func(s *Sender) error { return s.Write(1, 4096+at, payload) })
		copy(m.model[other][at:], data)
	case 1:
		other.posted = append(other.posted, make([]byte, len(data)+m.random.IntN(10)))
		m.sends[other] = append(m.sends[other], data)
		p.send(func(s *Sender) error { return s.Send(SendOptions{Solicited: at%2 == 0}, payload) })
	case 2:
		if p.stream.Sender().Outstanding() < 3 {
			m.read[p]++
			q := ReadRequest{SinkSTag: 2, SinkTO: at, Size: uint32(len(data)), SourceSTag: 1, SourceTO: 4096 + at}
			p.send(func(s *Sender) error { return s.Read(q, 5) })
		}
	case 3:
		if p.stream.Sender().Outstanding() < 3 {
			m.read[p]++
			q := AtomicRequest{Op: AtomicFetchAdd, STag: 1, TO: 4096 + at&^7}
			p.send(func(s *Sender) error { return s.Atomic(q, 6) })
		}
	}
}

func (m *mix) check(p *peer) {
	p.t.Helper()
	var sends [][]byte
	responses := 0
	for _, d := range p.got {
		switch {
		case d.op.isSend():
			sends = append(sends, d.data)
		case d.op == OpReadResponse || d.op == OpAtomicResponse:
			responses++
		}
	}
	if len(sends) != len(m.sends[p]) || responses != m.read[p] {
		p.t.Fatalf("%d Sends and %d responses, want %d and %d", len(sends), responses, len(m.sends[p]), m.read[p])
	}
	for i, s := range sends {
		if !bytes.Equal(s, m.sends[p][i]) {
			p.t.Fatalf("Send %d differs", i)
		}
	}
	if !bytes.Equal(p.buffers[1].data, m.model[p]) {
		p.t.Error("memory differs")
	}
}
