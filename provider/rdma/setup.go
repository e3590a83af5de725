package rdma

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"time"
	"unicode/utf8"

	"github.com/unio-stack/unio"
	"github.com/unio-stack/unio/internal/iwarp"
)

// A meeting is a connection that is being set up: a TCP connection, perhaps with TLS on it, on which the MPA frames are
// exchanged with deadlines. What comes out is an agreement.
type meeting struct {
	cfg  *Config
	tcp  *net.TCPConn
	conn net.Conn // tcp, or TLS on it
	tls  *secured // nil without TLS
	ours trailer
	q    *queuePair // what it will be

	service  *Service // what the peer gets; nil for peers
	exposure *Exposure
}

// An agreement is what a meeting came to.
type agreement struct {
	settings iwarp.Settings
	peer     *trailer // nil: not one of ours
	data     []byte   // the peer's private data, a copy
	early    []byte   // octets that came behind the Reply
}

func newMeeting(tcp *net.TCPConn, cfg *Config) *meeting {
	m := &meeting{cfg: cfg, tcp: tcp, conn: tcp, q: &queuePair{}}
	m.ours = trailer{version: trailerVersion, control: randomSTag(), message: uint32(cfg.MaxMessage), features: cfg.features}
	if cfg.features&featureStorage != 0 {
		m.ours.word = cfg.Hints.word()
	}
	return m
}

// begin sets the deadline, which ends with ctx too, and does the TLS handshake. Call the returned function at the end.
func (m *meeting) begin(ctx context.Context, server bool, host string) (end func(), err error) {
	deadline := time.Now().Add(m.cfg.HandshakeTimeout)
	if d, ok := ctx.Deadline(); ok && d.Before(deadline) {
		deadline = d
	}
	_ = m.tcp.SetDeadline(deadline) // fails only when closed; then everything else does
	stop := context.AfterFunc(ctx, func() { _ = m.tcp.SetDeadline(time.Unix(1, 0)) })
	end = func() {
		stop()
		_ = m.tcp.SetDeadline(time.Time{})
	}
	if m.cfg.TLS == nil {
		return end, nil
	}
	m.tls = secure(m.tcp, m.cfg.TLS, server, host)
	m.conn = m.tls.conn
	if err := m.tls.conn.HandshakeContext(ctx); err != nil {
		end()
		if errors.Is(err, os.ErrDeadlineExceeded) || errors.Is(err, context.DeadlineExceeded) {
			err = fmt.Errorf("%w: no handshake within %v: %w", unio.ErrTimeout, m.cfg.HandshakeTimeout, err)
		}
		return nil, fmt.Errorf("TLS: %w", err)
	}
	return end, nil
}

// state is nil without TLS.
func (m *meeting) state() *tls.ConnectionState {
	if m.tls == nil {
		return nil
	}
	s := m.tls.conn.ConnectionState()
	return &s
}

// initiate is the dialing side of MPA.
func (m *meeting) initiate() (a agreement, err error) {
	private := m.cfg.PrivateData
	if !m.cfg.Verbs {
		private = m.ours.append(private[:len(private):len(private)])
	}
	i, err := iwarp.NewInitiator(m.cfg.setup(true), private)
	if err != nil {
		return a, err
	}
	if _, err := m.conn.Write(i.Request()); err != nil {
		return a, err
	}
	out, early, err := m.exchange(i.Feed, i.Expired, i.Closed)
	if err != nil {
		return a, m.refused(err, i)
	}
	if len(out.Send) > 0 {
		_, _ = m.conn.Write(out.Send) // a last word; out.Err says what is wrong
	}
	a.settings, a.early = i.Settings(), early
	a.data, a.peer = cutTrailer(append([]byte(nil), i.Reply().Private...))
	if m.cfg.Verbs {
		a.peer = nil
	}
	return a, nil
}

// refused adds what the peer said when it rejected the connection.
func (m *meeting) refused(err error, i *iwarp.Initiator) error {
	if !errors.Is(err, iwarp.ErrRejected) {
		return err
	}
	data, t := cutTrailer(i.Reply().Private)
	e := &RejectedError{PrivateData: append([]byte(nil), data...)}
	if t != nil {
		e.Cause = causeOf(t.word)
	}
	return e
}

// A RejectedError is how Dial fails when the peer's application rejects the connection. It is an [unio.ErrAccess], and Cause.
type RejectedError struct {
	// PrivateData is what the peer had to say; a Listener of this package says why.
	PrivateData []byte
	// Cause is the error of package unio that a Listener of this package rejects with, if it is one: [unio.ErrBusy] may be
	// otherwise later, or if less is asked for. Otherwise nil.
	Cause error
}

// Error says all of it.
func (e *RejectedError) Error() string {
	if len(e.PrivateData) == 0 {
		return "connection rejected by the peer"
	}
	return fmt.Sprintf("connection rejected by the peer: %q", e.PrivateData)
}

// Unwrap returns the causes.
func (e *RejectedError) Unwrap() []error {
	if e.Cause != nil {
		return []error{unio.ErrAccess, e.Cause}
	}
	return []error{unio.ErrAccess}
}

