package rdma

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"

	"github.com/unio-stack/unio"
)

// A Listener waits for peers. Its methods may be called from any goroutine.
type Listener struct {
	cfg Config // complete; immutable
	tcp *net.TCPListener

	ctx    context.Context // ends with Close
	cancel context.CancelFunc
	ready  chan *Conn
	slots  chan struct{} // one for each handshake under way, and each Conn not accepted yet
	all    sync.WaitGroup

	mu       sync.Mutex
	failures int64 // handshakes that came to nothing; guarded by mu
	last     error // why the last one did; guarded by mu
}

const (
	// maxHandshakes are how many peers are met at a time; the others wait in the system's queue.
	maxHandshakes = 1024
	// maxUnaccepted Conns wait for Accept.
	maxUnaccepted = 128
)

// Listen waits for peers at addr, "host:port"; port 0 takes a free one.
func Listen(ctx context.Context, addr string, cfg Config) (*Listener, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, fmt.Errorf("listen at %s: %w", addr, err)
	}
	if cfg.TLS != nil && len(cfg.TLS.Certificates) == 0 && cfg.TLS.GetCertificate == nil && cfg.TLS.GetConfigForClient == nil {
		return nil, fmt.Errorf("listen at %s: %w: TLS without a certificate", addr, unio.ErrInvalid)
	}
	if cfg.Domain == nil {
		cfg.Domain = NewDomain()
	}
	lc := net.ListenConfig{KeepAlive: max(cfg.KeepAlive, -1)}
	tcp, err := lc.Listen(ctx, "tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("listen at %s: %w", addr, err)
	}
	l := &Listener{
		cfg: cfg, tcp: tcp.(*net.TCPListener),
		ready: make(chan *Conn, maxUnaccepted), slots: make(chan struct{}, maxHandshakes),
	}
	l.ctx, l.cancel = context.WithCancel(context.Background())
	l.all.Go(l.run)
	return l, nil
}

// Addr returns where it listens.
func (l *Listener) Addr() net.Addr { return l.tcp.Addr() }

// Domain returns the domain of the connections.
func (l *Listener) Domain() *Domain { return l.cfg.Domain }

// Accept returns the next peer's connection. It fails with [unio.ErrClosed] after Close, and with ctx's error.
func (l *Listener) Accept(ctx context.Context) (*Conn, error) {
	select {
	case c := <-l.ready:
		return c, nil
	case <-l.ctx.Done():
		return nil, fmt.Errorf("accept at %s: %w", l.Addr(), unio.ErrClosed)
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// Failures returns how many peers came that no connection was made with, and why the last one was not.
func (l *Listener) Failures() (n int64, last error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.failures, l.last
}

// Close ends the listening, and connections that nobody has accepted. Others stay. It is idempotent and returns when
// nothing of the Listener runs any more.
func (l *Listener) Close() error {
	l.cancel()
	err := l.tcp.Close()
	l.all.Wait()
	for {
		select {
		case c := <-l.ready:
			err = errors.Join(err, c.Close())
		default:
			if errors.Is(err, net.ErrClosed) {
				return nil
			}
			return err
		}
	}
}

// run meets whoever comes.
func (l *Listener) run() {
	for {
		select {
		case l.slots <- struct{}{}:
		case <-l.ctx.Done():
			return
		}
		tcp, err := l.tcp.AcceptTCP()
		if err == nil {
			l.all.Go(func() {
				l.meet(tcp)
				<-l.slots
			})
			continue
		}
		<-l.slots
		if l.ctx.Err() != nil {
			return
		}
		l.failed(nil, err)
		select { // out of descriptors, perhaps: others may give some back
		case <-time.After(10 * time.Millisecond):
		case <-l.ctx.Done():
		}
	}
}

// meet sets a connection up and hands it to Accept.
func (l *Listener) meet(tcp *net.TCPConn) {
	c, err := l.greet(tcp)
	if err != nil {
		l.failed(tcp.RemoteAddr(), closing(err, tcp))
		return
	}
	if c == nil {
		return // storage, which needs nobody
	}
	select {
	case l.ready <- c:
	case <-l.ctx.Done():
		_ = c.Close() // nobody knows of it
	}
}

// greet returns nil for a connection that a Service has taken.
func (l *Listener) greet(tcp *net.TCPConn) (*Conn, error) {
	m := newMeeting(tcp, &l.cfg)
	q, data, err := l.establish(m)
	if err != nil {
		m.abandon()
		return nil, err
	}
	if m.service != nil {
		m.service.adopt(q)
		return nil, nil
	}
	return newConn(q, &l.cfg, data, nil)
}

func (l *Listener) establish(m *meeting) (*queuePair, []byte, error) {
	end, err := m.begin(l.ctx, true, "")
	if err != nil {
		return nil, nil, err
	}
	a, err := m.respond()
	end()
	if err != nil {
		return nil, nil, err
	}
	q, err := m.establish(a, l.cfg.Domain)
	return q, a.data, err
}

// failed counts a peer that no connection was made with; nil if it was none yet.
func (l *Listener) failed(peer net.Addr, err error) {
	named := err
	if peer != nil {
		named = fmt.Errorf("peer %s: %w", peer, err)
	}
	l.mu.Lock()
	l.failures++
	l.last = named
	l.mu.Unlock()
	var known *turnedAway
	if l.cfg.OnFailure != nil && l.ctx.Err() == nil && !errors.As(err, &known) {
		l.cfg.OnFailure(peer, err)
	}
}
