package rdma

import (
	"errors"
	"net/url"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/unio-stack/unio"
)

func parse(t testing.TB, text string) *url.URL {
	t.Helper()
	u, err := url.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	return u
}

func TestParseURL(t *testing.T) {
	standard := Config{KeepAlive: 10 * time.Second, HandshakeTimeout: 5 * time.Second}
	for text, want := range map[string]struct {
		addr   string
		change func(*Config)
	}{
		"rdma://host":                    {"host:7471", func(*Config) {}},
		"rdma://host/":                   {"host:7471", func(*Config) {}},
		"rdma://host:":                   {"host:7471", func(*Config) {}},
		"rdma://10.0.0.1:80?crc=default": {"10.0.0.1:80", func(*Config) {}},
		"rdma://[::1]?crc=on":            {"[::1]:7471", func(c *Config) { c.CRC = CRCRequired }},
		"rdma://[::1]:1?crc=off":         {"[::1]:1", func(c *Config) { c.CRC = CRCOff }},
		"rdma://h?keepalive=0s":          {"h:7471", func(c *Config) { c.KeepAlive = -1 }},
		"rdma://h?keepalive=1m&handshake=1s&congestion=cubic&ord=7&verbs": {"h:7471", func(c *Config) {
			c.KeepAlive, c.HandshakeTimeout, c.Congestion, c.ORD, c.Verbs = time.Minute, time.Second, "cubic", 7, true
		}},
	} {
		cfg := standard
		want.change(&cfg)
		addr, got, err := ParseURL(parse(t, text))
		if err != nil || addr != want.addr || got.CRC != cfg.CRC || got.KeepAlive != cfg.KeepAlive || got.TLS != nil ||
			got.HandshakeTimeout != cfg.HandshakeTimeout || got.Congestion != cfg.Congestion || got.ORD != cfg.ORD || got.Verbs != cfg.Verbs {
			t.Errorf("%s: %q, %+v, %v; want %+v", text, addr, got, err, want)
		}
	}
	if _, cfg, err := ParseURL(parse(t, "rdma://h?tls=1&tls-name=other")); err != nil || cfg.TLS == nil || cfg.TLS.ServerName != "other" {
		t.Errorf("%+v, %v", cfg.TLS, err)
	}
}

func TestParseURLRefuses(t *testing.T) {
	t.Chdir(t.TempDir())
	if err := os.WriteFile("empty.pem", nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for text, words := range map[string]string{
		"rdma:host":                                        "write rdma://host",
		"rdma:":                                            "no host",
		"rdma:///volume":                                   "no host",
		"rdma://host/volume":                               "a peer has one region, which has no name: write rdma://host",
		"rdma://user:secret@host":                          "no user name",
		"rdma://host:0":                                    "port 0",
		"rdma://host:70000":                                "port 70000",
		"rdma://host?size=1G":                              `unknown option "size"`,
		"rdma://host?crc=maybe":                            "want one of default, on, off",
		"rdma://host?keepalive=10":                         "with its unit",
		"rdma://host?ord=x":                                "whole number",
		"rdma://host?verbs=2":                              "want 1 or 0",
		"rdma://host?tls=0&tls-ca=empty.pem":               "tls=0 contradicts",
		"rdma://host?tls-ca=empty.pem":                     "no certificate in PEM",
		"rdma://host?tls-cert=empty.pem":                   "go together",
		"rdma://host?tls-key=empty.pem&tls=1":              "go together",
		"rdma://host?tls-cert=empty.pem&tls-key=empty.pem": "tls-cert and tls-key: invalid",
	} {
		_, _, err := ParseURL(parse(t, text))
		if !errors.Is(err, unio.ErrInvalid) || !strings.Contains(err.Error(), words) || strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: %v, want ErrInvalid with %q", text, err, words)
		}
	}
	for _, text := range []string{"rdma://host?tls-ca=missing.pem", "rdma://host?tls-cert=missing.pem&tls-key=empty.pem"} {
		if _, _, err := ParseURL(parse(t, text)); !errors.Is(err, os.ErrNotExist) || errors.Is(err, unio.ErrInvalid) {
			t.Errorf("%s: %v", text, err)
		}
	}
}

// FuzzParseURL holds that an address comes out whole, or an error that says what is wrong.
func FuzzParseURL(f *testing.F) {
	for _, s := range []string{"rdma://host:1?crc=off", "rdma://[::1%25eth0]", "rdma:x", "rdma://@:0/?tls", "rdma://h?tls-ca=%00"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		u, err := url.Parse(s)
		if err != nil {
			return
		}
		var path *os.PathError
		switch addr, _, err := ParseURL(u); {
		case err == nil && (addr == "" || strings.HasPrefix(addr, ":")):
			t.Fatalf("%q: no host in %q", s, addr)
		case err != nil && !errors.Is(err, unio.ErrInvalid) && !errors.As(err, &path):
			t.Fatalf("%q: %v", s, err)
		}
	})
}
