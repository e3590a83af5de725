package rdma

import (
	"context"
	"testing"
	"time"

	"github.com/unio-stack/unio"
	"github.com/unio-stack/unio/uniotest"
)

// side is one end of a connection, for the suite.
func side(c, other *Conn) *uniotest.Peer {
	return &uniotest.Peer{Device: c.Device(), Channel: c.Channel(), Expose: func(t testing.TB, size int, rights unio.Rights) *uniotest.Exposed {
		t.Helper()
		buf, err := unio.NewBuffer(size)
		if err != nil {
			t.Fatal(err)
		}
		e, err := c.Expose(buf, rights)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := buf.Free(); err != nil { // which revokes what is left
				t.Error(err)
			}
		})
		return &uniotest.Exposed{
			Bytes: buf.Bytes(), Revoke: e.Revoke,
			Attach: func(rights unio.Rights) (*unio.Region, error) {
				return other.Attach(context.Background(), e.Key(), rights)
			},
		}
	}}
}

func TestPeersLoopback(t *testing.T) {
	uniotest.RunPeers(t, uniotest.PeersConfig{Open: func(t testing.TB) (x, y *uniotest.Peer) {
		a, b := join(t, Config{MaxMessage: 1 << 20}, Config{MaxMessage: 1 << 20})
		return side(a, b), side(b, a)
	}})
}

// TestPeersLink: the promises hold over a link with delay and small segments, and when it is cut.
func TestPeersLink(t *testing.T) {
	links := map[*unio.Device]*link{}
	uniotest.RunPeers(t, uniotest.PeersConfig{
		Open: func(t testing.TB) (x, y *uniotest.Peer) {
			cfg := Config{MaxMessage: 1 << 18, CRC: CRCOff}
			l, err := Listen(context.Background(), "127.0.0.1:0", cfg)
			if err != nil {
				t.Fatal(err)
			}
			defer l.Close()
			k := newLink(t, l.Addr().String(), lane{delay: time.Millisecond / 2, largest: 1400}, lane{delay: time.Millisecond / 2, largest: 1400})
			a, err := Dial(context.Background(), k.addr(), cfg)
			if err != nil {
				t.Fatal(err)
			}
			b, err := l.Accept(context.Background())
			if err != nil {
				t.Fatal(err)
			}
			links[a.Device()] = k
			return side(a, b), side(b, a)
		},
		Allocates: true, // the link does
		Cut:       func(_ testing.TB, a, _ *uniotest.Peer) { links[a.Device].cut(true) },
	})
}
