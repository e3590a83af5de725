package iwarp

import (
	"bytes"
	"encoding/binary"
	"errors"
	"math/rand/v2"
	"testing"
)

// A peer is one end of a connection in a test: a Stream with buffers, receives and a plain way to answer requests.
type peer struct {
	t       testing.TB
	stream  *Stream
	batch   *Batch
	wire    []byte // sent, and not yet fed to the other side
	buffers map[uint32]*buffer
	posted  [][]byte // receives
	trust   bool     // refuse no tagged payload, but drop it
	pieces  int      // the batch's limit
	filling []byte   // the receive that a Send under way has taken
	reads   []func() // requests of the other side that wait for their response
	got     []delivery
	over    *Event // a copy of the fault or Terminate that ended the stream
}

type buffer struct {
	base           uint64
	data           []byte
	mayRead, mayWr bool
	foreign        bool

	stag uint32 // where a capture says it
	size uint64 // likewise: there are no data then
}

// A delivery is a message that arrived.
type delivery struct {
	op         Opcode
	data       []byte // of a Send; the immediate data
	length     uint32
	id         uint64
	rtr        bool
	invalidate uint32
	original   uint64
}

type pairConfig struct {
	Settings
	StreamConfig
	arena, vec, copies int
}

// newPair joins two peers. The zero value of c has extensions, and IRD and ORD 4.
func newPair(t testing.TB, c pairConfig) (initiator, responder *peer) {
	t.Helper()
	if c.IRD == 0 {
		c.IRD = 4
	}
	if c.ORD == 0 {
		c.ORD = 4
	}
	c.Extensions = true
	i, r := c.Settings, c.Settings
	i.Initiator, r.Initiator = true, false
	r.IRD, r.ORD = i.ORD, i.IRD
	return newPeer(t, i, c), newPeer(t, r, c)
}

func newPeer(t testing.TB, s Settings, c pairConfig) *peer {
	t.Helper()
	stream, err := NewStream(s, c.StreamConfig)
	if err != nil {
		t.Fatal(err)
	}
	if c.arena == 0 {
		c.arena, c.vec = 4096, 64
	}
	arena := bytes.Repeat([]byte{0xff}, c.arena) // whatever was there before must not show
	batch, err := NewBatch(arena, make([][]byte, 0, c.vec))
	if err != nil {
		t.Fatal(err)
	}
	batch.SetCopyLimit(c.copies)
	return &peer{t: t, stream: stream, batch: batch, pieces: c.vec, buffers: map[uint32]*buffer{}}
}

// talking lets a responder send without having heard anything.
func (p *peer) talking() *peer {
	p.stream.link.heard.Store(true)
	return p
}

// send begins a message and puts all of it on the wire.
func (p *peer) send(begin func(*Sender) error) {
	p.t.Helper()
	s := p.stream.Sender()
	if err := begin(s); err != nil {
		p.t.Fatal(err)
	}
	for {
		done := s.Fill(p.batch)
		if n := len(p.batch.Buffers()); n > p.pieces {
			p.t.Fatalf("batch of %d pieces; at most %d are allowed", n, p.pieces)
		}
		for _, b := range p.batch.Buffers() {
			p.wire = append(p.wire, b...)
		}
		p.batch.Reset()
		if done {
			return
		}
	}
}

// answer answers all requests that wait.
func (p *peer) answer() {
	for _, answer := range p.reads {
		answer()
	}
	p.reads = nil
}

// deliverTo hands what is on p's wire to the other peer, in pieces that random chooses; nil for one piece.
func (p *peer) deliverTo(other *peer, random *rand.Rand) {
	p.t.Helper()
	wire := p.wire
	p.wire = nil
	for len(wire) > 0 {
		n := len(wire)
		if random != nil {
			n = 1 + random.IntN(min(n, 1+random.IntN(3000)))
		}
		other.feed(wire[:n])
		wire = wire[n:]
	}
}

