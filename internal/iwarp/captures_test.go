package iwarp

import (
	"bytes"
	"encoding/binary"
	"errors"
	"flag"
	"fmt"
	"path/filepath"
	"testing"
)

var capturesDir = flag.String("captures", "testdata/captures", "folder whose .pcap files TestCaptures replays")

func captureFiles(t testing.TB) []string {
	t.Helper()
	for _, dir := range []string{*capturesDir, filepath.Join("../..", *capturesDir)} { // a test runs in its package's folder
		names, err := filepath.Glob(filepath.Join(dir, "*.pcap"))
		if err == nil && len(names) > 0 {
			return names
		}
	}
	t.Fatalf("no .pcap files in %s", *capturesDir)
	return nil
}

// TestCaptures replays every capture of a folder through two streams: what one side sent is decoded by the other side's
// Receiver, to the last octet, and encoded again by its own Sender, to the same octets.
func TestCaptures(t *testing.T) {
	total := tally{}
	for _, name := range captureFiles(t) {
		t.Run(filepath.Base(name), func(t *testing.T) {
			connections, err := replayFile(name)
			if err != nil {
				t.Fatal(err)
			}
			for _, c := range connections {
				total.add(c)
				t.Logf("revision %d, CRC %v: %v", c.settings.Revision, c.settings.CRC, c.tally)
			}
		})
	}
	t.Logf("in all: %v", total)
}

// A tally counts messages by kind, and frames, FPDUs and octets.
type tally map[string]int

func (t tally) add(c *replay) {
	t["connections"]++
	for k, n := range c.tally {
		t[k] += n
	}
}

func replayFile(name string) ([]*replay, error) {
	chunks, err := readCapture(name)
	if err != nil {
		return nil, err
	}
	byFlow := map[flow]*replay{}
	var all []*replay
	for _, c := range chunks {
		r := byFlow[c.flow]
		if r == nil {
			r = newReplay(c.flow)
			byFlow[c.flow], byFlow[c.flow.reverse()] = r, r
			all = append(all, r)
		}
		if err := r.feed(c.flow, c.data); err != nil {
			return nil, fmt.Errorf("%v to %v, octet %d: %w", c.flow.from, c.flow.to, r.side(c.flow).octets, err)
		}
	}
	for _, r := range all {
		if err := r.finish(); err != nil {
			return nil, err
		}
	}
	if len(all) == 0 {
		return nil, errors.New("no TCP data")
	}
	return all, nil
}

// A replay is one connection of a capture. Whoever speaks first is the initiator.
type replay struct {
	initiator, responder *side
	request, reply       Frame
	settings             Settings
	started              bool // both streams are there
	over                 bool // rejected
	tally                tally
}

// A side is one end: its stream, and what it has sent in the capture.
type side struct {
	flow   flow   // away from this side
	raw    []byte // of the frame, or the message that the other side is receiving
	octets int
	stream *Stream

	payload []byte // of the message this side is sending
	frame   bool   // the Request or Reply is complete
	peer    *side
	bounds  func(*Event) (Refusal, bool) // what the other side refuses, if anything
	fault   *Terminate                   // what the other side would have answered
}

func newReplay(f flow) *replay {
	i, r := &side{flow: f}, &side{flow: f.reverse()}
	i.peer, r.peer = r, i
	return &replay{initiator: i, responder: r, tally: tally{}}
}

func (r *replay) side(f flow) *side {
	if r.initiator.flow == f {
		return r.initiator
	}
	return r.responder
}

func (r *replay) feed(f flow, data []byte) error {
	s := r.side(f)
	r.tally["octets"] += len(data)
	switch {
	case r.over:
		return errors.New("octets behind a rejection")
	case !r.started:
		s.octets += len(data)
		return r.feedFrame(s, data)
	}
	return r.feedStream(s, data)
}

// feedFrame takes octets of a Request or Reply, and encodes it again.
func (r *replay) feedFrame(s *side, data []byte) error {
	if s.frame {
		return errors.New("octets before the setup was over")
	}
	s.raw = append(s.raw, data...)
	f, size, err := ParseFrame(s.raw)
	if err != nil || len(s.raw) < size {
		return err
	}
	again, err := AppendFrame(nil, &f)
	if err != nil || !bytes.Equal(again, s.raw) {
		return fmt.Errorf("frame % x is encoded as % x (%v)", s.raw, again, err)
	}
	s.frame, s.raw = true, nil
	r.tally["frames"]++
	if s == r.initiator {
		r.request = f
		return nil
	}
	r.reply = f
	return r.start()
}

// start makes the two streams.
func (r *replay) start() error {
	if r.over = r.reply.Reject; r.over {
		return nil
	}
	r.settings = settingsOf(&r.request, &r.reply)
	var err error
	if r.initiator.stream, err = NewStream(r.settings, StreamConfig{Extensions: true}); err != nil {
		return err
	}
	mirrored := r.settings
	mirrored.Initiator = false
	mirrored.IRD, mirrored.ORD = max(r.settings.ORD, 1), r.settings.IRD
	r.responder.stream, err = NewStream(mirrored, StreamConfig{Extensions: true})
	r.started = true
	return err
}

// settingsOf says what two frames agree on, at the initiator, as it was played by a peer whose configuration is not known.
func settingsOf(request, reply *Frame) Settings {
	s := Settings{Initiator: true, Revision: reply.Revision, Enhanced: reply.Enhanced, CRC: request.CRC || reply.CRC, IRD: 128, ORD: 128}
	if !s.Enhanced {
		return s
	}
	cfg := SetupConfig{IRD: request.Negotiation.IRD, ORD: request.Negotiation.ORD, RTR: request.Negotiation.RTR}
	s.IRD, s.ORD, s.RTR, _, _ = cfg.conclude(reply.Negotiation)
	return s
}

