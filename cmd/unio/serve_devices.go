package main

import (
	"cmp"
	"context"
	"fmt"

	"github.com/unio-stack/unio"
	"github.com/unio-stack/unio/internal/location"
	"github.com/unio-stack/unio/internal/serveconfig"
	"github.com/unio-stack/unio/provider"
	"github.com/unio-stack/unio/target"
)

// exportDevices are the open devices of exports, by where they were opened. Exports of one URL share the device, which keeps
// their writes apart; only memory is each export's own. The zero value has none. It has one owner.
type exportDevices struct {
	served map[string]*unio.Device // by place, with " read-only" behind it if opened so for exports that are only read
	fresh  map[string]*unio.Device // likewise; opened for exports that are not served yet
	wanted map[string]bool         // likewise; by those exports
}

// A shared is a device that exports share.
type shared struct {
	location.Location
	readOnly bool // for all of them
	by       string
}

// open returns what the target is to serve, with devices opened where none is open yet. Then call settle or retract. If it
// fails, nothing has changed.
func (d *exportDevices) open(ctx context.Context, cfg *serveconfig.Config) ([]target.Export, error) {
	places, err := locate(cfg)
	if err != nil {
		return nil, err
	}
	d.fresh, d.wanted = map[string]*unio.Device{}, map[string]bool{}
	var exports []target.Export
	for i := range cfg.Exports {
		x := &cfg.Exports[i]
		dev, err := d.device(ctx, x, places[placeOf(x)])
		if err != nil {
			_ = d.retract() // nothing was written
			return nil, fmt.Errorf("%s: export %s: %w", cfg.Where(x), x.Name, err)
		}
		exports = append(exports, target.Export{
			Name: x.Name, URL: x.URL, Device: dev, ReadOnly: x.ReadOnly || dev.Info().ReadOnly, Clients: x.Clients,
		})
	}
	return exports, nil
}

// placeOf tells the places of exports apart: a URL, but memory is nowhere else.
func placeOf(x *serveconfig.Export) string {
	if u, err := provider.Parse(x.URL); err == nil && u.Scheme == "mem" {
		return x.Name + " " + x.URL
	}
	return x.URL
}

// locate finds out what exports refer to, and refuses one file by two URLs.
func locate(cfg *serveconfig.Config) (map[string]*shared, error) {
	places := map[string]*shared{}
	for i := range cfg.Exports {
		x := &cfg.Exports[i]
		if s := places[placeOf(x)]; s != nil {
			s.readOnly = s.readOnly && x.ReadOnly
			continue
		}
		l, err := location.Locate(x.URL)
		if err != nil {
			return nil, fmt.Errorf("%s: export %s: %w", cfg.Where(x), x.Name, err)
		}
		for _, o := range places {
			if location.Same(l, o.Location) {
				return nil, fmt.Errorf("%s: export %s: %w: it is the file of export %s by another URL: use the same for both",
					cfg.Where(x), x.Name, unio.ErrInvalid, o.by)
			}
		}
		places[placeOf(x)] = &shared{l, x.ReadOnly, x.Name}
	}
	return places, nil
}

// device returns the device of an export. One that can be written to will do
// for an export that is only read, so that clients of one that becomes so stay.
func (d *exportDevices) device(ctx context.Context, x *serveconfig.Export, s *shared) (*unio.Device, error) {
	place, options := placeOf(x), map[string]string{}
	if s.readOnly && s.Kind != location.Virtual && !s.Has("size") && !s.Has("create") {
		options["readonly"] = "1"
	}
	for _, key := range []string{place, place + " read-only"} {
		if dev := cmp.Or(d.served[key], d.fresh[key]); dev != nil && (s.readOnly || key == place) {
			d.wanted[key] = true
			return dev, nil
		}
	}
	dev, err := provider.Open(ctx, s.With(options))
	if err != nil {
		return nil, err
	}
	if len(options) > 0 {
		place += " read-only"
	}
	d.fresh[place], d.wanted[place] = dev, true
	return dev, nil
}

// settle closes the devices that are no longer wanted: what open has returned is served.
func (d *exportDevices) settle() (err error) {
	next := d.fresh
	for key, dev := range d.served {
		if d.wanted[key] {
			next[key] = dev
		} else {
			err = cmp.Or(err, dev.Close())
		}
	}
	d.served, d.fresh, d.wanted = next, nil, nil
	return err
}

// retract closes what was opened since settle: it is not to be served.
func (d *exportDevices) retract() (err error) {
	for _, dev := range d.fresh {
		err = cmp.Or(err, dev.Close())
	}
	d.fresh, d.wanted = nil, nil
	return err
}

// close closes all.
func (d *exportDevices) close() error {
	err := d.retract()
	for _, dev := range d.served {
		err = cmp.Or(err, dev.Close())
	}
	d.served = nil
	return err
}
