package rdma

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"math/big"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/unio-stack/unio"
)

// TestOpenURL holds that every channel is a connection of its own, that the first is the one that was opened, and that all
// reach the memory that the peer names.
func TestOpenURL(t *testing.T) {
	addr, key := serve(t, 1<<16, Config{})
	dev, err := OpenURL(context.Background(), parse(t, "rdma://"+addr+"?crc=off"))
	if err != nil {
		t.Fatal(err)
	}
	defer dev.Close()
	reg, err := dev.Attach(context.Background(), "", unio.ReadWrite)
	if err != nil {
		t.Fatal(err)
	}
	if info := dev.Info(); info.Provider != "rdma" || info.Name != addr || reg.Size() != key.Size {
		t.Errorf("%+v, size %d", info, reg.Size())
	}
	var channels []*unio.Channel
	for range 3 {
		ch, err := dev.NewChannel(unio.ChannelConfig{Depth: 4})
		if err != nil {
			t.Fatal(err)
		}
		channels = append(channels, ch)
	}
	for i, ch := range channels {
		word := []byte{byte(i), 1, 2, 3}
		if err := ch.Do(context.Background(), unio.Request{Op: unio.OpWrite, Region: reg, Offset: 99, Data: word}); err != nil {
			t.Fatal(err)
		}
		got := make([]byte, 4)
		other := channels[(i+1)%3]
		if err := other.Do(context.Background(), unio.Request{Op: unio.OpRead, Region: reg, Offset: 99, Data: got}); err != nil {
			t.Fatal(err)
		}
		if string(got) != string(word) {
			t.Errorf("channel %d wrote %v, another read %v", i, word, got)
		}
	}
}

func TestOpenURLWithoutChannel(t *testing.T) {
	addr, _ := serve(t, 4096, Config{})
	dev, err := OpenURL(context.Background(), parse(t, "rdma://"+addr))
	if err != nil {
		t.Fatal(err)
	}
	if err := dev.Close(); err != nil {
		t.Error(err)
	}
}

// TestOpenURLFails: what is wrong shows when the device is opened, not when it is used.
func TestOpenURLFails(t *testing.T) {
	addr, _ := serve(t, 4096, Config{CRC: CRCOff})
	for text, cause := range map[string]error{
		"rdma://" + addr + "?ord=20000":                  unio.ErrInvalid,
		"rdma://" + addr + "?crc=on":                     nil, // the listener refuses, without an application's reason
		"rdma://" + addr + "?crc=off&congestion=nothing": os.ErrNotExist,
		"rdma://" + addr + "?crc=off&tls=1":              nil,
		"rdma://127.0.0.1:1":                             nil,
	} {
		dev, err := OpenURL(context.Background(), parse(t, text))
		if err == nil {
			_ = dev.Close()
			t.Errorf("%s: opened", text)
		} else if !strings.Contains(err.Error(), "127.0.0.1") || cause != nil && !errors.Is(err, cause) {
			t.Errorf("%s: %v", text, err)
		}
	}
}

// TestOpenURLBreaks: the device remembers how a connection of any of its channels failed.
func TestOpenURLBreaks(t *testing.T) {
	addr, key := serve(t, 4096, Config{})
	dev, err := OpenURL(context.Background(), parse(t, "rdma://"+addr))
	if err != nil {
		t.Fatal(err)
	}
	defer dev.Close()
	key.STag ^= 1
	reg, err := dev.Attach(context.Background(), key.String(), unio.ReadOnly)
	if err != nil {
		t.Fatal(err)
	}
	for i := range 2 {
		before := len(dev.Errors())
		ch, err := dev.NewChannel(unio.ChannelConfig{})
		if err != nil {
			t.Fatal(err)
		}
		if err := ch.Do(context.Background(), unio.Request{Op: unio.OpRead, Region: reg, Data: make([]byte, 1)}); err == nil {
			t.Error("a key that does not exist was taken")
		}
		if n := len(dev.Errors()) - before; n != 2 { // the request, and its connection
			t.Errorf("channel %d: %d failures were reported", i, n)
		}
	}
}

// TestOpenURLOverTLS uses files as the options name them.
func TestOpenURLOverTLS(t *testing.T) {
	dir := t.TempDir()
	server, pool := urlCertificates(t, dir)
	server.ClientCAs, server.ClientAuth = pool, tls.RequireAndVerifyClientCert
	addr, key := serve(t, 4096, Config{TLS: server})
	at := func(name string) string { return url.QueryEscape(filepath.Join(dir, name)) }
	open := func(query string) error {
		dev, err := OpenURL(context.Background(), parse(t, "rdma://"+addr+"?"+query))
		if err != nil {
			return err
		}
		defer dev.Close()
		ch, err := dev.NewChannel(unio.ChannelConfig{})
		if err != nil {
			return err
		}
		reg, err := dev.Attach(context.Background(), key.String(), unio.ReadOnly)
		if err != nil {
			return err
		}
		return ch.Do(context.Background(), unio.Request{Op: unio.OpRead, Region: reg, Data: make([]byte, 8)})
	}
	own := "&tls-cert=" + at("client.pem") + "&tls-key=" + at("client.key")
	if err := open("tls-ca=" + at("ca.pem") + own); err != nil {
		t.Error(err)
	}
	if err := open("tls-ca=" + at("ca.pem") + "&tls-name=peer.example" + own); err != nil {
		t.Error(err)
	}
	for _, query := range []string{
		"tls=1" + own, "tls-ca=" + at("ca.pem"), "tls-ca=" + at("ca.pem") + "&tls-name=else.example" + own, "tls=0",
	} {
		if err := open(query); err == nil {
			t.Errorf("%s: connected", query)
		}
	}
}

// urlCertificates makes an authority, and with it a certificate for 127.0.0.1 and peer.example, whose configuration it
// returns, and another for a client. The files are ca.pem, client.pem and client.key.
func urlCertificates(t testing.TB, dir string) (server *tls.Config, pool *x509.CertPool) {
	t.Helper()
	authority := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test authority"}, NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	key := newKey(t)
	write := func(name, kind string, der []byte) {
		if err := os.WriteFile(filepath.Join(dir, name), pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	issue := func(c *x509.Certificate, own *ecdsa.PrivateKey) []byte {
		der, err := x509.CreateCertificate(rand.Reader, c, authority, &own.PublicKey, key)
		if err != nil {
			t.Fatal(err)
		}
		return der
	}
	write("ca.pem", "CERTIFICATE", issue(authority, key))
	leaf := &x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: "leaf"}, NotAfter: time.Now().Add(time.Hour),
		DNSNames: []string{"peer.example"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth, x509.ExtKeyUsageServerAuth},
	}
	client, peer := newKey(t), newKey(t)
	write("client.pem", "CERTIFICATE", issue(leaf, client))
	der, err := x509.MarshalECPrivateKey(client)
	if err != nil {
		t.Fatal(err)
	}
	write("client.key", "EC PRIVATE KEY", der)
	root, err := x509.ParseCertificate(issue(authority, key))
	if err != nil {
		t.Fatal(err)
	}
	pool = x509.NewCertPool()
	pool.AddCert(root)
	return &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{issue(leaf, peer)}, PrivateKey: peer}}}, pool
}

func newKey(t testing.TB) *ecdsa.PrivateKey {
	t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return k
}
