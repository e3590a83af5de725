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
	whole := ctx
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
		return nil, nil, closing(late(whole, err), tcp)
	}
	a, err := m.initiate()
	end()
	if err != nil {
		return nil, nil, closing(late(whole, err), tcp)
	}
	if a.peer == nil {
		time.Sleep(iwarp.FirstFPDUDelay) // Linux siw may lose sight of an FPDU that comes sooner
	}
	q, err := m.establish(a, cfg.Domain)
	if err != nil {
		return nil, nil, closing(err, tcp)
	}
	if a.peer == nil && a.settings.RTR != 0 {
		time.Sleep(iwarp.FirstFPDUDelay) // nor may one come right behind the RTR
	}
	return q, a.data, nil
}

// late returns ctx's error where a setup took too long because ctx ended, and otherwise err.
func late(ctx context.Context, err error) error {
	d, limited := ctx.Deadline()
	switch {
	case !errors.Is(err, unio.ErrTimeout):
		return err
	case limited && !time.Now().Before(d): // of which ctx may not know yet
		return fmt.Errorf("%w: %w", unio.ErrTimeout, context.DeadlineExceeded)
	case ctx.Err() != nil:
		return ctx.Err()
	}
	return err
}

// closing closes a connection that came to nothing.
func closing(err error, c *net.TCPConn) error {
	_ = c.Close() // err says more
	return err
}