func (p *peer) feed(in []byte) {
	p.t.Helper()
	r := p.stream.Receiver()
	for {
		n, e := r.Step(in)
		in = in[n:]
		switch e.Kind {
		case EventNone:
			if len(in) > 0 {
				p.t.Fatalf("%d octets not used", len(in))
			}
			return
		case EventFault:
			p.end(e)
			return
		case EventPlace:
			if refusal, ok := p.place(e, &in); !ok {
				must(p.t, r.Refuse(refusal))
			} else if len(in) == 0 {
				return
			}
		case EventMessage:
			if refusal, ok := p.message(e); !ok {
				must(p.t, r.Refuse(refusal))
			}
		}
	}
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func (p *peer) end(e *Event) {
	saved := *e
	p.over = &saved
}

// place copies payload into its place.
func (p *peer) place(e *Event, in *[]byte) (Refusal, bool) {
	to, refusal, ok := p.target(e)
	if !ok {
		return refusal, false
	}
	piece := (*in)[:min(len(*in), int(e.Length))]
	*in = (*in)[len(piece):]
	copy(to, piece)
	must(p.t, p.stream.Receiver().Placed(piece))
	return 0, true
}

func (p *peer) target(e *Event) ([]byte, Refusal, bool) {
	switch {
	case e.Segment.Tagged && p.trust:
		return nil, 0, true
	case e.Segment.Tagged:
		return p.span(e.Segment.STag, e.Segment.TO, uint64(e.Length), func(b *buffer) bool { return b.mayWr })
	}
	if refusal, ok := p.take(e); !ok {
		return nil, refusal, false
	}
	if end := uint64(e.Segment.MO) + uint64(e.Length); end > uint64(len(p.filling)) {
		return nil, RefuseTooLong, false
	}
	return p.filling[e.Segment.MO:], 0, true
}

// take takes a receive for a Send, if it has none yet.
func (p *peer) take(*Event) (Refusal, bool) {
	if p.filling == nil {
		if len(p.posted) == 0 {
			return RefuseNoBuffer, false
		}
		p.filling, p.posted = p.posted[0], p.posted[1:]
	}
	return 0, true
}

func (p *peer) span(stag uint32, to, n uint64, permitted func(*buffer) bool) ([]byte, Refusal, bool) {
	if n == 0 {
		return nil, 0, true
	}
	b := p.buffers[stag]
	switch {
	case b == nil:
		return nil, RefuseSTag, false
	case b.foreign:
		return nil, RefuseForeignSTag, false
	case !permitted(b):
		return nil, RefuseAccess, false
	}
	if refusal, ok := CheckRange(to, n, b.base, uint64(len(b.data))); !ok {
		return nil, refusal, false
	}
	return b.data[to-b.base:][:n], 0, true
}

// message records a message, and takes note of requests.
func (p *peer) message(e *Event) (Refusal, bool) {
	d := delivery{op: e.Segment.Opcode, length: e.Length, id: e.ID, rtr: e.RTR}
	switch op := e.Segment.Opcode; {
	case op.isSend() && !e.RTR:
		if refusal, ok := p.take(e); !ok {
			return refusal, false
		}
		d.data, p.filling = p.filling[:e.Length], nil
		if op.Invalidates() {
			if p.buffers[e.Segment.Invalidate] == nil {
				return RefuseInvalidate, false
			}
			d.invalidate = e.Segment.Invalidate
			delete(p.buffers, e.Segment.Invalidate)
		}
	case op == OpImmediate || op == OpImmediateSolicited:
		d.data = bytes.Clone(e.Immediate[:])
	case op == OpReadRequest:
		return p.read(e.Read)
	case op == OpAtomicRequest:
		return p.atomic(e.Atomic)
	case op == OpAtomicResponse:
		d.original = e.AtomicResponse.Original
	case op == OpTerminate:
		p.end(e)
	}
	p.got = append(p.got, d)
	return 0, true
}

func (p *peer) read(q ReadRequest) (Refusal, bool) {
	data, refusal, ok := p.span(q.SourceSTag, q.SourceTO, uint64(q.Size), func(b *buffer) bool { return b.mayRead })
	if ok {
		p.reads = append(p.reads, func() {
			p.send(func(s *Sender) error { return s.Respond(&q, Payload{Data: data}) })
		})
	}
	return refusal, ok
}

func (p *peer) atomic(q AtomicRequest) (Refusal, bool) {
	word, refusal, ok := p.span(q.STag, q.TO, 8, func(b *buffer) bool { return b.mayRead && b.mayWr })
	if ok && q.TO%8 != 0 {
		refusal, ok = RefuseAlignment, false
	}
	if !ok {
		return refusal, false
	}
	p.reads = append(p.reads, func() {
		old := binary.LittleEndian.Uint64(word)
		binary.LittleEndian.PutUint64(word, q.Apply(old))
		p.send(func(s *Sender) error { return s.RespondAtomic(&q, old) })
	})
	return 0, true
}

// exchange hands everything over, both ways, until nothing is left.
func exchange(a, b *peer, random *rand.Rand) {
	for len(a.wire)+len(b.wire)+len(a.reads)+len(b.reads) > 0 {
		a.deliverTo(b, random)
		b.answer()
		b.deliverTo(a, random)
		a.answer()
	}
}

// pattern is n octets that tell their offset.
func pattern(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(i + i>>8)
	}
	return b
}

// fpdu makes an FPDU around an ULPDU.
func fpdu(crc bool, ulpdu ...[]byte) []byte {
	body := bytes.Join(ulpdu, nil)
	b := binary.BigEndian.AppendUint16(nil, uint16(len(body)))
	b = append(b, body...)
	b = append(b, make([]byte, pad(len(body)))...)
	s := uint32(0)
	if crc {
		s = sum(0, b)
	}
	return binary.LittleEndian.AppendUint32(b, s)
}

// head makes a DDP header.
func head(s Segment) []byte {
	b := make([]byte, untaggedSize)
	s.put(b)
	return b[:headerSize(b[0])]
}

// wantErr checks an error with errors.Is.
func wantErr(t *testing.T, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Errorf("error %v, want %v", err, want)
	}
}
