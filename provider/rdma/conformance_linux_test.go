package rdma

import (
	"context"
	"sync"
	"testing"

	"github.com/unio-stack/unio"
	"github.com/unio-stack/unio/uniotest"
)

// serve exposes memory of a server and accepts whoever comes. It returns the server's address, and the key.
func serve(t testing.TB, size int, cfg Config) (addr string, key Key) {
	t.Helper()
	buf, err := unio.NewBuffer(size)
	if err != nil {
		t.Fatal(err)
	}
	d := NewDomain()
	e, err := d.Expose(buf, unio.ReadWrite)
	if err != nil {
		t.Fatal(err)
	}
	cfg.Domain = d
	cfg.Decide = func(*Incoming) ([]byte, error) { return e.Key().AppendBinary(nil) }
	l, err := Listen(context.Background(), "127.0.0.1:0", cfg)
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			c, err := l.Accept(context.Background())
			if err != nil {
				return
			}
			wg.Go(func() {
				<-c.Done()
				_ = c.Close()
			})
		}
	})
	t.Cleanup(func() {
		if err := l.Close(); err != nil {
			t.Error(err)
		}
		wg.Wait()
		if err := buf.Free(); err != nil {
			t.Error(err)
		}
	})
	return l.Addr().String(), e.Key()
}

func TestConformanceLoopback(t *testing.T) {
	uniotest.Run(t, uniotest.Config{Open: func(t testing.TB) *unio.Device {
		addr, _ := serve(t, uniotest.Size, Config{})
		c, err := Dial(context.Background(), addr, Config{})
		if err != nil {
			t.Fatal(err)
		}
		return c.Device()
	}})
}
