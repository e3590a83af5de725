package rdma

import (
	"bytes"
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/unio-stack/unio"
)

// TestTwoListeners serve one Domain: memory that is exposed there is reached through both, and a Close of one is nothing to the
// other.
func TestTwoListeners(t *testing.T) {
	h := newHost(t, Config{}, Config{})
	other, err := Listen(t.Context(), "127.0.0.1:0", Config{Domain: h.domain, CRC: CRCOff})
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	c := dialTo(t, other.Addr().String(), Config{CRC: CRCOff})
	reg := attach(t, c, h.all.Key(), unio.ReadWrite)
	do(t, c, unio.Request{Op: unio.OpWrite, Region: reg, Data: []byte("through the other")})
	got := make([]byte, 17)
	do(t, h.witness, unio.Request{Op: unio.OpRead, Region: attach(t, h.witness, h.all.Key(), unio.ReadOnly), Data: got})
	if string(got) != "through the other" {
		t.Errorf("%q", got)
	}
	if err := other.Close(); err != nil { // with a Conn that nobody has accepted
		t.Error(err)
	}
	if err := try(c, unio.Request{Op: unio.OpRead, Region: reg, Data: got}); !errors.Is(err, unio.ErrDisconnected) {
		t.Errorf("a Conn that was never accepted: %v", err)
	}
	h.check()
	domain := NewDomain() // of dialers this time
	buf := buffer(t, 4096)
	e, err := domain.Expose(buf, unio.ReadWrite)
	if err != nil {
		t.Fatal(err)
	}
	for range 3 {
		_, served := h.pair(Config{Domain: domain})
		do(t, served, unio.Request{Op: unio.OpFetchAdd, Region: attach(t, served, e.Key(), unio.ReadWrite), Swap: 1})
	}
	if buf.Bytes()[0] != 3 {
		t.Errorf("%d of 3 peers have reached the memory", buf.Bytes()[0])
	}
}

