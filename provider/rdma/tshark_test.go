package rdma_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/unio-stack/unio"
	"github.com/unio-stack/unio/internal/iwarp"
	"github.com/unio-stack/unio/provider/rdma"
)

// TestTshark: what two ends say to each other is read by Wireshark's dissectors as what internal/iwarp reads in it, FPDU for
// FPDU, with nothing malformed and every CRC right.
func TestTshark(t *testing.T) {
	tshark, err := exec.LookPath("tshark")
	switch {
	case err != nil && os.Getenv("CI") == "true":
		t.Fatal("no tshark: install it, on Debian or Ubuntu as package tshark")
	case err != nil:
		t.Skip("no tshark: install it, on Debian or Ubuntu as package tshark")
	}
	off := rdma.Config{CRC: rdma.CRCOff}
	verbs := rdma.Config{Verbs: true}
	for _, c := range []struct {
		name           string
		listen, dial   rdma.Config
		crc            bool
		talk           func(*testing.T, *sharkPair)
		opcodes        string // that must have been on the wire, at least
		frames, enough int    // MPA frames; FPDUs at least
	}{
		{
			name: "unio peers, CRC", crc: true, talk: sharkEverything,
			opcodes: "0 1 2 3 4 5 6 7 8 9 10 11", frames: 2, enough: 60,
		},
		{
			name: "unio peers, no CRC", listen: off, dial: off, talk: sharkEverything,
			opcodes: "0 1 2 3 4 5 6 7 8 9 10 11", frames: 2, enough: 60,
		},
		{
			name: "plain iWARP, CRC", listen: verbs, dial: verbs, crc: true, talk: sharkEverything,
			opcodes: "0 1 2 3 4 5 6 7", frames: 2, enough: 60,
		},
		{
			name: "revision 1", dial: rdma.Config{Plain: true}, crc: true, talk: sharkEverything,
			opcodes: "0 1 2 3 4 5 6 7", frames: 2, enough: 60,
		},
		{
			name:   "rejection",
			listen: rdma.Config{Decide: func(*rdma.Incoming) ([]byte, error) { return nil, errors.New("not today") }},
			talk:   nil, frames: 2,
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			rec := sharkConversation(t, c.listen, c.dial, c.talk)
			ours := rec.decode(t)
			theirs := rec.readByTshark(t, tshark)
			t.Logf("%d frames, %d FPDUs, %d octets in %d pieces", ours.frames, len(ours.fpdus), ours.octets, len(rec.pieces))
			if ours.frames != c.frames || theirs.frames != c.frames {
				t.Errorf("MPA frames: %d, tshark %d; want %d", ours.frames, theirs.frames, c.frames)
			}
			if !slices.Equal(ours.fpdus, theirs.fpdus) {
				t.Errorf("FPDUs:\n%v\ntshark:\n%v", ours.fpdus, theirs.fpdus)
			}
			if theirs.octets != ours.octets {
				t.Errorf("FPDUs of %d octets, tshark finds %d", ours.octets, theirs.octets)
			}
			if len(ours.fpdus) < c.enough {
				t.Errorf("only %d FPDUs", len(ours.fpdus))
			}
			for op := range strings.FieldsSeq(c.opcodes) {
				if !slices.ContainsFunc(theirs.fpdus, func(f sharkFPDU) bool { return strconv.Itoa(int(f.opcode)) == op }) {
					t.Errorf("no message with opcode %s", op)
				}
			}
			if want := len(ours.fpdus); c.crc && theirs.checked != want {
				t.Errorf("%d CRCs are right, of %d", theirs.checked, want)
			}
		})
	}
}

// ------------------------------------------------------------------------------------------------ what is said

const sharkLimit = 20 * time.Second

// A sharkPair is two ends with a recorder between them.
type sharkPair struct {
	ctx              context.Context
	dialed, accepted *rdma.Conn
}