// exchange feeds what comes until the setup is past StatusPending.
func (m *meeting) exchange(feed func([]byte) (int, iwarp.Outcome), expired, closed func() iwarp.Outcome) (o iwarp.Outcome, rest []byte, err error) {
	in := make([]byte, 1024)
	for {
		n, err := m.conn.Read(in)
		used := 0
		switch {
		case n > 0:
			used, o = feed(in[:n])
		case errors.Is(err, os.ErrDeadlineExceeded):
			o = expired()
			o.Err = fmt.Errorf("%w: %w within %v", unio.ErrTimeout, o.Err, m.cfg.HandshakeTimeout)
		case errors.Is(err, io.EOF):
			o = closed()
		default:
			return o, nil, err
		}
		switch o.Status {
		case iwarp.StatusPending:
			continue
		case iwarp.StatusFailed:
			if len(o.Send) > 0 {
				_, _ = m.conn.Write(o.Send) // the peer is told, if it still listens
			}
			return o, nil, o.Err
		}
		return o, in[used:n:n], nil
	}
}

// respond is the listening side of MPA. It returns a turnedAway where the application has rejected the peer.
func (m *meeting) respond() (a agreement, err error) {
	r, err := iwarp.NewResponder(m.cfg.setup(false))
	if err != nil {
		return a, err
	}
	if _, _, err := m.exchange(r.Feed, r.Expired, r.Closed); err != nil {
		return a, err
	}
	a.data, a.peer = cutTrailer(append([]byte(nil), r.Request().Private...))
	if m.cfg.Verbs {
		a.peer = nil
	}
	private, no := m.decide(&a)
	o := iwarp.Outcome{}
	if no != nil {
		o = r.Reject(m.reason(no, a.peer != nil))
	} else {
		o = r.Accept(private)
	}
	if len(o.Send) > 0 {
		if _, err := m.conn.Write(o.Send); err != nil {
			return a, err
		}
	}
	switch {
	case no != nil:
		m.linger()
		return a, &turnedAway{no}
	case o.Err != nil:
		return a, o.Err
	}
	a.settings = r.Settings()
	return a, nil
}

// reason is the private data of a Reply that rejects a peer.
func (m *meeting) reason(no error, ours bool) []byte {
	m.ours.word = knownCode(no)
	if !ours || m.ours.word == 0 {
		return cut([]byte(no.Error()), iwarp.SafePrivateData)
	}
	return m.ours.append(cut([]byte(no.Error()), iwarp.SafePrivateData-trailerSize))
}

// turnedAway is that the application has rejected a peer, which it knows.
type turnedAway struct{ why error }

func (e *turnedAway) Error() string   { return fmt.Sprintf("%v: rejected: %v", unio.ErrAccess, e.why) }
func (e *turnedAway) Unwrap() []error { return []error{unio.ErrAccess, e.why} }

// linger waits until the peer has closed the connection, for a while: Linux siw does not show its application the private
// data of a Reply that a FIN is right behind.
func (m *meeting) linger() {
	_ = m.tcp.SetReadDeadline(time.Now().Add(farewellTime))
	_, _ = io.Copy(io.Discard, io.LimitReader(m.conn, 1<<16)) // however it ends, the connection is closed next
}

// decide asks the application, and returns the whole of the private data for the Reply.
func (m *meeting) decide(a *agreement) (data []byte, err error) {
	in := &Incoming{
		PrivateData: append([]byte(nil), a.data...), RemoteAddr: m.tcp.RemoteAddr(), TLS: m.state(), Unio: a.peer != nil,
		Region: textOf(a.data), ReadOnly: a.peer != nil && a.peer.features&featureReadOnly != 0,
	}
	if a.peer != nil && a.peer.features&featureStorage != 0 {
		in.Hints = hintsOf(a.peer.word)
	}
	switch {
	case m.cfg.Serve != nil:
		data, err = m.serve(in, a)
	case m.cfg.Decide != nil:
		data, err = m.cfg.Decide(in)
	}
	if err != nil {
		return nil, err
	}
	room := iwarp.SafePrivateData
	if a.peer != nil {
		room -= trailerSize
	}
	if len(data) > room {
		return nil, fmt.Errorf("%w: %d octets of private data for the Reply; at most %d fit", unio.ErrInvalid, len(data), room)
	}
	if a.peer != nil {
		data = m.ours.append(data[:len(data):len(data)])
	}
	return data, nil
}

// serve asks the application for a Service, and returns what the peer has to know of it.
func (m *meeting) serve(in *Incoming, a *agreement) ([]byte, error) {
	s, err := m.cfg.Serve(in)
	if err != nil {
		return nil, err
	}
	if s.Memory == 0 {
		s.Memory = defaultServiceMemory
	}
	s.Memory = max(s.Memory, leastServiceMemory)
	m.service, m.exposure = s, m.cfg.Domain.exposeStore(s, m.q)
	s.grant(m.exposure)
	data, err := m.exposure.Key().AppendBinary(nil)
	if err == nil && a.peer != nil && a.peer.features&featureStorage != 0 {
		m.ours.features |= featureStorage
		data = s.Info.append(data, s.Rights, m.cfg.Domain.instance)
	}
	return data, err
}

// abandon takes back what a meeting that came to nothing has been given.
func (m *meeting) abandon() {
	if m.service == nil {
		return
	}
	m.exposure.withdraw()
	if m.service.Closed != nil {
		m.service.Closed()
	}
}

// textOf is what private data says if it is text.
func textOf(b []byte) string {
	name, _, _ := bytes.Cut(b, []byte{0})
	if !utf8.Valid(name) {
		return ""
	}
	return string(name)
}

func cut(b []byte, n int) []byte { return b[:min(len(b), n)] }
