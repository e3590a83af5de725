package main

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"os"
)

// A peerSecret is what a peer needs for TLS: files, "" for none.
type peerSecret struct{ cert, key, clientCA string }

// load reads the files. It returns nil if there are none.
func (s *peerSecret) load() (*tls.Config, error) {
	switch {
	case *s == peerSecret{}:
		return nil, nil
	case s.cert == "" || s.key == "":
		return nil, usage("TLS needs --tls-cert and --tls-key")
	}
	own, err := tls.LoadX509KeyPair(s.cert, s.key)
	if err != nil {
		return nil, hinted(fmt.Errorf("--tls-cert and --tls-key: %w", err), "both are files in PEM, and the key belongs to the certificate")
	}
	cfg := &tls.Config{Certificates: []tls.Certificate{own}, MinVersion: tls.VersionTLS13}
	if s.clientCA == "" {
		return cfg, nil
	}
	text, err := os.ReadFile(s.clientCA)
	if err != nil {
		return nil, hinted(fmt.Errorf("--tls-client-ca: %w", err), "it is a file in PEM")
	}
	cfg.ClientCAs, cfg.ClientAuth = x509.NewCertPool(), tls.RequireAndVerifyClientCert
	if !cfg.ClientCAs.AppendCertsFromPEM(text) {
		return nil, fmt.Errorf("--tls-client-ca: %s has no certificate in PEM", s.clientCA)
	}
	return cfg, nil
}