// sharkConversation connects two ends, lets them talk and closes both. Without talk the connection must be rejected.
func sharkConversation(t *testing.T, listen, dial rdma.Config, talk func(*testing.T, *sharkPair)) *recording {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), sharkLimit)
	defer cancel()
	l, err := rdma.Listen(ctx, "127.0.0.1:0", listen)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	rec := record(t, l.Addr().String())
	p := &sharkPair{ctx: ctx}
	done := make(chan error, 1)
	accepting, stop := context.WithCancel(ctx)
	go func() {
		var err error
		p.accepted, err = l.Accept(accepting)
		done <- err
	}()
	p.dialed, err = rdma.Dial(ctx, rec.addr(), dial)
	if talk == nil {
		stop()
		<-done
		if err == nil {
			t.Fatal("the connection was not rejected")
		}
		rec.finish(t)
		return rec
	}
	if err != nil {
		stop()
		<-done
		t.Fatal(err)
	}
	err = <-done
	stop()
	if err != nil {
		t.Fatal(err)
	}
	talk(t, p)
	for _, c := range []*rdma.Conn{p.dialed, p.accepted} {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	}
	rec.finish(t)
	return rec
}

// sharkEverything has each side do everything to the other, and ends with a violation, so that a Terminate is sent.
func sharkEverything(t *testing.T, p *sharkPair) {
	extended := p.dialed.Peer().Unio
	p.speak(t, p.dialed, p.accepted, extended)
	p.speak(t, p.accepted, p.dialed, extended)

	region, exposure := p.expose(t, p.dialed, p.accepted)
	_ = exposure.Revoke()
	err := p.dialed.Channel().Do(p.ctx, unio.Request{Op: unio.OpRead, Region: region, Data: make([]byte, 8)})
	if !errors.Is(err, unio.ErrRevoked) && !errors.Is(err, unio.ErrAccess) {
		t.Errorf("reading revoked memory: %v", err)
	}
}

// speak has a do everything to b.
func (p *sharkPair) speak(t *testing.T, a, b *rdma.Conn, extended bool) {
	t.Helper()
	for _, n := range []int{0, 1, 2, 3, 4, 1400, 20_000, 300_000} {
		p.message(t, a, b, unio.Request{Op: unio.OpSend, Data: sharkBytes(n)})
	}
	p.message(t, a, b, unio.Request{Op: unio.OpSend, Flags: unio.Solicited, Data: sharkBytes(5)})
	for _, f := range []unio.Flags{unio.Invalidate, unio.Invalidate | unio.Solicited} {
		region, _ := p.expose(t, a, b)
		p.message(t, a, b, unio.Request{Op: unio.OpSend, Flags: f, Region: region, Data: sharkBytes(6)})
	}
	region, _ := p.expose(t, a, b)
	do := func(r unio.Request) {
		t.Helper()
		r.Region = region
		if err := a.Channel().Do(p.ctx, r); err != nil {
			t.Fatal(err)
		}
	}
	for _, n := range []int{1, 2, 3, 64, 4096, 70_000, 1 << 20} {
		data := sharkBytes(n)
		do(unio.Request{Op: unio.OpWrite, Data: data})
		got := make([]byte, n)
		do(unio.Request{Op: unio.OpRead, Data: got})
		if !bytes.Equal(got, data) {
			t.Fatalf("%d bytes written are not those read", n)
		}
	}
	if !extended {
		return
	}
	do(unio.Request{Op: unio.OpFetchAdd, Offset: 8, Swap: 3})
	do(unio.Request{Op: unio.OpCompareSwap, Offset: 8, Compare: 1, Swap: 3})
	p.message(t, a, b, unio.Request{Op: unio.OpImmediate, Swap: 0x0102030405060708})
	p.message(t, a, b, unio.Request{Op: unio.OpImmediate, Flags: unio.Solicited, Swap: 1})
}

