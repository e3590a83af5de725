package target

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"math/big"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/unio-stack/unio"
	"github.com/unio-stack/unio/provider/file"
	"github.com/unio-stack/unio/provider/rdma"
	"github.com/unio-stack/unio/uniotest/faults"
)

// A remote is a channel to a region of a target, for one request at a time.
type remote struct {
	t   testing.TB
	dev *unio.Device
	reg *unio.Region
	ch  *unio.Channel
}

// dial opens a region from afar; the test's end closes it.
func dial(t testing.TB, addr, region string, cfg rdma.Config) *remote {
	t.Helper()
	dev, err := rdma.OpenRegion(context.Background(), addr, region, false, cfg)
	if err != nil {
		t.Fatal(err)
	}
	r := &remote{t: t, dev: dev}
	t.Cleanup(func() { _ = dev.Close() })
	rights := unio.ReadWrite
	if dev.Info().ReadOnly {
		rights = unio.ReadOnly
	}
	if r.reg, err = dev.Attach(context.Background(), "", rights); err != nil {
		t.Fatal(err)
	}
	if r.ch, err = dev.NewChannel(unio.ChannelConfig{Depth: 64}); err != nil {
		t.Fatal(err)
	}
	return r
}

func (r *remote) do(op unio.Opcode, off int64, p []byte) error {
	ctx, stop := context.WithTimeout(context.Background(), patience)
	defer stop()
	return r.ch.Do(ctx, unio.Request{Op: op, Region: r.reg, Offset: off, Data: p})
}

// When an export is removed, its clients are told so, and nothing of theirs is in flight or comes later.
func TestRemovedFromClients(t *testing.T) {
	for _, d := range []struct {
		name string
		open func(*testing.T) *unio.Device
	}{
		{"memory", func(t *testing.T) *unio.Device { return memoryDevice(t, regionSize) }},
		{"file", func(t *testing.T) *unio.Device { return fileDevice(t, t.TempDir(), file.Config{}) }},
		{"stalled", func(t *testing.T) *unio.Device {
			dev, err := faults.Wrap(memoryDevice(t, regionSize), "any after 500 delay 1h", 1)
			if err != nil {
				t.Fatal(err)
			}
			return closing(t, dev)
		}},
	} {
		t.Run(d.name, func(t *testing.T) {
			dev := d.open(t)
			reg, err := dev.Attach(t.Context(), "", unio.ReadWrite)
			if err != nil {
				t.Fatal(err)
			}
			tg, addr := served(t, Config{Exports: []Export{{Name: "disk", Device: dev}}})
			var all sync.WaitGroup
			var done atomic.Int64
			for i := range int64(6) {
				c := dial(t, addr, "disk", rdma.Config{})
				all.Go(func() {
					p := make([]byte, 8192)
					for n := byte(1); ; n++ {
						p[0] = n
						if err := c.do(unio.OpWrite, i<<16, p); err != nil {
							if !errors.Is(err, unio.ErrRevoked) {
								t.Error(err)
							}
							return
						}
						done.Add(1)
					}
				})
			}
			wait(t, func() bool { return done.Load() > 100 })
			within(t, "SetExports", func() {
				if err := tg.SetExports(nil); err != nil {
					t.Error(err)
				}
			})
			image := region(t, reg)
			posted := dev.Stats().Posted
			within(t, "the load", all.Wait)
			if s := dev.Stats(); s.Posted != posted || s.Posted != s.Completed {
				t.Errorf("posted %d, then %d, of which %d completed", posted, s.Posted, s.Completed)
			}
			if region(t, reg) != image {
				t.Error("the region has changed since")
			}
			if _, err := rdma.OpenRegion(t.Context(), addr, "disk", false, rdma.Config{}); !errors.Is(err, unio.ErrAccess) || !strings.Contains(err.Error(), "no export") {
				t.Errorf("it can still be opened: %v", err)
			}
			if err := reg.Close(); err != nil {
				t.Error(err)
			}
		})
	}
}

