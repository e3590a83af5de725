package rdma

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"strconv"

	"github.com/unio-stack/unio"
	"github.com/unio-stack/unio/provider/internal/option"
)

// DefaultPort is the TCP port of a URL that names none.
const DefaultPort = 7471

// Open connects to the peer at addr, as Dial does, for those who need no more of it than a device. The connection is the
// device's first channel; further channels are further connections to the same peer. The region "" is the memory that the
// peer has named at the start of its Reply's private data; other regions are named by their Key. Of cfg, Channel is of no
// use here.
func Open(ctx context.Context, addr string, cfg Config) (*unio.Device, error) {
	if cfg.ORD == 0 {
		cfg.ORD = defaultReads // how deep the channels will be is not known
	}
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", addr, err)
	}
	if cfg.Domain == nil {
		cfg.Domain = NewDomain()
	}
	q, data, err := dial(ctx, addr, &cfg)
	if err != nil {
		return nil, err
	}
	p := &device{info: q.info(cfg.Channel.Depth), first: q}
	if k, err := memoryOf(data); err == nil {
		p.memory = &k
	}
	dev := unio.NewDevice(p)
	reportTo(dev, q)
	p.again = func(ctx context.Context) (*queuePair, error) {
		q, _, err := dial(ctx, addr, &cfg)
		if err == nil {
			reportTo(dev, q)
		}
		return q, err
	}
	return dev, nil
}

// reportTo has the device remember how the connection fails, or has failed already.
func reportTo(dev *unio.Device, q *queuePair) {
	q.mu.Lock()
	q.report = dev.Report
	early := q.failure
	q.mu.Unlock()
	if early != nil && !early.clean {
		dev.Report(early.err(q))
	}
}

// ParseURL reads the URL of a peer, as rdma://host:7471?crc=off, without connecting to anything:
//
//	crc=default, on, off     Config.CRC
//	keepalive=10s            Config.KeepAlive; 0s is never
//	handshake=5s             Config.HandshakeTimeout
//	congestion=cubic         Config.Congestion
//	ord=128                  Config.ORD
//	verbs=0, 1               Config.Verbs
//	tls=0, 1                 Config.TLS; 1 if one of the following is given
//	tls-ca=FILE              the authorities that the peer's certificate is checked with; default: the system's
//	tls-cert=FILE            the certificate of this end, for peers that ask
//	tls-key=FILE             its key
//	tls-name=NAME            the name in the peer's certificate; default: the URL's host
//
// It fails with [unio.ErrInvalid], or because a file cannot be read.
func ParseURL(u *url.URL) (addr string, cfg Config, err error) {
	p, err := ParsePlace(u)
	if err == nil && p.Region != "" {
		err = fmt.Errorf("%s: %w: a peer has one region, which has no name: write rdma://%s", u.Redacted(), unio.ErrInvalid, u.Host)
	}
	if err != nil {
		return "", Config{}, err
	}
	return p.Addr, p.Config, nil
}

// parseOptions reads all of a URL but its path.
func parseOptions(u *url.URL) (p Place, err error) {
	o := option.New(u)
	cfg := Config{
		KeepAlive:        o.Duration("keepalive", defaultKeepAlive),
		HandshakeTimeout: o.Duration("handshake", defaultHandshake),
		Congestion:       o.String("congestion", ""),
		ORD:              o.Int("ord", 0),
		Verbs:            o.Bool("verbs", false),
	}
	switch o.Choice("crc", "default", "default", "on", "off") {
	case "on":
		cfg.CRC = CRCRequired
	case "off":
		cfg.CRC = CRCOff
	}
	if cfg.KeepAlive == 0 {
		cfg.KeepAlive = -1
	}
	secret := credentials{ca: o.String("tls-ca", ""), cert: o.String("tls-cert", ""), key: o.String("tls-key", ""), name: o.String("tls-name", "")}
	secure := o.Bool("tls", secret != credentials{})
	p.ReadOnly = o.Bool("readonly", false)
	cfg.Hints.InFlight = o.Size("inflight", 0)
	switch o.Choice("pattern", "unknown", "unknown", "random", "sequential") {
	case "random":
		cfg.Hints.Pattern = PatternRandom
	case "sequential":
		cfg.Hints.Pattern = PatternSequential
	}
	if err := o.Err(); err != nil {
		return p, err
	}
	if p.Addr, err = address(u); err == nil && secure {
		cfg.TLS, err = secret.load()
	} else if err == nil && secret != (credentials{}) {
		err = fmt.Errorf("%w: tls=0 contradicts the other options of TLS", unio.ErrInvalid)
	}
	if err != nil {
		return p, fmt.Errorf("%s: %w", u.Redacted(), err)
	}
	p.Config = cfg
	return p, nil
}

// address returns "host:port".
func address(u *url.URL) (string, error) {
	bad := func(text string) (string, error) { return "", fmt.Errorf("%w: %s", unio.ErrInvalid, text) }
	switch {
	case u.Opaque != "":
		return bad("write rdma://" + u.Opaque)
	case u.Hostname() == "":
		return bad("no host: write rdma://host or rdma://host:" + strconv.Itoa(DefaultPort))
	case u.User != nil:
		return bad("a peer takes no user name: see the options of TLS")
	}
	port := u.Port()
	if port == "" {
		port = strconv.Itoa(DefaultPort)
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
		return bad("port " + port + ": 1 to 65535 are possible")
	}
	return net.JoinHostPort(u.Hostname(), port), nil
}

// credentials are the options of a URL that say whom to trust and who this end is.
type credentials struct{ ca, cert, key, name string }

// load reads the files.
func (c *credentials) load() (*tls.Config, error) {
	cfg := &tls.Config{ServerName: c.name, MinVersion: tls.VersionTLS13}
	if c.ca != "" {
		text, err := os.ReadFile(c.ca)
		if err != nil {
			return nil, fmt.Errorf("tls-ca: %w", err)
		}
		cfg.RootCAs = x509.NewCertPool()
		if !cfg.RootCAs.AppendCertsFromPEM(text) {
			return nil, fmt.Errorf("tls-ca: %w: %s has no certificate in PEM", unio.ErrInvalid, c.ca)
		}
	}
	if (c.cert == "") != (c.key == "") {
		return nil, fmt.Errorf("%w: tls-cert and tls-key go together", unio.ErrInvalid)
	}
	if c.cert == "" {
		return cfg, nil
	}
	own, err := tls.LoadX509KeyPair(c.cert, c.key)
	if errors.Is(err, os.ErrNotExist) || errors.Is(err, os.ErrPermission) {
		return nil, fmt.Errorf("tls-cert and tls-key: %w", err)
	}
	if err != nil {
		return nil, fmt.Errorf("tls-cert and tls-key: %w: %w", unio.ErrInvalid, err)
	}
	cfg.Certificates = []tls.Certificate{own}
	return cfg, nil
}
