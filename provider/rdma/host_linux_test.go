package rdma

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/unio-stack/unio"
	"github.com/unio-stack/unio/internal/iwarp"
)

// A host is a Listener with memory exposed, and a well-behaved peer that must not notice what others do.
type host struct {
	t        testing.TB
	listener *Listener
	domain   *Domain
	memory   *unio.Buffer // of all, readable and writable
	all      *Exposure
	witness  *Conn // the well-behaved peer
	served   *Conn // its other end
	count    byte  // of the witness's checks
}

const hostMemory = 1 << 20

// newHost listens with cfg; what is dialed to it is dialed with dialed.
func newHost(t testing.TB, cfg, dialed Config) *host {
	t.Helper()
	h := &host{t: t, domain: NewDomain(), memory: buffer(t, hostMemory)}
	h.all = h.expose(h.memory, unio.ReadWrite)
	cfg.Domain = h.domain
	if cfg.Decide == nil {
		cfg.Decide = func(*Incoming) ([]byte, error) { return h.all.Key().AppendBinary(nil) }
	}
	var err error
	if h.listener, err = Listen(t.Context(), "127.0.0.1:0", cfg); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := h.listener.Close(); err != nil {
			t.Error(err)
		}
	})
	h.witness = h.dial(dialed)
	h.served = h.accept()
	return h
}

// buffer returns a Buffer that is freed at the end.
func buffer(t testing.TB, size int) *unio.Buffer {
	t.Helper()
	b, err := unio.NewBuffer(size)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := b.Free(); err != nil {
			t.Error(err)
		}
	})
	return b
}

func (h *host) addr() string { return h.listener.Addr().String() }

func (h *host) expose(b *unio.Buffer, rights unio.Rights) *Exposure {
	h.t.Helper()
	e, err := h.domain.Expose(b, rights)
	if err != nil {
		h.t.Fatal(err)
	}
	return e
}

func (h *host) dial(cfg Config) *Conn {
	h.t.Helper()
	return dialTo(h.t, h.addr(), cfg)
}

// dialTo dials; the Conn is closed at the end.
func dialTo(t testing.TB, addr string, cfg Config) *Conn {
	t.Helper()
	c, err := Dial(t.Context(), addr, cfg)
	if err != nil {
		t.Fatal(err)
	}
	closeAtEnd(t, c)
	return c
}

func closeAtEnd(t testing.TB, c *Conn) {
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	})
}

func (h *host) accept() *Conn {
	h.t.Helper()
	ctx, stop := context.WithTimeout(context.Background(), patience)
	defer stop()
	c, err := h.listener.Accept(ctx)
	if err != nil {
		h.t.Fatal(err)
	}
	closeAtEnd(h.t, c)
	return c
}

// raw connects a raw peer, and returns the host's end of the connection too.
func (h *host) raw(cfg rawConfig) (*raw, *Conn) {
	h.t.Helper()
	p := rawDial(h.t, h.addr(), cfg)
	c := h.accept()
	h.t.Cleanup(func() { _ = p.conn.Close() }) // before the Conn, which would wait for it
	return p, c
}

// pair connects a peer, and returns the host's end of the connection too.
func (h *host) pair(cfg Config) (*Conn, *Conn) {
	h.t.Helper()
	c := h.dial(cfg)
	return c, h.accept()
}

// check fails the test unless the witness can still read, write and send.
func (h *host) check() {
	h.t.Helper()
	h.count++
	want := bytes.Repeat([]byte{h.count}, 64)
	reg := attach(h.t, h.witness, h.all.Key(), unio.ReadWrite)
	defer reg.Close()
	got := make([]byte, 64)
	at := int64(hostMemory - 64)
	do(h.t, h.witness, unio.Request{Op: unio.OpWrite, Region: reg, Offset: at, Data: want})
	do(h.t, h.witness, unio.Request{Op: unio.OpRead, Region: reg, Offset: at, Data: got})
	if !bytes.Equal(got, want) {
		h.t.Errorf("another connection reads %v, want %v", got[0], want[0])
	}
	message := make([]byte, 64)
	post(h.t, h.served, unio.Request{Op: unio.OpRecv, Data: message})
	do(h.t, h.witness, unio.Request{Op: unio.OpSend, Data: want})
	if c := wait(h.t, h.served); c.Err != nil || !bytes.Equal(message[:c.N], want) {
		h.t.Errorf("another connection receives %+v", c)
	}
}

