package faults

import (
	"context"
	"fmt"
	"time"

	"github.com/unio-stack/unio"
)

// Layer is what the errors of this package name as their origin.
const Layer unio.Layer = "faults"

// Wrap returns a device that does what dev does except where a rule says
// otherwise. dev belongs to it from then on: closing it closes dev. The seed
// decides what rules leave to chance. The error is a *SyntaxError, or says that
// a rule is one for package crash.
func Wrap(dev *unio.Device, rules string, seed uint64) (*unio.Device, error) {
	parsed, err := Parse(rules)
	if err != nil {
		return nil, err
	}
	for _, r := range parsed {
		if r.AtPowerCut() {
			return nil, fmt.Errorf("rule %q: %w: it takes effect at a power cut, which crash.Wrap simulates", r, unio.ErrInvalid)
		}
	}
	return unio.NewDevice(&provider{inner: dev, injector: NewInjector(parsed, seed)}), nil
}

// A provider passes requests on to the inner device.
type provider struct {
	inner    *unio.Device
	injector *Injector
}

// Info returns that of the inner device: what the core provides there, it
// provides here.
func (p *provider) Info() unio.Info {
	i := p.inner.Info()
	i.Provider = "faults+" + i.Provider
	return i
}

func (p *provider) Attach(ctx context.Context, name string, _ unio.Rights) (unio.Handle, error) {
	rights := unio.ReadWrite // others may attach it for more than the first did
	if p.inner.Info().ReadOnly {
		rights = unio.ReadOnly
	}
	reg, err := p.inner.Attach(ctx, name, rights)
	if err != nil {
		return nil, err
	}
	return &handle{reg}, nil
}

func (p *provider) NewQueue(cfg unio.QueueConfig) (unio.Queue, error) {
	ch, err := p.inner.NewChannel(unio.ChannelConfig{Depth: cfg.Depth, Pinned: cfg.Pinned})
	if err != nil {
		return nil, err
	}
	q := &queue{
		inner: ch, injector: p.injector,
		ops:   make([]passage, cfg.Depth),
		batch: make([]unio.Request, 0, cfg.Depth),
		held:  make([]*passage, 0, cfg.Depth),
	}
	q.alarm = time.AfterFunc(time.Hour, ch.Wake)
	q.alarm.Stop()
	return q, nil
}

func (p *provider) Close() error { return p.inner.Close() }

// A handle is a region of the inner device.
type handle struct{ reg *unio.Region }

func (h *handle) Size() int64  { return h.reg.Size() }
func (h *handle) Close() error { return h.reg.Close() }

// Resize implements unio.Resizer.
func (h *handle) Resize(ctx context.Context, size int64) error { return h.reg.Resize(ctx, size) }
