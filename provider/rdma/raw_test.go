package rdma

import (
	"bytes"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"io"
	"net"
	"os"
	"testing"
	"time"

	"github.com/unio-stack/unio/internal/iwarp"
)

// A raw is a peer in a test that says whatever the test likes: on a socket, with the protocol's state machines for what is right
// and octets made by hand for what is wrong.
type raw struct {
	t        testing.TB
	tcp      *net.TCPConn
	conn     net.Conn // tcp, or something on it
	settings iwarp.Settings
	stream   *iwarp.Stream
	trailer  *trailer // the other end's; nil if there is none
	data     []byte   // the other end's private data
	batch    *iwarp.Batch
	in       []byte // octets that have come and were not taken
	payload  []byte // of the message that is coming
	sink     []byte // where payload goes instead; a Read Response's
}

// rawConfig says how a raw peer introduces itself. The zero value asks for nothing: neither CRCs, nor Reads, nor an RTR.
type rawConfig struct {
	iwarp.SetupConfig
	private  []byte
	unio     bool // with a trailer, and control as the STag in it
	control  uint32
	features uint16
	crc      bool
}

func (c *rawConfig) complete() {
	c.CRC = iwarp.CRCIfAsked
	if c.crc {
		c.CRC = iwarp.CRCAlways
	}
	if c.unio {
		t := trailer{version: trailerVersion, control: c.control, message: 1 << 20, features: c.features}
		c.private = t.append(c.private)
	}
}

// rawDial connects to a Listener of this package.
func rawDial(t testing.TB, addr string, cfg rawConfig) *raw {
	t.Helper()
	p := rawConnect(t, addr)
	p.initiate(cfg)
	return p
}

// initiate asks for a connection, which it must get.
func (p *raw) initiate(cfg rawConfig) {
	p.t.Helper()
	cfg.complete()
	i, err := iwarp.NewInitiator(cfg.SetupConfig, cfg.private)
	if err != nil {
		p.t.Fatal(err)
	}
	p.write(i.Request())
	for {
		n, o := i.Feed(p.more())
		p.in = p.in[n:]
		if o.Err != nil {
			p.t.Fatal(o.Err)
		}
		if o.Status == iwarp.StatusReady {
			break
		}
	}
	p.data, p.trailer = cutTrailer(bytes.Clone(i.Reply().Private))
	p.begin(i.Settings())
}

// rawConnect connects, and says nothing yet.
func rawConnect(t testing.TB, addr string) *raw {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	return newRaw(t, c.(*net.TCPConn))
}

func newRaw(t testing.TB, c *net.TCPConn) *raw {
	t.Cleanup(func() { _ = c.Close() })
	return &raw{t: t, tcp: c, conn: c}
}

// A rawListener waits for peers of this package.
type rawListener struct {
	t   testing.TB
	tcp net.Listener
}

func rawListen(t testing.TB) *rawListener {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	return &rawListener{t, l}
}

func (l *rawListener) addr() string { return l.tcp.Addr().String() }

// accept takes a connection, and says nothing yet.
func (l *rawListener) accept() (*raw, error) {
	c, err := l.tcp.Accept()
	if err != nil {
		return nil, err
	}
	return newRaw(l.t, c.(*net.TCPConn)), nil
}

// respond accepts what the other end asks for.
func (p *raw) respond(cfg rawConfig) error {
	cfg.complete()
	r, err := iwarp.NewResponder(cfg.SetupConfig)
	if err != nil {
		return err
	}
	for {
		in, err := p.read()
		if err != nil {
			return err
		}
		n, o := r.Feed(in)
		p.in = p.in[n:]
		if o.Err != nil {
			return o.Err
		}
		if o.Status == iwarp.StatusDecide {
			break
		}
	}
	p.data, p.trailer = cutTrailer(bytes.Clone(r.Request().Private))
	if _, err := p.conn.Write(r.Accept(cfg.private).Send); err != nil {
		return err
	}
	p.begin(r.Settings())
	return nil
}

