package rdma

import (
	"context"
	"net"
	"testing"

	"golang.org/x/net/nettest"
)

// TestStream: two ends of a connection are net.Conns.
func TestStream(t *testing.T) {
	nettest.TestConn(t, func() (c1, c2 net.Conn, stop func(), err error) {
		a, b := join(t, Config{}, Config{})
		if c1, err = a.Stream(); err == nil {
			c2, err = b.Stream()
		}
		if err != nil {
			t.Error(a.Close(), b.Close())
			return nil, nil, nil, err
		}
		return c1, c2, func() { t.Log(c1.Close(), c2.Close()) }, nil
	})
}

// join returns the dialing and the listening end of a connection.
func join(t testing.TB, dialing, listening Config) (a, b *Conn) {
	t.Helper()
	l, err := Listen(context.Background(), "127.0.0.1:0", listening)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if a, err = Dial(context.Background(), l.Addr().String(), dialing); err != nil {
		t.Fatal(err)
	}
	if b, err = l.Accept(context.Background()); err != nil {
		t.Fatal(err)
	}
	return a, b
}