// feedStream takes octets of FPDUs that s sent.
func (r *replay) feedStream(s *side, data []byte) error {
	in := s.peer.stream.Receiver()
	for {
		n, e := in.Step(data)
		s.take(data[:n])
		data = data[n:]
		switch e.Kind {
		case EventNone:
			return nil
		case EventFault:
			s.fault = &e.Terminate
			if s.bounds == nil {
				return e.Err
			}
			return nil
		case EventPlace:
			if s.refuse(in, e) {
				continue
			}
			piece := data[:min(len(data), int(e.Length))]
			if len(piece) == 0 {
				return nil
			}
			s.place(e, piece)
			if err := in.Placed(piece); err != nil {
				return err
			}
			data = data[len(piece):]
		case EventMessage:
			r.tally[e.Segment.Opcode.String()]++
			if s.refuse(in, e) {
				continue
			}
			if err := r.resend(s, e); err != nil {
				return fmt.Errorf("%v: %w", &e.Segment, err)
			}
		}
	}
}

func (s *side) take(b []byte) {
	s.raw = append(s.raw, b...)
	s.octets += len(b)
}

func (s *side) refuse(in *Receiver, e *Event) bool {
	if s.bounds == nil {
		return false
	}
	why, refused := s.bounds(e)
	return refused && in.Refuse(why) == nil
}

func (s *side) place(e *Event, piece []byte) {
	s.payload = append(s.payload, piece...)
	s.take(piece)
}

// resend has the Sender of s send what the other side has received, and compares.
func (r *replay) resend(s *side, e *Event) error {
	out := s.stream.Sender()
	sizes := fpduSizes(s.raw)
	r.tally["FPDUs"] += len(sizes)
	out.SetMaxFPDU(sizes[0]) // all but the last of a message are as large
	err := begin(out, e, s)
	if errors.Is(err, ErrNotReady) && s == r.responder {
		// Linux siw does not wait for the first FPDU (RFC 5044 section 7.1.2, rule 4).
		r.tally["messages before the first FPDU"]++
		s.stream.link.heard.Store(true)
		err = begin(out, e, s)
	}
	if err != nil {
		return err
	}
	batch, err := NewBatch(make([]byte, 64<<10), make([][]byte, 0, 1024))
	if err != nil {
		return err
	}
	if !out.Fill(batch) {
		return errors.New("batch is full")
	}
	again := bytes.Join(batch.Buffers(), nil)
	if !bytes.Equal(again, s.raw) {
		r.tally["FPDUs with padding that is not zero"] += graftPadding(again, s.raw, r.settings.CRC)
	}
	if !bytes.Equal(again, s.raw) {
		return fmt.Errorf("% x is encoded as % x", s.raw, again)
	}
	s.raw, s.payload = nil, nil
	return nil
}

// fpduSizes returns the size of each FPDU of b.
func fpduSizes(b []byte) (sizes []int) {
	for len(b) > 0 {
		ulpdu := int(binary.BigEndian.Uint16(b))
		n := lengthSize + ulpdu + pad(ulpdu) + crcSize
		sizes, b = append(sizes, n), b[n:]
	}
	return sizes
}

// graftPadding copies the padding of each FPDU from one run of FPDUs to another, and brings the CRCs in line: Linux siw
// leaves what it has in its buffer in the padding, where the RFC demands zeros. It returns how many FPDUs it changed.
func graftPadding(to, from []byte, crc bool) (changed int) {
	if len(to) != len(from) {
		return 0
	}
	start := 0
	for _, n := range fpduSizes(from) {
		end := start + n - crcSize
		padding := pad(int(binary.BigEndian.Uint16(from[start:])))
		if !bytes.Equal(to[end-padding:end], from[end-padding:end]) {
			copy(to[end-padding:end], from[end-padding:end])
			changed++
		}
		if crc {
			binary.LittleEndian.PutUint32(to[end:], sum(0, to[start:end]))
		}
		start += n
	}
	return changed
}

// begin has out begin the message that s sent.
func begin(out *Sender, e *Event, s *side) error {
	p := Payload{Data: s.payload}
	if out.OwesRTR() {
		return out.RTR()
	}
	switch op := e.Segment.Opcode; op {
	case OpWrite:
		return out.Write(e.Segment.STag, e.Segment.TO, p)
	case OpReadRequest:
		return out.Read(e.Read, 0)
	case OpReadResponse:
		q := ReadRequest{SinkSTag: e.Segment.STag, SinkTO: e.Segment.TO, Size: e.Length}
		return out.Respond(&q, p)
	case OpTerminate:
		return out.Terminate(e.Terminate)
	case OpImmediate, OpImmediateSolicited:
		return out.Immediate(e.Immediate, op.Solicited())
	case OpAtomicRequest:
		return out.Atomic(e.Atomic, 0)
	case OpAtomicResponse:
		return out.RespondAtomic(&AtomicRequest{ID: e.AtomicResponse.ID}, e.AtomicResponse.Original)
	default:
		return out.Send(SendOptions{Solicited: op.Solicited(), Invalidates: op.Invalidates(), Invalidate: e.Segment.Invalidate}, p)
	}
}

// finish checks that nothing is left over.
func (r *replay) finish() error {
	for _, s := range []*side{r.initiator, r.responder} {
		switch {
		case r.over:
		case !r.started:
			return errors.New("no Request and Reply")
		case s.fault != nil:
		default:
			if err := s.peer.stream.Receiver().Closed(); err != nil {
				return err
			}
			if len(s.raw) > 0 {
				return fmt.Errorf("%d octets left over", len(s.raw))
			}
		}
	}
	return nil
}