// TestThousandConnections are open at once, each does some I/O, and all are closed from either end.
func TestThousandConnections(t *testing.T) {
	var limit syscall.Rlimit
	n := 1000
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err == nil && limit.Cur < 4*1000 {
		n = int(limit.Cur / 8) // two ends each, and two descriptors for a moment
	}
	h := newHost(t, Config{}, Config{})
	memory := buffer(t, 8*n)
	key := h.expose(memory, unio.ReadWrite).Key()
	domain := NewDomain()
	cfg := Config{Domain: domain, Channel: unio.ChannelConfig{Depth: 4}, HandshakeTimeout: time.Minute}
	conns, served := make([]*Conn, n), make([]*Conn, n)
	before := heap()
	var all sync.WaitGroup
	next := atomic.Int64{}
	for range 16 {
		all.Go(func() {
			for i := int(next.Add(1)) - 1; i < n; i = int(next.Add(1)) - 1 {
				var err error
				if conns[i], err = Dial(context.Background(), h.addr(), cfg); err != nil {
					t.Error(err)
				}
			}
		})
	}
	peers := map[string]*Conn{}
	for range n {
		c := h.accept()
		peers[c.RemoteAddr().String()] = c
	}
	all.Wait()
	if t.Failed() {
		t.FailNow()
	}
	for i, c := range conns {
		served[i] = peers[c.LocalAddr().String()]
	}
	t.Logf("%d bytes for each pair", (heap()-before)/int64(n))
	for i, c := range conns {
		reg := attach(t, c, key, unio.ReadWrite)
		post(t, c, unio.Request{Op: unio.OpFetchAdd, Region: reg, Offset: 8 * int64(i), Swap: uint64(i)}, unio.Request{Op: unio.OpRecv, Data: make([]byte, 8)})
	}
	for _, c := range served {
		post(t, c, unio.Request{Op: unio.OpSend, Data: []byte("hello")})
	}
	for _, c := range conns {
		for _, d := range waitFor(t, c, 2) {
			if d.Err != nil {
				t.Fatal(d.Err)
			}
		}
	}
	for i := range n {
		if got := memory.Bytes()[8*i : 8*i+8]; got[0] != byte(i) || got[1] != byte(i>>8) {
			t.Fatalf("word %d is %x", i, got)
		}
	}
	for i := range n { // one after another: each end's Close finds the other's
		first, second := conns[i], served[i]
		if i%2 == 0 {
			first, second = second, first
		}
		all.Go(func() {
			if err := first.Close(); err != nil {
				t.Error(err)
			}
		})
		all.Go(func() {
			select {
			case <-second.Done():
			case <-time.After(patience):
				t.Errorf("the other end's Close was not found: %v", second.Err())
			}
			if err := second.Close(); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	h.check()
}

// TestManyDials opens and closes connections in a row: nothing is left of them.
func TestManyDials(t *testing.T) {
	n := 2000
	if testing.Short() {
		n = 200
	}
	h := newHost(t, Config{}, Config{})
	var all sync.WaitGroup
	all.Go(func() {
		for range n {
			c := h.accept2()
			if c == nil {
				return
			}
			<-c.Done()
			if err := c.Close(); err != nil {
				t.Error(err)
			}
		}
	})
	files, before := openFiles(), int64(0)
	for i := range n {
		c, err := Dial(t.Context(), h.addr(), Config{})
		if err != nil {
			t.Fatal(err)
		}
		if err := c.Close(); err != nil {
			t.Fatal(err)
		}
		if i == n/10 {
			before = heap()
		}
	}
	all.Wait()
	if now := openFiles(); now > files+2 {
		t.Errorf("%d open files, %d before", now, files)
	}
	if grown := heap() - before; grown > 2<<20 {
		t.Errorf("%d bytes of memory are in use that were not", grown)
	}
	h.domain.mu.Lock()
	if len(h.domain.pairs) != 1 {
		t.Errorf("the domain has %d connections, want the witness's", len(h.domain.pairs))
	}
	h.domain.mu.Unlock()
	h.check()
}

// accept2 is accept without closing at the end.
func (h *host) accept2() *Conn {
	ctx, stop := context.WithTimeout(context.Background(), patience)
	defer stop()
	c, err := h.listener.Accept(ctx)
	if err != nil {
		h.t.Error(err)
		return nil
	}
	return c
}

// TestAcceptEnds: with its context, and with the Listener.
func TestAcceptEnds(t *testing.T) {
	l, err := Listen(t.Context(), "127.0.0.1:0", Config{})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := l.Accept(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled before: %v", err)
	}
	ctx, cancel = context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	if _, err := l.Accept(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("at its deadline: %v", err)
	}
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			if _, err := l.Accept(context.Background()); !errors.Is(err, unio.ErrClosed) {
				t.Errorf("Accept when the Listener is closed: %v", err)
			}
		})
	}
	time.Sleep(5 * time.Millisecond)
	for range 3 {
		all.Go(func() {
			if err := l.Close(); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if _, err := l.Accept(context.Background()); !errors.Is(err, unio.ErrClosed) {
		t.Errorf("Accept after Close: %v", err)
	}
	if _, err := Dial(t.Context(), l.Addr().String(), Config{}); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("Dial after Close: %v", err)
	}
}

// TestListenerClose closes a Listener that is meeting peers, silent and slow ones among them, has Conns that nobody has accepted, more
// than it keeps, and one whose application takes its time: soon, and nothing is left.
func TestListenerClose(t *testing.T) {
	a := newAuthority(t)
	deciding, decided := make(chan struct{}), make(chan struct{})
	var cfg Config
	cfg.HandshakeTimeout = time.Minute
	cfg.Decide = func(in *Incoming) ([]byte, error) {
		if bytes.Equal(in.PrivateData, []byte("slow")) {
			close(deciding)
			<-decided
		}
		return nil, nil
	}
	l, err := Listen(t.Context(), "127.0.0.1:0", cfg)
	if err != nil {
		t.Fatal(err)
	}
	secured, err := Listen(t.Context(), "127.0.0.1:0", Config{TLS: a.server(), HandshakeTimeout: time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	kept, err := Dial(t.Context(), l.Addr().String(), Config{})
	if err != nil {
		t.Fatal(err)
	}
	defer kept.Close()
	accepted, err := l.Accept(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer accepted.Close()
	var all sync.WaitGroup
	var ended atomic.Int64
	const unaccepted = maxUnaccepted + 20
	for range unaccepted {
		c, err := Dial(t.Context(), l.Addr().String(), Config{Domain: kept.q.domain})
		if err != nil {
			t.Fatal(err)
		}
		all.Go(func() {
			<-c.Done()
			ended.Add(1)
			if err := c.Close(); err != nil {
				t.Error(err)
			}
		})
	}
	for i := range 20 {
		p := rawConnect(t, l.Addr().String())
		if i%2 == 0 {
			p.write([]byte(requestKey))
		}
		rawConnect(t, secured.Addr().String())
	}
	all.Go(func() {
		if _, err := Dial(context.Background(), l.Addr().String(), Config{PrivateData: []byte("slow")}); err == nil {
			t.Error("a Dial succeeded whose Listener was closed")
		}
	})
	<-deciding
	begun := time.Now()
	time.AfterFunc(10*time.Millisecond, func() { close(decided) })
	for _, l := range []*Listener{l, secured} {
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	}
	if took := time.Since(begun); took > patience/2 {
		t.Errorf("Close took %v", took)
	}
	all.Wait()
	if n := ended.Load(); n != unaccepted {
		t.Errorf("%d of %d Conns that nobody has accepted have ended", n, unaccepted)
	}
	if kept.Err() != nil || accepted.Err() != nil {
		t.Errorf("the Conn that was accepted: %v, %v", kept.Err(), accepted.Err())
	}
	e, err := accepted.Expose(buffer(t, 4096), unio.ReadWrite)
	if err != nil {
		t.Fatal(err)
	}
	do(t, kept, unio.Request{Op: unio.OpFetchAdd, Region: attach(t, kept, e.Key(), unio.ReadWrite), Swap: 1})
}

// TestCloseAnyTime closes connections from either end, and from both, at random times of their lives.
func TestCloseAnyTime(t *testing.T) {
	h := newHost(t, Config{}, Config{})
	for i := range 60 {
		c, err := Dial(t.Context(), h.addr(), Config{})
		if err != nil {
			t.Fatal(err)
		}
		served := h.accept2()
		reg := attach(t, c, h.all.Key(), unio.ReadWrite)
		memory := make([]byte, 100_000)
		post(t, c, unio.Request{Op: unio.OpWrite, Region: reg, Data: memory}, unio.Request{Op: unio.OpRead, Region: reg, Data: memory}, unio.Request{Op: unio.OpRecv, Data: memory[:10]})
		time.Sleep(time.Duration(i*10) * time.Microsecond)
		var all sync.WaitGroup
		for range 2 {
			for j, c := range []*Conn{c, served} {
				if i%3 == j {
					continue
				}
				all.Go(func() {
					if err := c.Close(); err != nil {
						t.Error(err)
					}
				})
			}
		}
		all.Wait()
		for _, c := range []*Conn{c, served} {
			ended(t, c)
			if err := c.Close(); err != nil {
				t.Error(err)
			}
			if err := c.Err(); !errors.Is(err, unio.ErrDisconnected) {
				t.Errorf("%v", err)
			}
		}
		done := make([]unio.Completion, 4)
		if n := c.Channel().Poll(done); n != 3 {
			t.Errorf("%d completions of 3 requests", n)
		}
	}
	h.check()
}
