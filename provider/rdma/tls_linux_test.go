package rdma

import (
	"bytes"
	"crypto/tls"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/unio-stack/unio"
	"github.com/unio-stack/unio/internal/iwarp"
)

// TestTLSIdentity: both ends show certificates, and the application sees the peer's.
func TestTLSIdentity(t *testing.T) {
	a := newAuthority(t)
	var seen *tls.ConnectionState
	h := newHost(t, Config{TLS: a.server(), Decide: func(in *Incoming) ([]byte, error) {
		seen = in.TLS
		return nil, nil
	}}, Config{TLS: a.client()})
	if seen == nil || seen.Version != tls.VersionTLS13 || len(seen.PeerCertificates) != 1 || seen.PeerCertificates[0].Subject.CommonName != "peer" {
		t.Errorf("%+v", seen)
	}
	if !h.witness.Peer().TLS || !h.served.Peer().TLS {
		t.Error("no TLS")
	}
	h.check()
}

// TestTLSRefused: ends that do not trust each other, or of which only one speaks TLS, find that out within the time of the
// handshake, and say so.
func TestTLSRefused(t *testing.T) {
	a, other := newAuthority(t), newAuthority(t)
	anonymous := &tls.Config{RootCAs: a.pool()}
	elsewhere := a.client()
	elsewhere.ServerName = "elsewhere"
	old := a.client()
	old.MaxVersion = tls.VersionTLS12
	stranger := other.client()
	stranger.RootCAs = a.pool()
	trusting := a.client()
	trusting.RootCAs = other.pool()
	for _, c := range []struct {
		name         string
		listen, dial *tls.Config
		dialer       string // what Dial says
		listener     string // what the Listener says
	}{
		{name: "server of another authority", listen: a.server(), dial: trusting, dialer: "unknown authority", listener: "TLS"},
		{name: "client of another authority", listen: a.server(), dial: stranger, dialer: "tls:", listener: "unknown authority"},
		{name: "client without a certificate", listen: a.server(), dial: anonymous, dialer: "certificate required", listener: "didn't provide a certificate"},
		{name: "another name", listen: a.server(), dial: elsewhere, dialer: "elsewhere", listener: "TLS"},
		{name: "TLS 1.2", listen: a.server(), dial: old, dialer: "TLS", listener: "TLS"},
		{name: "TLS to a plain listener", dial: a.client(), dialer: "TLS", listener: "malformed MPA frame"},
		{name: "plain to a TLS listener", listen: a.server(), dialer: "MPA", listener: "TLS"},
	} {
		t.Run(c.name, func(t *testing.T) {
			cfg := Config{TLS: c.listen, HandshakeTimeout: patience}
			good := Config{TLS: c.listen}
			if c.listen != nil {
				good.TLS = a.client()
			}
			h := newHost(t, cfg, good)
			begun := time.Now()
			conn, err := Dial(t.Context(), h.addr(), Config{TLS: c.dial, HandshakeTimeout: patience})
			if err == nil {
				_ = conn.Close()
				t.Fatal("Dial succeeded")
			}
			if took := time.Since(begun); took > patience/2 {
				t.Errorf("Dial took %v", took)
			}
			if !strings.Contains(err.Error(), c.dialer) {
				t.Errorf("Dial: %v; want it to say %q", err, c.dialer)
			}
			becomes(t, "the Listener counts the failure", func() bool {
				n, _ := h.listener.Failures()
				return n == 1
			})
			if _, err := h.listener.Failures(); !strings.Contains(err.Error(), c.listener) {
				t.Errorf("Listener: %v; want it to say %q", err, c.listener)
			}
			h.check()
		})
	}
	if _, err := Listen(t.Context(), "127.0.0.1:0", Config{TLS: &tls.Config{}}); !errors.Is(err, unio.ErrInvalid) {
		t.Errorf("TLS without a certificate: %v", err)
	}
}