// message sends r from a to b and waits for it there.
func (p *sharkPair) message(t *testing.T, a, b *rdma.Conn, r unio.Request) {
	t.Helper()
	got := make([]byte, 1<<19)
	if _, err := b.Channel().Post(unio.Request{Op: unio.OpRecv, Data: got}); err != nil {
		t.Fatal(err)
	}
	if err := a.Channel().Do(p.ctx, r); err != nil {
		t.Fatal(err)
	}
	var done [1]unio.Completion
	if n, err := b.Channel().Wait(p.ctx, done[:]); n != 1 || err != nil || done[0].Err != nil {
		t.Fatal(n, err, done[0].Err)
	}
	if r.Op == unio.OpSend && !bytes.Equal(got[:done[0].N], r.Data) {
		t.Fatalf("a message of %d bytes came as another, of %d", len(r.Data), done[0].N)
	}
}

// expose returns memory of b as a sees it.
func (p *sharkPair) expose(t *testing.T, a, b *rdma.Conn) (*unio.Region, *rdma.Exposure) {
	t.Helper()
	buf, err := unio.NewBuffer(1 << 20)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = buf.Free() })
	e, err := b.Expose(buf, unio.ReadWrite)
	if err != nil {
		t.Fatal(err)
	}
	region, err := a.Attach(p.ctx, e.Key(), unio.ReadWrite)
	if err != nil {
		t.Fatal(err)
	}
	return region, e
}

func sharkBytes(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(i + i>>8 + n)
	}
	return b
}

// ------------------------------------------------------------------------------------------------ recording it

// A recording is a TCP proxy for one connection that keeps what passes.
type recording struct {
	listener net.Listener
	over     chan error // why it ended

	mu     sync.Mutex
	pieces []recordedPiece // in the order in which they came; guarded by mu until finish
}

// A recordedPiece is what one read returned.
type recordedPiece struct {
	back bool // from the responder
	data []byte
}

func record(t *testing.T, target string) *recording {
	t.Helper()
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	r := &recording{listener: l, over: make(chan error, 1)}
	go func() { r.over <- r.relay(target) }()
	t.Cleanup(func() { _ = l.Close() })
	return r
}

func (r *recording) addr() string { return r.listener.Addr().String() }

// finish waits until both ends have closed the connection.
func (r *recording) finish(t *testing.T) {
	t.Helper()
	select {
	case err := <-r.over:
		if err != nil {
			t.Fatal(err)
		}
	case <-time.After(sharkLimit):
		t.Fatal("the connection was not closed")
	}
}

func (r *recording) relay(target string) error {
	in, err := r.listener.Accept()
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := net.Dial("tcp4", target)
	if err != nil {
		return err
	}
	defer out.Close()
	back := make(chan error, 1)
	go func() { back <- r.copy(in, out, true) }()
	return errors.Join(r.copy(out, in, false), <-back)
}

// copy records what from says, passes it on, and closes its direction after the last of it.
func (r *recording) copy(to, from net.Conn, back bool) error {
	b := make([]byte, 32<<10)
	for {
		n, err := from.Read(b)
		if n > 0 {
			r.mu.Lock()
			r.pieces = append(r.pieces, recordedPiece{back, bytes.Clone(b[:n])})
			r.mu.Unlock()
			if _, err := to.Write(b[:n]); err != nil {
				return err
			}
		}
		if err != nil {
			_ = to.(*net.TCPConn).CloseWrite() // the other direction may have ended it
			if err == io.EOF {
				err = nil
			}
			return err
		}
	}
}

// sharkDecoded is what a decoder found in a recording.
type sharkDecoded struct {
	frames  int         // MPA Requests and Replies
	fpdus   []sharkFPDU // first all of the initiator, then all of the responder
	octets  int         // of all FPDUs
	checked int         // FPDUs whose CRC is right
}

type sharkFPDU struct {
	opcode iwarp.Opcode
	back   bool // from the responder
}

// ------------------------------------------------------------------------------------------------ read by internal/iwarp