// region returns what is in the part of a region that the clients write to. It must not be stalled; a stalled one has nothing.
func region(t *testing.T, reg *unio.Region) (firsts [6]byte) {
	t.Helper()
	if strings.HasPrefix(reg.Device().Info().Provider, "faults+") {
		return firsts
	}
	ch, err := reg.Device().NewChannel(unio.ChannelConfig{})
	if err != nil {
		t.Fatal(err)
	}
	defer ch.Close()
	for i := range firsts {
		if err := ch.Do(t.Context(), unio.Request{Op: unio.OpRead, Region: reg, Offset: int64(i) << 16, Data: firsts[i : i+1]}); err != nil {
			t.Fatal(err)
		}
	}
	return firsts
}

// More is asked for at a time than there is memory for, in pieces of all sizes: all of it is served, and right.
func TestMemoryIsShortForClients(t *testing.T) {
	dev, err := faults.Wrap(memoryDevice(t, regionSize), "any 1/4 delay 4ms", 1)
	if err != nil {
		t.Fatal(err)
	}
	const limit = 6 << 20
	tg, addr := served(t, Config{Exports: []Export{{Name: "disk", Device: closing(t, dev)}}, Memory: limit, PerConnection: 1 << 20})
	sizes := []int{1 << 20, 4096, 64 << 10, 3000, 16 << 10, 128 << 10, 8192, 700 << 10}
	const area = regionSize / 8
	var all sync.WaitGroup
	for i, size := range sizes {
		c := dial(t, addr, "disk", rdma.Config{})
		all.Go(func() { c.transfer(int64(i)*area, area, size) })
	}
	within(t, "the load", all.Wait)
	s := tg.Stats()
	for end := time.Now().Add(10 * time.Second); s.Exports[0].MemoryInUse != 0 && time.Now().Before(end); time.Sleep(time.Millisecond) {
		s = tg.Stats() // a client may have its answer before the target knows that it has gone
	}
	if e := s.Exports[0]; e.MemoryWaits == 0 || e.MemoryInUse != 0 || s.MemoryTaken > limit/2 {
		t.Errorf("%+v", s)
	}
}

// transfer writes an area in pieces of a size, as many at a time as the channel takes, and reads it again, some times.
func (r *remote) transfer(off, area int64, size int) {
	out, in := make([]byte, area), make([]byte, area)
	for round := range byte(3) {
		for i := range out {
			out[i] = byte(i>>12) ^ byte(i) ^ round
		}
		r.pieces(unio.OpWrite, off, out, size)
		r.pieces(unio.OpRead, off, in, size)
		if !bytes.Equal(in, out) {
			r.t.Errorf("what was read in pieces of %d is not what was written", size)
		}
	}
}

// pieces carries out an operation on all of p.
func (r *remote) pieces(op unio.Opcode, off int64, p []byte, size int) {
	ctx, stop := context.WithTimeout(context.Background(), patience)
	defer stop()
	var done [64]unio.Completion
	at, flight := 0, 0
	for at < len(p) || flight > 0 {
		if at < len(p) {
			n := min(size, len(p)-at)
			_, err := r.ch.Post(unio.Request{Op: op, Region: r.reg, Offset: off + int64(at), Data: p[at : at+n]})
			if err == nil {
				at, flight = at+n, flight+1
				continue
			}
			if !errors.Is(err, unio.ErrFull) {
				r.t.Error(err)
				return
			}
		}
		n, err := r.ch.Wait(ctx, done[:])
		if err != nil {
			r.t.Error(err)
			return
		}
		flight -= n
		for _, c := range done[:n] {
			if c.Err != nil {
				r.t.Error(c.Err)
			}
		}
	}
}

// A client that could write finds, after it was disconnected, that it can only read now.
func TestRightsChangeForClients(t *testing.T) {
	x := Export{Name: "disk", Device: memoryDevice(t, 1<<20)}
	tg, addr := served(t, Config{Exports: []Export{x}})
	c := dial(t, addr, "disk", rdma.Config{})
	if err := c.do(unio.OpWrite, 0, []byte{1}); err != nil {
		t.Fatal(err)
	}
	x.ReadOnly = true
	within(t, "SetExports", func() {
		if err := tg.SetExports([]Export{x}); err != nil {
			t.Error(err)
		}
	})
	if err := c.do(unio.OpWrite, 0, []byte{2}); err == nil {
		t.Error("it still writes")
	}
	p := []byte{0}
	wait(t, func() bool { return c.do(unio.OpRead, 0, p) == nil })
	if p[0] != 1 {
		t.Errorf("the region has %d", p[0])
	}
	if err := c.do(unio.OpWrite, 0, []byte{3}); !errors.Is(err, unio.ErrAccess) {
		t.Errorf("writing: %v", err)
	}
}