func attach(t testing.TB, c *Conn, k Key, rights unio.Rights) *unio.Region {
	t.Helper()
	reg, err := c.Attach(context.Background(), k, rights)
	if err != nil {
		t.Fatal(err)
	}
	return reg
}

// do carries out a request, which must succeed.
func do(t testing.TB, c *Conn, r unio.Request) {
	t.Helper()
	if err := try(c, r); err != nil {
		t.Fatal(err)
	}
}

// try carries out a request.
func try(c *Conn, r unio.Request) error {
	ctx, stop := context.WithTimeout(context.Background(), patience)
	defer stop()
	return c.Channel().Do(ctx, r)
}

func post(t testing.TB, c *Conn, reqs ...unio.Request) {
	t.Helper()
	if n, err := c.Channel().Post(reqs...); err != nil {
		t.Fatalf("%d of %d requests were posted: %v", n, len(reqs), err)
	}
}

// wait returns the next completion.
func wait(t testing.TB, c *Conn) unio.Completion {
	t.Helper()
	return waitFor(t, c, 1)[0]
}

// waitFor returns the next n completions.
func waitFor(t testing.TB, c *Conn, n int) []unio.Completion {
	t.Helper()
	ctx, stop := context.WithTimeout(context.Background(), patience)
	defer stop()
	done := make([]unio.Completion, n)
	for have := 0; have < n; {
		k, err := c.Channel().Wait(ctx, done[have:])
		if err != nil || k == 0 {
			t.Fatalf("%d of %d completions: %v", have, n, err)
		}
		have += k
	}
	return done
}

// ended waits until the connection is over, and returns why.
func ended(t testing.TB, c *Conn) error {
	t.Helper()
	select {
	case <-c.Done():
	case <-time.After(patience):
		t.Fatalf("the connection has not ended within %v: %v", patience, c.Err())
	}
	return c.Err()
}

// brokenBy checks why a connection has ended: with what cause, found by which end, and what else the error says.
func brokenBy(t testing.TB, c *Conn, layer unio.Layer, cause iwarp.Cause, says ...string) {
	t.Helper()
	err := ended(t, c)
	if !errors.Is(err, unio.ErrDisconnected) {
		t.Errorf("%v is no ErrDisconnected", err)
	}
	if want := errorOf(cause); !errors.Is(err, want) {
		t.Errorf("%v is no %v", err, want)
	}
	says = append(says, cause.String(), c.RemoteAddr().String())
	for _, s := range says {
		if !strings.Contains(err.Error(), s) {
			t.Errorf("error %q does not say %q", err, s)
		}
	}
	if !strings.HasPrefix(err.Error(), string(layer)+":") {
		t.Errorf("error %q is not from %s", err, layer)
	}
}

// fill sets all of b.
func fill(b []byte, v byte) {
	if len(b) > 0 {
		b[0] = v
	}
	for n := 1; n < len(b); n *= 2 {
		copy(b[n:], b[:n])
	}
}

// all reports whether all of b is v.
func all(b []byte, v byte) bool {
	for len(b) > 0 {
		n := min(len(b), 4096)
		if bytes.Count(b[:n], []byte{v}) != n {
			return false
		}
		b = b[n:]
	}
	return true
}

// failedWith checks the error of a request: its cause, and that it says which request it was, who found it and with whom.
func failedWith(t testing.TB, err, cause error, op unio.Opcode, layer unio.Layer, c *Conn) {
	t.Helper()
	var oe *unio.OpError
	if !errors.As(err, &oe) {
		t.Fatalf("%v is no OpError", err)
	}
	if !errors.Is(err, cause) {
		t.Errorf("%v is no %v", err, cause)
	}
	if oe.Op != op || oe.Layer != layer || oe.Peer != c.RemoteAddr().String() || oe.Detail == "" {
		t.Errorf("%v: op %v, layer %s, peer %s, detail %q; want %v, %s and %v", err, oe.Op, oe.Layer, oe.Peer, oe.Detail, op, layer, c.RemoteAddr())
	}
}