// meet has a dialer of this package, whose call begin is, meet a raw peer.
func (l *rawListener) meet(cfg rawConfig, dial func(addr string) (*Conn, error)) (*Conn, *raw) {
	l.t.Helper()
	var p *raw
	met := make(chan error, 1)
	go func() {
		var err error
		if p, err = l.accept(); err == nil {
			err = p.respond(cfg)
		}
		met <- err
	}()
	c, err := dial(l.addr())
	if err := errors.Join(err, <-met); err != nil {
		l.t.Fatal(err)
	}
	l.t.Cleanup(func() {
		_ = p.conn.Close() // the Conn would wait for it
		if err := c.Close(); err != nil {
			l.t.Error(err)
		}
	})
	return c, p
}

// begin makes the stream, whose own FPDUs are as small as a segment.
func (p *raw) begin(s iwarp.Settings) {
	var err error
	p.settings = s
	if p.stream, err = iwarp.NewStream(s, iwarp.StreamConfig{Extensions: true}); err != nil {
		p.t.Fatal(err)
	}
	if p.batch, err = iwarp.NewBatch(make([]byte, 64<<10), make([][]byte, 0, 256)); err != nil {
		p.t.Fatal(err)
	}
}

func (p *raw) write(b []byte) {
	p.t.Helper()
	if _, err := p.conn.Write(b); err != nil {
		p.t.Fatal(err)
	}
}

// read returns what has come and was not taken; some of it is new.
func (p *raw) read() ([]byte, error) {
	b := make([]byte, 64<<10)
	_ = p.conn.SetReadDeadline(time.Now().Add(patience))
	n, err := p.conn.Read(b)
	p.in = append(p.in, b[:n]...)
	if n > 0 {
		err = nil
	}
	return p.in, err
}

func (p *raw) more() []byte {
	p.t.Helper()
	b, err := p.read()
	if err != nil {
		p.t.Fatal(err)
	}
	return b
}

// send sends messages as they should be, all in one write.
func (p *raw) send(begin ...func(*iwarp.Sender) error) {
	p.t.Helper()
	p.write(p.cut(begin...))
}

// cut returns messages as they go over the wire.
func (p *raw) cut(begin ...func(*iwarp.Sender) error) (octets []byte) {
	p.t.Helper()
	s := p.stream.Sender()
	for _, b := range begin {
		if err := b(s); err != nil {
			p.t.Fatal(err)
		}
		for done := false; !done; {
			done = s.Fill(p.batch)
			for _, b := range p.batch.Buffers() {
				octets = append(octets, b...)
			}
			p.batch.Reset()
		}
	}
	return octets
}

// next returns the next message, and with a Send its payload. Payload of Read Responses goes to sink.
func (p *raw) next() (iwarp.Event, error) {
	r := p.stream.Receiver()
	p.payload = p.payload[:0]
	for {
		n, e := r.Step(p.in)
		p.in = p.in[n:]
		switch e.Kind {
		case iwarp.EventNone:
			if _, err := p.read(); err != nil {
				return *e, err
			}
		case iwarp.EventPlace:
			if len(p.in) == 0 {
				if _, err := p.read(); err != nil {
					return *e, err
				}
			}
			piece := p.in[:min(len(p.in), int(e.Length))]
			if e.Segment.Opcode == iwarp.OpReadResponse && p.sink != nil {
				copy(p.sink[e.Segment.TO:], piece)
			} else {
				p.payload = append(p.payload, piece...)
			}
			if err := r.Placed(piece); err != nil {
				return *e, err
			}
			p.in = p.in[len(piece):]
		default:
			return *e, nil
		}
	}
}