// TestIntegrity moves data of mixed sizes both ways at once, in every mode, and compares it.
func TestIntegrity(t *testing.T) {
	a := newAuthority(t)
	crcTLS := a.config()
	crcTLS.CRC = CRCRequired
	noCRC := a.config()
	noCRC.CRC = CRCOff
	for name, cfg := range map[string]Config{
		"CRC": {}, "no CRC": {CRC: CRCOff}, "CRC and TLS": crcTLS, "TLS": noCRC,
		"plain peers": {Verbs: true}, "revision 1": {Plain: true},
	} {
		t.Run(name, func(t *testing.T) {
			ours, theirs := buffer(t, integritySize), buffer(t, integritySize)
			h := newHost(t, cfg, cfg)
			k := newLink(t, h.addr(), lane{largest: 50_000}, lane{largest: 50_000})
			c := dialTo(t, k.addr(), cfg)
			served := h.accept()
			do(t, c, unio.Request{Op: unio.OpRead, Region: attach(t, c, h.all.Key(), unio.ReadWrite), Data: make([]byte, 1)}) // now both may talk
			e, err := served.Expose(theirs, unio.ReadWrite)
			if err != nil {
				t.Fatal(err)
			}
			own, err := c.Expose(ours, unio.ReadWrite)
			if err != nil {
				t.Fatal(err)
			}
			seed := uint64(time.Now().UnixNano())
			var both sync.WaitGroup
			both.Go(func() { integrity(t, c, e.Key(), seed) })
			both.Go(func() { integrity(t, served, own.Key(), seed+1) })
			both.Wait()
			if c.Err() != nil || served.Err() != nil {
				t.Errorf("seed %d: %v, %v", seed, c.Err(), served.Err())
			}
		})
	}
}

const integritySize = 3 << 20

// integrity writes and reads at random, several requests at a time in places of their own, and compares with a copy.
func integrity(t *testing.T, c *Conn, k Key, seed uint64) {
	rng := rand.New(rand.NewPCG(seed, 0))
	reg, err := c.Attach(t.Context(), k, unio.ReadWrite)
	if err != nil {
		t.Error(err)
		return
	}
	const lanes = 6
	model := make([]byte, integritySize)
	sizes := []int{1, 3, 100, 255, 257, 1448, 4096, 16383, 16384, 16385, 61440, 100_000, integritySize / lanes}
	var done [lanes]unio.Completion
	for round := range 25 {
		var want [lanes][]byte
		var reqs [lanes]unio.Request
		for i := range lanes {
			n := sizes[rng.IntN(len(sizes))]
			at := i*(integritySize/lanes) + rng.IntN(integritySize/lanes-n+1)
			reqs[i] = unio.Request{ID: uint64(i), Region: reg, Offset: int64(at), Op: unio.OpRead}
			memory := make([]byte, n)
			if rng.IntN(2) == 0 {
				reqs[i].Op = unio.OpWrite
				for j := range memory {
					memory[j] = byte(rng.Uint32())
				}
				copy(model[at:], memory)
			}
			want[i] = model[at : at+n]
			if rng.IntN(3) == 0 && n > 10 {
				reqs[i].Vec = [][]byte{memory[:1], memory[1 : n/2], memory[n/2 : n-2], memory[n-2:]}
			} else {
				reqs[i].Data = memory
			}
		}
		if n, err := c.Channel().Post(reqs[:]...); n != lanes {
			t.Error(err)
			return
		}
		for have := 0; have < lanes; {
			n, err := c.Channel().Wait(t.Context(), done[have:])
			if err != nil || n == 0 {
				t.Error(err)
				return
			}
			have += n
		}
		for _, d := range done {
			r := &reqs[d.ID]
			got := r.Data
			if r.Vec != nil {
				got = bytes.Join(r.Vec, nil)
			}
			if d.Err != nil || r.Op == unio.OpRead && !bytes.Equal(got, want[d.ID]) {
				t.Errorf("round %d: %v of %d bytes at %d: %v", round, r.Op, len(got), r.Offset, d.Err)
				return
			}
		}
	}
}

