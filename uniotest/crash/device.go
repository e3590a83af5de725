package crash

import (
	"context"
	"fmt"
	"math/rand/v2"

	"github.com/unio-stack/unio"
	"github.com/unio-stack/unio/uniotest/faults"
)

// A Config configures a crash device. The zero value works.
type Config struct {
	// AtomicUnit bytes, aligned, are never torn: a power of two. Default that
	// of the inner device if it is larger than 1, or 512.
	AtomicUnit int
	// Rules, in the language of package faults, are those that take effect at
	// a power cut: "flush lost", "write unflushed lost", "write torn 512".
	Rules string
	// Seed decides what Rules leave to chance.
	Seed uint64
	// OnPoint is called after each mutation and flush, before its completion
	// is delivered, one at a time. It may call Image, and must not call the
	// device otherwise.
	OnPoint func(Point)
}

// A Point is a moment at which the power may be cut: just after a mutation or
// a flush has ended.
type Point struct {
	Number int // of the point, from 0
	Op     unio.Opcode
	Region string
	Offset int64
	Length int64 // in bytes
	Err    error // how it ended
}

// A Device is a device whose power can be cut.
type Device struct {
	*unio.Device
	c *controller
}

// Wrap returns a device over inner, which belongs to it from then on: closing
// the one closes the other. What inner holds counts as durable. The error says
// what is wrong with the configuration, or comes from opening a channel of
// inner.
func Wrap(inner *unio.Device, cfg Config) (*Device, error) {
	if cfg.AtomicUnit == 0 {
		if cfg.AtomicUnit = inner.Info().AtomicUnit; cfg.AtomicUnit == 1 {
			cfg.AtomicUnit = 512
		}
	}
	if cfg.AtomicUnit < 1 || cfg.AtomicUnit&(cfg.AtomicUnit-1) != 0 {
		return nil, fmt.Errorf("crash: atomic unit of %d bytes: %w: it must be a power of two", cfg.AtomicUnit, unio.ErrInvalid)
	}
	rules, err := powerCutRules(cfg.Rules)
	if err != nil {
		return nil, err
	}
	c, err := newController(inner, cfg, rules)
	if err != nil {
		return nil, err
	}
	return &Device{unio.NewDevice(&provider{c}), c}, nil
}

// powerCutRules reads rules and refuses those that have nothing to do with a
// power cut.
func powerCutRules(text string) (faults.Rules, error) {
	rules, err := faults.Parse(text)
	if err != nil {
		return nil, err
	}
	for _, r := range rules {
		if !r.AtPowerCut() && !(r.Action == faults.Lost && r.Op == unio.OpFlush) {
			return nil, fmt.Errorf("rule %q: %w: it takes effect at once, which is for faults.Wrap", r, unio.ErrInvalid)
		}
	}
	return rules, nil
}

// Image returns what a power cut now might leave of an attached region; rng
// decides what. It may be called from any goroutine, at any time until Close.
func (d *Device) Image(region string, rng *rand.Rand) ([]byte, error) {
	d.c.mu.Lock()
	defer d.c.mu.Unlock()
	rg := d.c.regions[region]
	if rg == nil {
		return nil, fmt.Errorf("crash: image of region %q: %w: it is not attached", region, unio.ErrInvalid)
	}
	return rg.image(rng), nil
}

// A provider is the outer face of a controller.
type provider struct{ c *controller }

// Info is that of the inner device but for the atomic unit, and for operations
// on several ranges or none given, of which it would not know what they touch.
func (p *provider) Info() unio.Info {
	i := p.c.inner.Info()
	i.Provider = "crash+" + i.Provider
	i.AtomicUnit = p.c.cfg.AtomicUnit
	i.Persistence = unio.Power
	i.Native &^= unio.WholeOps
	return i
}

func (p *provider) Attach(ctx context.Context, name string, _ unio.Rights) (unio.Handle, error) {
	rights := unio.ReadWrite // others may attach it for more than the first did
	if p.c.inner.Info().ReadOnly {
		rights = unio.ReadOnly
	}
	reg, err := p.c.inner.Attach(ctx, name, rights)
	if err != nil {
		return nil, err
	}
	rg, err := newRegion(ctx, reg, p.c.cfg.AtomicUnit)
	if err != nil {
		_ = reg.Close()
		return nil, err
	}
	p.c.add(name, rg)
	return &handle{p.c, name, rg}, nil
}

func (p *provider) NewQueue(unio.QueueConfig) (unio.Queue, error) { return newQueue(p.c), nil }

func (p *provider) Close() error { return p.c.close() }

// A handle is an attached region.
type handle struct {
	c    *controller
	name string
	rg   *region
}

func (h *handle) Size() int64 { return h.rg.inner.Size() }

func (h *handle) Close() error {
	h.c.remove(h.name)
	return h.rg.inner.Close()
}