// decode puts the recording through the protocol's own state machines.
func (r *recording) decode(t *testing.T) *sharkDecoded {
	t.Helper()
	var d sharkDecoded
	var setup [2]*iwarp.Frame
	var held [2][]byte
	var streams [2]*iwarp.Stream
	var senders [2]sharkSender
	for _, p := range r.pieces {
		at := 0
		if p.back {
			at = 1
		}
		data := append(held[at], p.data...)
		held[at] = nil
		if setup[at] == nil {
			f, size, err := iwarp.ParseFrame(data)
			if err != nil {
				t.Fatal(err)
			}
			if size > len(data) {
				held[at] = data
				continue
			}
			setup[at], data = &f, data[size:]
			d.frames++
			if at == 1 && !f.Reject {
				streams = sharkStreams(t, setup[0], &f)
				for i := range senders {
					senders[i] = sharkSender{out: streams[i].Sender(), in: streams[1-i].Receiver()}
				}
			}
		}
		d.octets += len(data)
		if len(data) == 0 {
			continue
		}
		if streams[0] == nil {
			t.Fatalf("%d octets without a connection", len(data))
		}
		if err := senders[at].take(data); err != nil {
			t.Fatal(err)
		}
	}
	for i, s := range senders {
		for _, op := range s.opcodes {
			d.fpdus = append(d.fpdus, sharkFPDU{op, i == 1})
		}
	}
	return &d
}

// sharkStreams makes the two ends that two frames agree on, without limits of their own.
func sharkStreams(t *testing.T, request, reply *iwarp.Frame) (s [2]*iwarp.Stream) {
	t.Helper()
	settings := iwarp.Settings{
		Initiator: true, Revision: reply.Revision, CRC: request.CRC || reply.CRC, IRD: iwarp.MaxDepth, ORD: iwarp.MaxDepth,
	}
	for i := range s {
		var err error
		if s[i], err = iwarp.NewStream(settings, iwarp.StreamConfig{Extensions: true}); err != nil {
			t.Fatal(err)
		}
		settings.Initiator = false
	}
	return s
}

// A sharkSender finds the FPDUs that one side sent.
type sharkSender struct {
	in      *iwarp.Receiver // the other side's
	out     *iwarp.Sender   // is told of requests, so that in expects the responses
	opcodes []iwarp.Opcode  // of each FPDU
	counted bool            // the last segment of the message: it has a payload
}

// take reads the next octets.
func (s *sharkSender) take(data []byte) error {
	for {
		n, e := s.in.Step(data)
		data = data[n:]
		switch e.Kind {
		case iwarp.EventNone:
			return nil
		case iwarp.EventFault:
			return e.Err
		case iwarp.EventPlace:
			if len(data) == 0 {
				return nil // it comes again, with the next octets
			}
			if !e.Resumed {
				s.opcodes = append(s.opcodes, e.Segment.Opcode)
			}
			s.counted = e.Segment.Last
			n := min(len(data), int(e.Length))
			if err := s.in.Placed(data[:n]); err != nil {
				return err
			}
			data = data[n:]
		case iwarp.EventMessage:
			if !s.counted {
				s.opcodes = append(s.opcodes, e.Segment.Opcode)
			}
			s.counted = false
			if err := s.expect(e); err != nil {
				return err
			}
		}
	}
}

// expect prepares for the response to a request.
func (s *sharkSender) expect(e *iwarp.Event) (err error) {
	switch e.Segment.Opcode {
	case iwarp.OpReadRequest:
		err = s.out.Read(e.Read, 0)
	case iwarp.OpAtomicRequest:
		err = s.out.Atomic(e.Atomic, 0)
	default:
		return nil
	}
	if err != nil {
		return err
	}
	batch, err := iwarp.NewBatch(make([]byte, 128), make([][]byte, 0, 4))
	if err != nil {
		return err
	}
	s.out.Fill(batch) // it is on the wire already
	return nil
}

// ------------------------------------------------------------------------------------------------ read by tshark