// TestLargeReads reads far more than TLS has in a record, into memory that ends where the Read does.
func TestLargeReads(t *testing.T) {
	a := newAuthority(t)
	cfg := a.config()
	memory := buffer(t, 24<<20)
	for i := range memory.Bytes() {
		memory.Bytes()[i] = byte(i ^ i>>8 ^ i>>16)
	}
	h := newHost(t, cfg, cfg)
	c, _ := h.pair(cfg)
	reg := attach(t, c, h.expose(memory, unio.ReadOnly).Key(), unio.ReadOnly)
	got := make([]byte, 24<<20+1)
	for _, n := range []int{16<<10 - 1, 16 << 10, 1 << 20, 24 << 20} {
		clear(got)
		do(t, c, unio.Request{Op: unio.OpRead, Region: reg, Data: got[:n]})
		if !bytes.Equal(got[:n], memory.Bytes()[:n]) || got[n] != 0 {
			t.Errorf("%d bytes were read wrong", n)
		}
	}
}

// TestBackPressure sends without end to a peer that does not receive: what waits is bounded, in memory too, and goes on when
// the peer does.
func TestBackPressure(t *testing.T) {
	a := newAuthority(t)
	for name, cfg := range map[string]Config{"plain": {}, "TLS": a.config()} {
		t.Run(name, func(t *testing.T) {
			cfg.KeepAlive = -1
			cfg.Channel.Depth = 32
			h := newHost(t, cfg, cfg)
			k := newLink(t, h.addr(), lane{}, lane{})
			c := dialTo(t, k.addr(), cfg)
			served := h.accept()
			reg := attach(t, c, h.all.Key(), unio.ReadWrite)
			data := make([]byte, 512<<10)
			do(t, c, unio.Request{Op: unio.OpWrite, Region: reg, Data: data})
			before := heap()
			k.pause(up) // the peer reads nothing
			reqs := make([]unio.Request, 32)
			for i := range reqs {
				reqs[i] = unio.Request{ID: uint64(i), Op: unio.OpWrite, Region: reg, Data: data}
			}
			post(t, c, reqs...)
			if n, err := c.Channel().Post(reqs[0]); n != 0 || !errors.Is(err, unio.ErrFull) {
				t.Errorf("one more request than the channel's depth: %d, %v", n, err)
			}
			done := make([]unio.Completion, 32)
			for range 100 {
				if n := c.Channel().Poll(done); n > 0 {
					t.Fatalf("%d Writes have ended that cannot have been placed", n)
				}
				time.Sleep(100 * time.Microsecond)
			}
			if grown := heap() - before; grown > 5<<20 { // of which the link has some
				t.Errorf("%d bytes of memory are in use that were not", grown)
			}
			k.resume(up)
			for _, d := range waitFor(t, c, 32) {
				if d.Err != nil {
					t.Error(d.Err)
				}
			}
			// Sends wait for the peer's Recvs, and for nothing else.
			post(t, c, unio.Request{ID: 1, Op: unio.OpSend, Data: data}, unio.Request{ID: 2, Op: unio.OpSend, Data: data})
			time.Sleep(10 * time.Millisecond)
			if n := c.Channel().Poll(done); n > 0 {
				t.Errorf("%d Sends have ended for which there is no Recv", n)
			}
			for i := range 2 {
				post(t, served, unio.Request{Op: unio.OpRecv, Data: make([]byte, len(data))})
				if d := wait(t, served); d.Err != nil || d.N != int64(len(data)) {
					t.Errorf("%d: %+v", i, d)
				}
			}
			for _, d := range waitFor(t, c, 2) {
				if d.Err != nil {
					t.Error(d.Err)
				}
			}
		})
	}
}