// Close disconnects those who are connected and do nothing; Drain waits for them.
func TestEndWithClients(t *testing.T) {
	tg, addr := served(t, Config{Exports: []Export{{Name: "disk", Device: memoryDevice(t, 1<<20)}}})
	for range 20 {
		dial(t, addr, "disk", rdma.Config{})
	}
	ctx, stop := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer stop()
	if err := tg.Drain(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Drain: %v", err)
	}
	within(t, "Close", func() {
		if err := tg.Close(); err != nil {
			t.Error(err)
		}
	})
}

// An export is for the clients whose certificates have its names.
func TestClientsByCertificate(t *testing.T) {
	ca := newAuthority(t)
	disk := memoryDevice(t, 1<<20)
	_, addr := served(t, Config{
		Exports: []Export{{Name: "alice's", Device: disk, Clients: []string{"alice"}}, {Name: "public", Device: disk}},
		RDMA: rdma.Config{TLS: &tls.Config{
			Certificates: []tls.Certificate{ca.certificate("127.0.0.1")}, ClientAuth: tls.VerifyClientCertIfGiven, ClientCAs: ca.pool,
		}},
	})
	as := func(name string) rdma.Config {
		cfg := &tls.Config{RootCAs: ca.pool, ServerName: "127.0.0.1"}
		if name != "" {
			cfg.Certificates = []tls.Certificate{ca.certificate(name)}
		}
		return rdma.Config{TLS: cfg}
	}
	if err := dial(t, addr, "alice's", as("alice")).do(unio.OpWrite, 0, []byte{1}); err != nil {
		t.Error(err)
	}
	if err := dial(t, addr, "public", as("")).do(unio.OpRead, 0, []byte{1}); err != nil {
		t.Error(err)
	}
	for _, name := range []string{"", "bob"} {
		if _, err := rdma.OpenRegion(t.Context(), addr, "alice's", false, as(name)); !errors.Is(err, unio.ErrAccess) {
			t.Errorf("%q: %v", name, err)
		}
	}
}

// An authority issues certificates.
type authority struct {
	t    testing.TB
	key  *ecdsa.PrivateKey
	cert *x509.Certificate
	pool *x509.CertPool
}

func newAuthority(t testing.TB) *authority {
	t.Helper()
	a := &authority{t: t, pool: x509.NewCertPool()}
	self := &x509.Certificate{Subject: pkix.Name{CommonName: "authority"}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}
	a.cert, a.key = a.issue(self)
	a.pool.AddCert(a.cert)
	return a
}

// issue signs a certificate: the first by itself.
func (a *authority) issue(c *x509.Certificate) (*x509.Certificate, *ecdsa.PrivateKey) {
	a.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		a.t.Fatal(err)
	}
	parent, signer := a.cert, a.key
	if parent == nil {
		parent, signer = c, key
	}
	c.SerialNumber = big.NewInt(time.Now().UnixNano())
	c.NotBefore, c.NotAfter = time.Now().Add(-time.Hour), time.Now().Add(time.Hour)
	der, err := x509.CreateCertificate(rand.Reader, c, parent, &key.PublicKey, signer)
	if err != nil {
		a.t.Fatal(err)
	}
	if c, err = x509.ParseCertificate(der); err != nil {
		a.t.Fatal(err)
	}
	return c, key
}

// certificate is for whoever has a name, or an address.
func (a *authority) certificate(name string) tls.Certificate {
	a.t.Helper()
	c := &x509.Certificate{
		Subject: pkix.Name{CommonName: name}, KeyUsage: x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	if ip := net.ParseIP(name); ip != nil {
		c.IPAddresses = []net.IP{ip}
	}
	signed, key := a.issue(c)
	return tls.Certificate{Certificate: [][]byte{signed.Raw}, PrivateKey: key}
}