// readByTshark writes the recording as packets and has tshark take them apart.
func (r *recording) readByTshark(t *testing.T, tshark string) *sharkDecoded {
	t.Helper()
	file := filepath.Join(t.TempDir(), "recording.pcap")
	if err := os.WriteFile(file, r.pcap(), 0o600); err != nil {
		t.Fatal(err)
	}
	fields := []string{
		"tcp.srcport", "iwarp_mpa.key.req", "iwarp_mpa.key.rep", "iwarp_mpa.ulpdulength", "iwarp_rdma.opcode",
		"iwarp_mpa.crc", "iwarp_mpa.crc_check", "_ws.malformed", "_ws.expert.severity", "_ws.expert.message", "frame.number",
	}
	args := []string{"-T", "fields", "-E", "occurrence=a", "-E", "aggregator=,"}
	for _, f := range fields {
		args = append(args, "-e", f)
	}
	var d [2]sharkDecoded
	for line := range strings.Lines(runTshark(t, tshark, file, args...)) {
		f := strings.Split(strings.TrimSuffix(line, "\n"), "\t")
		if len(f) != len(fields) {
			t.Fatalf("tshark prints %q", line)
		}
		at := 0
		if f[0] == strconv.Itoa(recordedResponder) {
			at = 1
		}
		if err := d[at].add(f, at == 1); err != nil {
			t.Errorf("packet %s: %v", f[len(f)-1], err)
		}
	}
	// the verdict on a CRC is no field
	checked := strings.Count(runTshark(t, tshark, file, "-V", "-O", "iwarp_mpa"), "(Good CRC32)")
	return &sharkDecoded{
		frames: d[0].frames + d[1].frames, fpdus: slices.Concat(d[0].fpdus, d[1].fpdus), octets: d[0].octets + d[1].octets, checked: checked,
	}
}

func runTshark(t *testing.T, tshark, file string, args ...string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), sharkLimit)
	defer cancel()
	// What Sends carry is not of these protocols, though their dissectors would guess so.
	args = append([]string{"-n", "-r", file, "--disable-protocol", "smb_direct", "--disable-protocol", "rpcordma"}, args...)
	cmd := exec.CommandContext(ctx, tshark, args...)
	var complaints bytes.Buffer
	cmd.Stderr = &complaints
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("tshark: %v\n%s", err, complaints.Bytes())
	}
	return string(out)
}

// sharkWarning is Wireshark's PI_WARN: what is as severe as this, or more, is a fault.
const sharkWarning = 0x600000

// add takes the fields of one packet.
func (d *sharkDecoded) add(f []string, back bool) error {
	for _, key := range f[1:3] {
		if key != "" {
			d.frames++
		}
	}
	sizes, opcodes, crcs, checked := sharkList(f[3]), sharkList(f[4]), sharkList(f[5]), sharkList(f[6])
	if len(opcodes) != len(sizes) || len(crcs)+len(checked) != len(sizes) {
		return fmt.Errorf("%d FPDUs with %d messages and %d CRCs", len(sizes), len(opcodes), len(crcs)+len(checked))
	}
	for i, size := range sizes {
		d.octets += fpduSize(int(size))
		d.fpdus = append(d.fpdus, sharkFPDU{iwarp.Opcode(opcodes[i]), back})
	}
	severe := slices.ContainsFunc(sharkList(f[8]), func(s uint64) bool { return s >= sharkWarning })
	if f[7] != "" || severe {
		return fmt.Errorf("%s %s", f[7], f[9])
	}
	return nil
}

// sharkList reads numbers separated by commas.
func sharkList(s string) (list []uint64) {
	for f := range strings.SplitSeq(s, ",") {
		if n, err := strconv.ParseUint(f, 0, 64); err == nil {
			list = append(list, n)
		}
	}
	return list
}

// ------------------------------------------------------------------------------------------------ packets

const (
	recordedInitiator = 40000 // TCP ports in the packets
	recordedResponder = 7471
	recordedSegment   = 1460

	flagFIN, flagSYN, flagPSH, flagACK = 0x01, 0x02, 0x08, 0x10
)

