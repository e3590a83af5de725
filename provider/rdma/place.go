package rdma

import (
	"context"
	"fmt"
	"net/url"
	"strings"

	"github.com/unio-stack/unio"
)

// A Place is what a URL names: a region of a target, or a peer.
type Place struct {
	Addr     string // "host:port"
	Region   string // "": no region of a target, but the peer itself
	ReadOnly bool   // the region is to be opened for reading only
	Config   Config
}

// OpenURL opens what a URL names; see [ParsePlace] and [Place.Open].
func OpenURL(ctx context.Context, u *url.URL) (*unio.Device, error) {
	p, err := ParsePlace(u)
	if err != nil {
		return nil, err
	}
	return p.Open(ctx)
}

// Open opens a region as [OpenRegion] does, and a peer as [Open] does. With Config.Verbs a region is the memory that a peer
// gives for its name: as a program on plain verbs sees it, which can read and write, and no more.
func (p *Place) Open(ctx context.Context) (*unio.Device, error) {
	switch {
	case p.Region == "":
		return Open(ctx, p.Addr, p.Config)
	case p.Config.Verbs:
		cfg := p.Config
		cfg.PrivateData = []byte(p.Region)
		return Open(ctx, p.Addr, cfg)
	}
	return OpenRegion(ctx, p.Addr, p.Region, p.ReadOnly, p.Config)
}

// ParsePlace reads a URL as rdma://host:7471/REGION?readonly=1, without connecting to anything. The path, if there is one, is
// the name of a region that a target serves. Its options are those of [ParseURL], and
//
//	readonly=0, 1            Place.ReadOnly; only of a region
//	inflight=16MiB           Hints.InFlight; likewise
//	pattern=random, sequential, unknown
//	                         Hints.Pattern; likewise
//
// It fails as ParseURL does.
func ParsePlace(u *url.URL) (Place, error) {
	p, err := parseOptions(u)
	if err != nil {
		return Place{}, err
	}
	p.Region = strings.TrimPrefix(u.Path, "/")
	if err := p.check(); err != nil {
		return Place{}, fmt.Errorf("%s: %w", u.Redacted(), err)
	}
	return p, nil
}

func (p *Place) check() error {
	if err := p.Config.Hints.check(); err != nil {
		return err
	}
	switch room := p.Config.privateRoom(); {
	case p.ReadOnly && p.Region == "":
		return fmt.Errorf("%w: readonly is for a region: write rdma://%s/REGION?readonly=1", unio.ErrInvalid, p.Addr)
	case p.ReadOnly && p.Config.Verbs:
		return fmt.Errorf("%w: plain verbs cannot ask for readonly", unio.ErrInvalid)
	case p.Config.Hints != Hints{} && p.Region == "":
		return fmt.Errorf("%w: inflight and pattern are for a region: write rdma://%s/REGION?inflight=16MiB", unio.ErrInvalid, p.Addr)
	case p.Config.Hints != Hints{} && p.Config.Verbs:
		return fmt.Errorf("%w: plain verbs cannot tell inflight and pattern", unio.ErrInvalid)
	case len(p.Region) > room:
		return fmt.Errorf("%w: the region's name has %d bytes; at most %d are possible", unio.ErrInvalid, len(p.Region), room)
	case strings.ContainsRune(p.Region, 0):
		return fmt.Errorf("%w: the region's name has a NUL", unio.ErrInvalid)
	}
	return nil
}
