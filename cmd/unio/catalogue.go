package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/unio-stack/unio"
	"github.com/unio-stack/unio/provider"
	"github.com/unio-stack/unio/provider/rdma"
	"github.com/unio-stack/unio/target"
)

// parseTarget reads the URL of a target, or of a region of one.
func parseTarget(raw string) (rdma.Place, error) {
	u, err := provider.Parse(raw)
	if err != nil {
		return rdma.Place{}, err
	}
	if u.Scheme != "rdma" {
		return rdma.Place{}, hinted(usage("%s is no target", raw), "targets have URLs as rdma://host or rdma://127.0.0.1:7471")
	}
	p, err := rdma.ParsePlace(u)
	if err == nil && p.Config.Verbs {
		err = usage("%s: only unio itself lists regions: leave out verbs", raw)
	}
	return p, err
}

// maxCatalogue is the longest catalogue that is believed.
const maxCatalogue = 64 << 20

// readCatalogue asks the target at a place what it has.
func readCatalogue(ctx context.Context, p rdma.Place) (*target.Catalogue, error) {
	dev, err := rdma.OpenRegion(ctx, p.Addr, target.CatalogueName, true, p.Config)
	if errors.Is(err, unio.ErrUnsupported) {
		return nil, hinted(fmt.Errorf("%s is no target", p.Addr), `"unio serve" runs targets; for a peer, see "unio ping"`)
	}
	if err != nil {
		return nil, err
	}
	defer func() { _ = dev.Close() }() // only read from
	reg, err := dev.Attach(ctx, "", unio.ReadOnly)
	if err != nil {
		return nil, err
	}
	if reg.Size() > maxCatalogue {
		return nil, fmt.Errorf("%s: a catalogue of %d bytes is not to be believed", p.Addr, reg.Size())
	}
	ch, err := dev.NewChannel(unio.ChannelConfig{})
	if err != nil {
		return nil, err
	}
	text := make([]byte, reg.Size())
	if err := ch.Do(ctx, unio.Request{Op: unio.OpRead, Region: reg, Data: text}); err != nil {
		return nil, err
	}
	c := new(target.Catalogue)
	if err := json.Unmarshal(text, c); err != nil {
		return nil, fmt.Errorf("%s: the catalogue cannot be read: %w", p.Addr, err)
	}
	return c, nil
}

// only leaves one region of the catalogue.
func only(c *target.Catalogue, p rdma.Place) error {
	for i := range c.Regions {
		if c.Regions[i].Name == p.Region {
			c.Regions = c.Regions[i : i+1]
			return nil
		}
	}
	return hinted(fmt.Errorf("%s has no region %q that this client may attach", p.Addr, p.Region), `"unio ls rdma://%s" lists those it may`, p.Addr)
}