// await returns the next message of a kind; what comes before it is dropped, but for Reads, which are answered with zeros.
func (p *raw) await(op iwarp.Opcode) (iwarp.Event, error) {
	for end := time.Now().Add(patience); ; {
		e, err := p.next()
		if err == nil && time.Now().After(end) {
			err = os.ErrDeadlineExceeded
		}
		if err != nil {
			return e, err
		}
		if e.Kind == iwarp.EventFault {
			return e, e.Err
		}
		if e.Segment.Opcode == op {
			return e, nil
		}
		if e.Segment.Opcode == iwarp.OpReadRequest {
			p.send(func(s *iwarp.Sender) error {
				return s.Respond(&e.Read, iwarp.Payload{Data: make([]byte, e.Read.Size)})
			})
		}
	}
}

// terminate waits for the other end's Terminate, sees that nothing follows it, and closes.
func (p *raw) terminate() iwarp.Terminate {
	p.t.Helper()
	e, err := p.await(iwarp.OpTerminate)
	if err != nil {
		p.t.Fatalf("no Terminate: %v", err)
	}
	if len(p.in) > 0 {
		p.t.Errorf("%d octets behind a Terminate", len(p.in))
	}
	if b, err := p.read(); !errors.Is(err, io.EOF) {
		p.t.Errorf("behind a Terminate: %d octets, %v; want the end", len(b), err)
	}
	_ = p.conn.Close() // the other end waits for it
	return e.Terminate
}

// ------------------------------------------------------------------------------------------------ octets made by hand

const (
	ddpLast   = 0x41 // DDP version 1
	ddpMore   = 0x01
	ddpTagged = 0x80
)

// tagged is a DDP header of 14 octets.
func tagged(control byte, op iwarp.Opcode, stag uint32, to uint64) []byte {
	b := []byte{control | ddpTagged, 0x40 | byte(op)}
	b = binary.BigEndian.AppendUint32(b, stag)
	return binary.BigEndian.AppendUint64(b, to)
}

// untagged is a DDP header of 18 octets.
func untagged(control byte, op iwarp.Opcode, invalidate, queue, msn, mo uint32) []byte {
	b := []byte{control, 0x40 | byte(op)}
	for _, v := range []uint32{invalidate, queue, msn, mo} {
		b = binary.BigEndian.AppendUint32(b, v)
	}
	return b
}

// readRequest is the body of a Read Request (RFC 5040 section 4.4).
func readRequest(size, stag uint32, to uint64) []byte {
	b := binary.BigEndian.AppendUint32(nil, 7) // sink
	b = binary.BigEndian.AppendUint64(b, 0)
	b = binary.BigEndian.AppendUint32(b, size)
	b = binary.BigEndian.AppendUint32(b, stag)
	return binary.BigEndian.AppendUint64(b, to)
}

// atomicRequestBody is that of an Atomic Request that adds 1 (RFC 7306 section 5.2.1).
func atomicRequestBody(op, id, stag uint32, to uint64) []byte {
	b := binary.BigEndian.AppendUint32(nil, op)
	b = binary.BigEndian.AppendUint32(b, id)
	b = binary.BigEndian.AppendUint32(b, stag)
	b = binary.BigEndian.AppendUint64(b, to)
	b = binary.BigEndian.AppendUint64(b, 1)
	return append(b, make([]byte, 24)...)
}

// fpdu frames an ULPDU, with a CRC if the connection has them.
func (p *raw) fpdu(parts ...[]byte) []byte {
	u := bytes.Join(parts, nil)
	return frame(u, len(u), p.settings.CRC)
}

// frame makes an FPDU that says that it has length octets.
func frame(ulpdu []byte, length int, crc bool) []byte {
	b := binary.BigEndian.AppendUint16(nil, uint16(length))
	b = append(b, ulpdu...)
	for len(b)%4 != 0 {
		b = append(b, 0)
	}
	sum := uint32(0)
	if crc {
		sum = crc32.Checksum(b, crc32.MakeTable(crc32.Castagnoli))
	}
	return binary.LittleEndian.AppendUint32(b, sum)
}
