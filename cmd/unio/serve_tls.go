package main

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"os"
	"sync/atomic"

	"github.com/unio-stack/unio/internal/serveconfig"
)

// A serverSecret is what a server proves itself with, and whom it lets in. It can be exchanged while the server runs; whoever
// is connected then stays. nil is no TLS.
type serverSecret struct{ now atomic.Pointer[tls.Config] }

// loadServerSecret reads the files. It returns nil if there are none.
func loadServerSecret(files serveconfig.TLS) (*serverSecret, error) {
	if !files.On() {
		return nil, nil
	}
	cfg, err := readServerSecret(files)
	if err != nil {
		return nil, err
	}
	s := new(serverSecret)
	s.now.Store(cfg)
	return s, nil
}

// config returns what listeners need, or nil.
func (s *serverSecret) config() *tls.Config {
	if s == nil {
		return nil
	}
	return &tls.Config{
		MinVersion:         tls.VersionTLS13,
		GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) { return s.now.Load(), nil },
	}
}

// reload reads the files anew, for use. It returns nil where there is nothing to exchange.
func (s *serverSecret) reload(files serveconfig.TLS) (*tls.Config, error) {
	if s == nil || !files.On() {
		return nil, nil
	}
	return readServerSecret(files)
}

// use exchanges the secret for what reload has returned.
func (s *serverSecret) use(next *tls.Config) {
	if next != nil {
		s.now.Store(next)
	}
}

func readServerSecret(files serveconfig.TLS) (*tls.Config, error) {
	own, err := tls.LoadX509KeyPair(files.Cert, files.Key)
	if err != nil {
		return nil, hinted(fmt.Errorf("tls: certificate %s and key %s: %w", files.Cert, files.Key, err), "both are files in PEM, and the key belongs to the certificate")
	}
	cfg := &tls.Config{
		Certificates: []tls.Certificate{own}, MinVersion: tls.VersionTLS13,
		SessionTicketsDisabled: true, // so that each client proves itself by what is in force
	}
	if files.ClientCA == "" {
		return cfg, nil
	}
	text, err := os.ReadFile(files.ClientCA)
	if err != nil {
		return nil, hinted(fmt.Errorf("tls: authority of clients: %w", err), "it is a file in PEM")
	}
	cfg.ClientCAs, cfg.ClientAuth = x509.NewCertPool(), tls.RequireAndVerifyClientCert
	if !cfg.ClientCAs.AppendCertsFromPEM(text) {
		return nil, fmt.Errorf("tls: authority of clients: %s has no certificate in PEM", files.ClientCA)
	}
	return cfg, nil
}
