package rdma

import (
	"context"
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/unio-stack/unio"
	"github.com/unio-stack/unio/internal/iwarp"
)

// Dial connects to the peer at addr, "host:port". It fails with a [*RejectedError] if the peer's application does not want
// the connection, and with [unio.ErrTimeout] if the peer is silent for too long.
func Dial(ctx context.Context, addr string, cfg Config) (*Conn, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, fmt.Errorf("dial %s: %w", addr, err)
	}
	if cfg.Domain == nil {
		cfg.Domain = NewDomain()
	}
	q, data, err := dial(ctx, addr, &cfg)
	if err != nil {
		return nil, err
	}
	return newConn(q, &cfg, data, func(ctx context.Context) (*queuePair, error) {
		q, _, err := dial(ctx, addr, &cfg)
		return q, err
	})
}

// dial returns a connection, and the private data of the peer's Reply.
func dial(ctx context.Context, addr string, cfg *Config) (*queuePair, []byte, error) {
	q, data, err := dialOnce(ctx, addr, cfg)
	if err != nil {
		return nil, nil, fmt.Errorf("dial %s: %w", addr, err)
	}
	return q, data, nil
}

func dialOnce(ctx context.Context, addr string, cfg *Config) (*queuePair, []byte, error) {
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return nil, nil, fmt.Errorf("%w: %w", unio.ErrInvalid, err)
	}
	ctx, cancel := context.WithTimeout(ctx, cfg.HandshakeTimeout)
	defer cancel()
	d := net.Dialer{KeepAlive: max(cfg.KeepAlive, -1)}
	c, err := d.DialContext(ctx, "tcp", addr)
	if err != nil {
		if errors.Is(ctx.Err(), context.DeadlineExceeded) {
			err = fmt.Errorf("%w: %w", unio.ErrTimeout, err)
		}
		return nil, nil, err
	}
	tcp := c.(*net.TCPConn)
	m := newMeeting(tcp, cfg)
	end, err := m.begin(ctx, false, host)
	if err != nil {
		return nil, nil, errors.Join(err, tcp.Close())
	}
	a, err := m.initiate()
	end()
	if err != nil {
		return nil, nil, closing(err, tcp)
	}
	if a.peer == nil {
		time.Sleep(iwarp.FirstFPDUDelay) // Linux siw may lose sight of an FPDU that comes sooner
	}
	q, err := m.establish(a, cfg.Domain)
	if err != nil {
		return nil, nil, closing(err, tcp)
	}
	return q, a.data, nil
}

// closing closes a connection that came to nothing.
func closing(err error, c *net.TCPConn) error {
	_ = c.Close() // err says more
	return err
}
