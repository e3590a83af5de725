package rdma

import (
	"context"
	"errors"
	"net"

	"github.com/unio-stack/unio"
)

// A Conn is a connection to a peer. Its methods may be called from any goroutine; its channel has one owner at a time, as
// any channel.
type Conn struct {
	q       *queuePair
	device  *unio.Device
	channel *unio.Channel
	data    []byte
}

// newConn makes a Conn of a connection that works. On failure the connection is closed.
func newConn(q *queuePair, cfg *Config, data []byte, again func(context.Context) (*queuePair, error)) (*Conn, error) {
	p := &device{info: q.info(cfg.Channel.Depth), first: q, again: again}
	if k, err := memoryOf(data); err == nil {
		p.memory = &k
	}
	c := &Conn{q: q, device: unio.NewDevice(p), data: data}
	var err error
	if c.channel, err = c.device.NewChannel(cfg.Channel); err != nil {
		return nil, errors.Join(err, c.device.Close())
	}
	q.mu.Lock()
	q.report = c.device.Report
	early := q.failure
	q.mu.Unlock()
	if early != nil && !early.clean {
		c.device.Report(early.err(q))
	}
	return c, nil
}

// Channel returns the connection's channel.
func (c *Conn) Channel() *unio.Channel { return c.channel }

// Device returns the peer as a device. Of a Conn that was dialed, further channels are further connections to the same
// peer.
func (c *Conn) Device() *unio.Device { return c.device }

// Attach returns the right to use memory that the peer has exposed. Nothing is asked of the peer: a key or rights that it
// does not know end the connection when they are used.
func (c *Conn) Attach(ctx context.Context, k Key, rights unio.Rights) (*unio.Region, error) {
	return c.device.Attach(ctx, k.String(), rights)
}

// Expose lets the peer, and no other, reach the memory of buf, until the connection ends, the exposure is revoked, the buffer is
// freed, or the peer sends a message that invalidates it. It fails with [unio.ErrInvalid] for rights or memory that make
// no sense, and with [unio.ErrDisconnected].
func (c *Conn) Expose(buf *unio.Buffer, rights unio.Rights) (*Exposure, error) {
	return c.q.domain.expose(buf, 0, len(buf.Bytes()), rights, c.q)
}

// ExposeRange is Expose for the n bytes from off on.
func (c *Conn) ExposeRange(buf *unio.Buffer, off, n int, rights unio.Rights) (*Exposure, error) {
	return c.q.domain.expose(buf, off, n, rights, c.q)
}

// PeerData returns the private data that came with the peer's Request or Reply. It must not be changed.
func (c *Conn) PeerData() []byte { return c.data }

// Peer returns what the two ends have agreed on.
func (c *Conn) Peer() PeerInfo { return c.q.peer }

// LocalAddr returns the address of this end.
func (c *Conn) LocalAddr() net.Addr { return c.q.local }

// RemoteAddr returns the address of the peer.
func (c *Conn) RemoteAddr() net.Addr { return c.q.remote }

// Err returns why the connection has ended: an [unio.ErrDisconnected], with what went wrong if something did. It is nil while
// the connection works.
func (c *Conn) Err() error {
	c.q.mu.Lock()
	defer c.q.mu.Unlock()
	if c.q.failure == nil {
		return nil
	}
	return c.q.failure.err(c.q)
}

// Done is closed when the connection has ended, whoever has ended it.
func (c *Conn) Done() <-chan struct{} { return c.q.ended }

// Close ends the connection: what is in flight is cancelled, and what was sent reaches the peer if it still listens. It
// returns within a second or so, is idempotent, and may be called from any goroutine.
func (c *Conn) Close() error { return c.device.Close() }