// pcap returns the recording as a capture file, as if it had been sent in Ethernet frames of 1500 octets by a TCP that begins a
// packet with each FPDU (RFC 5044 section 5): where a packet ends in the middle of an FPDU's header, the dissectors lose their way.
func (r *recording) pcap() []byte {
	w := pcapWriter{next: [2]uint32{1000, 2000}}
	w.file = binary.LittleEndian.AppendUint32(nil, 0xa1b2c3d4)
	w.file = binary.LittleEndian.AppendUint16(w.file, 2) // version 2.4
	w.file = binary.LittleEndian.AppendUint16(w.file, 4)
	w.file = append(w.file, make([]byte, 8)...) // time zone, accuracy
	w.file = binary.LittleEndian.AppendUint32(w.file, 1<<16)
	w.file = binary.LittleEndian.AppendUint32(w.file, 1) // Ethernet
	w.packet(false, flagSYN, nil)
	w.packet(true, flagSYN|flagACK, nil)
	w.packet(false, flagACK, nil)
	var held [2][]byte
	for _, p := range r.pieces {
		at := 0
		if p.back {
			at = 1
		}
		held[at] = append(held[at], p.data...)
		for n := wholeUnit(held[at]); n > 0; n = wholeUnit(held[at]) {
			w.burst(p.back, held[at][:n])
			held[at] = held[at][n:]
		}
	}
	w.burst(false, held[0])
	w.burst(true, held[1])
	w.packet(false, flagFIN|flagACK, nil)
	w.packet(true, flagFIN|flagACK, nil)
	w.packet(false, flagACK, nil)
	return w.file
}

// wholeUnit returns the size of the FPDU or MPA frame that b begins with, or 0 if it is not complete.
func wholeUnit(b []byte) int {
	if len(b) < 2 {
		return 0
	}
	size := fpduSize(int(binary.BigEndian.Uint16(b)))
	if _, n, err := iwarp.ParseFrame(b); err == nil {
		size = n
	}
	if size > len(b) {
		return 0
	}
	return size
}

// fpduSize is the size of an FPDU: length field and ULPDU, padded to a multiple of 4, and CRC.
func fpduSize(ulpdu int) int { return (2+ulpdu+3)&^3 + 4 }

type pcapWriter struct {
	file []byte
	next [2]uint32 // sequence number due, of the initiator and the responder
	time uint32    // microseconds
}

// burst adds data in segments, and its acknowledgement.
func (w *pcapWriter) burst(back bool, data []byte) {
	if len(data) == 0 {
		return
	}
	for part := range slices.Chunk(data, recordedSegment) {
		w.packet(back, flagPSH|flagACK, part)
	}
	w.packet(!back, flagACK, nil)
}

// packet adds a TCP segment with its headers and counts it as sent and acknowledged.
func (w *pcapWriter) packet(back bool, flags byte, data []byte) {
	const ethernet, ip, tcp = 14, 20, 20
	from, to := 0, 1
	ports := [2]uint16{recordedInitiator, recordedResponder}
	if back {
		from, to = 1, 0
	}
	size := uint32(ethernet + ip + tcp + len(data))
	w.time += 10
	for _, v := range []uint32{w.time / 1e6, w.time % 1e6, size, size} {
		w.file = binary.LittleEndian.AppendUint32(w.file, v)
	}
	mac := func(side int) []byte { return []byte{2, 0, 0, 0, 0, byte(side + 1)} }
	b := append(append([]byte(nil), mac(to)...), mac(from)...)
	b = append(b, 0x08, 0x00) // IPv4
	b = append(b, 0x45, 0)    // version, header length
	b = binary.BigEndian.AppendUint16(b, uint16(ip+tcp+len(data)))
	b = append(b, 0, 0, 0x40, 0, 64, 6, 0, 0) // identification, do not fragment, time to live, TCP, checksum
	b = append(b, 192, 0, 2, byte(from+1), 192, 0, 2, byte(to+1))
	b = binary.BigEndian.AppendUint16(b, ports[from])
	b = binary.BigEndian.AppendUint16(b, ports[to])
	b = binary.BigEndian.AppendUint32(b, w.next[from])
	ack := w.next[to]
	if flags&flagACK == 0 {
		ack = 0
	}
	b = binary.BigEndian.AppendUint32(b, ack)
	b = append(b, tcp/4<<4, flags, 0xff, 0xff, 0, 0, 0, 0) // window, checksum, urgent
	w.file = append(append(w.file, b...), data...)
	w.next[from] += uint32(len(data))
	if flags&(flagSYN|flagFIN) != 0 {
		w.next[from]++
	}
}