// TestTLSCut breaks TLS connections in all the ways there are: it is never a success, and never a mystery.
func TestTLSCut(t *testing.T) {
	a := newAuthority(t)
	for _, flip := range []bool{false, true} {
		t.Run(fmt.Sprintf("flip %v", flip), func(t *testing.T) {
			cfg := a.config()
			h := newHost(t, cfg, cfg)
			k := newLink(t, h.addr(), lane{}, lane{})
			m := mishap{at: 200_000}
			if flip {
				m.flip = 0x10
			}
			k.expect(up, m)
			c := dialTo(t, k.addr(), cfg)
			served := h.accept()
			reg := attach(t, c, h.all.Key(), unio.ReadWrite)
			err := try(c, unio.Request{Op: unio.OpWrite, Region: reg, Data: make([]byte, 500_000)})
			if !errors.Is(err, unio.ErrDisconnected) {
				t.Error(err)
			}
			err = ended(t, served)
			if !errors.Is(err, unio.ErrDisconnected) || flip && !strings.Contains(err.Error(), "bad record MAC") {
				t.Error(err)
			}
			if flip && !strings.Contains(ended(t, c).Error(), "bad record MAC") {
				t.Errorf("the other end is not told: %v", c.Err())
			}
			h.check()
		})
	}
}

// corked holds back what is written until it is told to send it, all at once.
type corked struct {
	net.Conn
	held []byte
	off  bool
}

func (c *corked) Write(b []byte) (int, error) {
	if c.off {
		return c.Conn.Write(b)
	}
	c.held = append(c.held, b...)
	return len(b), nil
}

// TestTLSBehindReply has a peer send more in one go with its Reply. Nobody polls, and nothing else comes; it is seen all the same.
func TestTLSBehindReply(t *testing.T) {
	a := newAuthority(t)
	d := NewDomain()
	memory := buffer(t, 4096)
	e, err := d.Expose(memory, unio.ReadWrite)
	if err != nil {
		t.Fatal(err)
	}
	l := rawListen(t)
	done := make(chan error, 1)
	go func() {
		done <- func() error {
			p, err := l.accept()
			if err != nil {
				return err
			}
			cork := &corked{Conn: p.tcp, off: true}
			p.conn = tls.Server(cork, a.server())
			if err := p.conn.(*tls.Conn).Handshake(); err != nil {
				return err
			}
			cork.off = false
			if err := p.respond(rawConfig{SetupConfig: iwarp.SetupConfig{IRD: 4, ORD: 4}}); err != nil {
				return err
			}
			k := e.Key()
			if _, err := p.conn.Write(p.fpdu(tagged(ddpLast, iwarp.OpWrite, k.STag, k.Base), []byte{secret})); err != nil {
				return err
			}
			_, err = p.tcp.Write(cork.held)
			return err
		}()
	}()
	cfg := Config{TLS: a.client(), Domain: d, KeepAlive: -1, Verbs: true}
	c, err := Dial(t.Context(), l.addr(), cfg)
	if err := errors.Join(err, <-done); err != nil {
		t.Fatal(err)
	}
	becomes(t, "what came behind the Reply is placed", func() bool {
		c.q.mu.Lock()
		defer c.q.mu.Unlock()
		return memory.Bytes()[0] == secret
	})
	go func() { _ = l.tcp.Close() }()
	if err := c.Close(); err != nil {
		t.Error(err)
	}
}

// TestTLSBacklog: what TLS says by itself, such as answers to a peer that asks for new keys again and again, is bounded.
func TestTLSBacklog(t *testing.T) {
	p := &pipe{wire: &socket{}}
	total := 0
	for range 1 << 20 {
		n, err := p.Write(make([]byte, 100))
		if total += n; err != nil {
			break
		}
	}
	if total > 1<<20 {
		t.Errorf("%d octets wait", total)
	}
}
