package rdma

import (
	"crypto/tls"
	"errors"
	"net"
	"time"
)

// recordSize is how many octets one TLS record carries (RFC 8446 section 5.1).
const recordSize = 16 << 10

// A secured is the transport with TLS 1.3 on it. During the handshake it waits, under deadlines; as a transport it does not.
type secured struct {
	conn   *tls.Conn
	pipe   *pipe
	record []byte // gathers pieces; nil until the first write
	broken bool   // conn reads no more, for good
}

// secure starts TLS on tcp, whose handshake is to be done with conn.
func secure(tcp net.Conn, cfg *tls.Config, server bool, host string) *secured {
	cfg = cfg.Clone()
	cfg.MinVersion = max(cfg.MinVersion, tls.VersionTLS13)
	s := &secured{pipe: &pipe{Conn: tcp}}
	if server {
		s.conn = tls.Server(s.pipe, cfg)
		return s
	}
	if cfg.ServerName == "" {
		cfg.ServerName = host
	}
	s.conn = tls.Client(s.pipe, cfg)
	return s
}

// A pipe is what is under TLS: the connection with its deadlines, then the socket that never waits.
type pipe struct {
	net.Conn         // until wire is set
	wire     *socket // nil during the handshake
	out      []byte  // encrypted octets that the socket has not taken
	reads    int     // of wire, since it or pipeTurns said that nothing has come
}

// pipeTurns bounds how often one connection's socket is read before others have their turn: TLS is read until it has nothing more.
const pipeTurns = 64

// pipeLimit is how much waits at most: a record, and what a peer that asks for new keys, again and again, gets of TLS itself.
const pipeLimit = 64 << 10

var errBacklog = errors.New("the peer does not read what TLS has to say")

// Read implements net.Conn.
func (p *pipe) Read(b []byte) (int, error) {
	if p.wire == nil {
		return p.Conn.Read(b)
	}
	if p.reads == pipeTurns {
		p.reads = 0
		return 0, errAgain
	}
	p.reads++
	n, err := p.wire.read(nil, b)
	if err != nil {
		p.reads = 0
	}
	return n, err
}

// Write implements net.Conn. Without the deadlines it takes everything: a write that TLS has begun cannot be taken back.
func (p *pipe) Write(b []byte) (int, error) {
	if p.wire == nil {
		return p.Conn.Write(b)
	}
	if len(p.out) > pipeLimit {
		return 0, errBacklog
	}
	p.out = append(p.out, b...)
	return len(b), nil
}

// SetWriteDeadline implements net.Conn. Nothing waits without the deadlines; TLS sets one when it closes.
func (p *pipe) SetWriteDeadline(t time.Time) error {
	if p.wire == nil {
		return p.Conn.SetWriteDeadline(t)
	}
	return nil
}

func (s *secured) read(head, tail []byte) (n int, err error) {
	switch {
	case s.broken: // what still comes is of no use, but for its end
		return s.pipe.wire.read(nil, tail)
	case len(head) > 0:
		n, err = s.conn.Read(head)
	default:
		n, err = s.conn.Read(tail)
	}
	s.broken = err != nil && !errors.Is(err, errAgain)
	return n, err
}

// write encrypts a record's worth at a time, as long as the socket takes what was encrypted before.
func (s *secured) write(o *outbox) (total int, err error) {
	if s.record == nil {
		s.record = make([]byte, 0, recordSize)
	}
	for _, piece := range o.batch.Buffers() {
		for len(piece) > 0 {
			n := min(len(piece), recordSize-len(s.record))
			s.record, piece = append(s.record, piece[:n]...), piece[n:]
			if len(s.record) < recordSize {
				continue
			}
			if gone, err := s.encrypt(&total); !gone || err != nil {
				return total, err
			}
		}
	}
	_, err = s.encrypt(&total)
	return total, err
}

// encrypt sends the record that was gathered, unless others wait before it, and reports whether the socket took all.
func (s *secured) encrypt(total *int) (gone bool, err error) {
	if gone, err = s.flush(); !gone || err != nil || len(s.record) == 0 {
		s.record = s.record[:0]
		return gone, err
	}
	n, err := s.conn.Write(s.record)
	*total += n
	s.record = s.record[:0]
	if err != nil {
		return false, err
	}
	return s.flush()
}

// flush gives the socket what is encrypted.
func (s *secured) flush() (bool, error) {
	p := s.pipe
	for len(p.out) > 0 {
		n, err := p.wire.push(p.out)
		if err != nil {
			return false, err
		}
		if n == 0 {
			return false, nil
		}
		p.out = p.out[:copy(p.out, p.out[n:])]
	}
	return true, nil
}

// finish implements transport, with the alert that TLS ends with.
func (s *secured) finish() {
	_ = s.conn.CloseWrite() // into out
	_, _ = s.flush()
	s.pipe.wire.finish()
}

func (s *secured) buffered() bool        { return true } // until read says errAgain
func (s *secured) descriptor() int       { return s.pipe.wire.descriptor() }
func (s *secured) taken() (uint64, bool) { return s.pipe.wire.taken() }
func (s *secured) close() error          { return s.pipe.wire.close() }
