package rdma

import (
	"context"
	"flag"
	"testing"
	"time"

	"github.com/unio-stack/unio"
	"github.com/unio-stack/unio/uniotest"
)

// scaled has the suite do n percent of what it does as a rule, unless the command line says how much.
func scaled(t *testing.T, n string) {
	f := flag.Lookup("uniotest.n")
	before := f.Value.String()
	if before != "0" {
		return
	}
	_ = f.Value.Set(n)
	t.Cleanup(func() { _ = f.Value.Set(before) })
}

// TestConformanceOverLink runs the suite over links that are slow, and cut what is sent into pieces of any size.
func TestConformanceOverLink(t *testing.T) {
	scaled(t, "3")
	a := newAuthority(t)
	for _, c := range []struct {
		name         string
		listen, dial Config
		up, down     lane
	}{
		{
			name: "far away", listen: Config{CRC: CRCOff}, dial: Config{CRC: CRCOff},
			up: lane{delay: time.Millisecond, jitter: time.Millisecond}, down: lane{delay: 2 * time.Millisecond, jitter: time.Millisecond},
		},
		{name: "in pieces, with CRC", up: lane{largest: 1500}, down: lane{largest: 1500}},
		{name: "in pieces, with TLS", listen: Config{TLS: a.server()}, dial: Config{TLS: a.client()}, up: lane{largest: 1500}, down: lane{largest: 1500}},
		{
			name: "in pieces, plain", listen: Config{Verbs: true, CRC: CRCRequired}, dial: Config{Verbs: true},
			up: lane{largest: 3000}, down: lane{largest: 700},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			uniotest.Run(t, uniotest.Config{Open: func(t testing.TB) *unio.Device {
				addr, _ := serve(t, uniotest.Size, c.listen)
				k := newLink(t, addr, c.up, c.down)
				conn, err := Dial(context.Background(), k.addr(), c.dial)
				if err != nil {
					t.Fatal(err)
				}
				return conn.Device()
			}, Allocates: true})
		})
	}
}
