package main

import (
	"context"
	"fmt"
	"os"
	"strconv"

	"github.com/unio-stack/unio"
	"github.com/unio-stack/unio/internal/bytesize"
	"github.com/unio-stack/unio/internal/location"
	"github.com/unio-stack/unio/internal/workload"
	"github.com/unio-stack/unio/provider"
	"github.com/unio-stack/unio/provider/rdma"
)

// A benchTarget is an open device that is measured.
type benchTarget struct {
	raw  string // as given
	plan benchPlan
	dev  *unio.Device
	reg  *unio.Region // nil where none is needed
}

// openBench opens the device, and its region if the run is about one.
func openBench(ctx context.Context, raw string, cfg workload.Config, f benchFlags) (*benchTarget, error) {
	t := &benchTarget{raw: raw}
	if cfg.Access.Messages() {
		return t, t.openPeer(ctx, cfg.Access)
	}
	var err error
	if t.plan, err = planBench(raw, cfg, f.force); err != nil {
		return nil, err
	}
	if t.dev, err = provider.Open(ctx, t.plan.url); err != nil {
		return nil, err
	}
	if f.dials > 0 {
		return t, nil
	}
	if err := t.attach(ctx, cfg.Span, f.idle > 0); err != nil {
		t.close()
		return nil, err
	}
	return t, nil
}

// attach opens the region, of which span bytes are needed. One that is
// optional need not be there.
func (t *benchTarget) attach(ctx context.Context, span int64, optional bool) error {
	rights := unio.ReadOnly
	if t.plan.writes {
		rights = unio.ReadWrite
	}
	reg, err := t.dev.Attach(ctx, "", rights)
	switch {
	case err != nil && optional:
		return nil
	case err != nil:
		return err
	case reg.Size() < span:
		advice := "use a smaller --size; a file can be extended with truncate --size, or removed so that bench makes it anew"
		if t.plan.remote {
			advice = `use a smaller --size; "unio peer" has a --size as well`
		}
		return hinted(fmt.Errorf("%s has %s, not %s", t.raw, bytesize.Format(reg.Size()), bytesize.Format(span)), "%s", advice)
	}
	t.reg = reg
	return nil
}

// openPeer opens a device for messages, and tells the peer what is to become
// of them.
func (t *benchTarget) openPeer(ctx context.Context, a workload.Access) error {
	addr, cfg, err := parsePeer(t.raw)
	if err != nil {
		return err
	}
	if a.Kind == workload.Send {
		cfg.PrivateData = []byte(sinkGreeting)
	}
	t.dev, err = rdma.Open(ctx, addr, cfg)
	return err
}

func (t *benchTarget) close() { _ = t.dev.Close() } // what counts was flushed and read back

// remoteBatch is how many requests go to a peer at a time, if nothing else is
// said: each doorbell is a packet, while a disk is to be kept busy with few.
const remoteBatch = 32

// run measures.
func (t *benchTarget) run(ctx context.Context, cfg workload.Config, f benchFlags, mon *workload.Monitor) (*workload.Result, error) {
	if cfg.Batch == 0 && (t.plan.remote || cfg.Access.Messages()) {
		cfg.Batch = remoteBatch
	}
	switch {
	case f.dials > 0:
		return t.dial(ctx, cfg, f, mon)
	case cfg.Access.Messages():
		return workload.Exchange(ctx, t.dev, cfg, mon)
	}
	cfg.Prefill = t.plan.created
	return workload.Run(ctx, t.reg, cfg, mon)
}

// A benchPlan is how to open the device.
type benchPlan struct {
	url     string
	writes  bool // the device is written to, if only to fill it
	created bool // what is there was never written
	made    bool // a file is left behind
	remote  bool // it is a peer's
}

// planBench looks at what the URL names. It opens for reading only where
// nothing is to be written.
func planBench(raw string, cfg workload.Config, force bool) (benchPlan, error) {
	l, err := location.Locate(raw)
	if err != nil {
		return benchPlan{}, err
	}
	p := benchPlan{writes: cfg.Access.Writes(), remote: l.Remote()}
	options := map[string]string{}
	size := strconv.FormatInt(cfg.Span, 10)
	switch {
	case p.remote:
	case l.Kind == location.Virtual:
		p.created, p.writes = true, true
		if cfg.Span > 0 {
			options["size"] = size
		} else if !l.Has("size") {
			return p, hinted(usage("%s: how much memory?", raw), "give --size 1GiB, or mem:?size=1GiB")
		}
	case l.Kind == location.Missing:
		if cfg.Span == 0 && !l.Has("create") {
			return p, hinted(fmt.Errorf("%s: %w", raw, os.ErrNotExist), "with --size 1GiB, bench makes the file and leaves it there")
		}
		p.created, p.writes, p.made = true, true, true
		options["create"] = "1"
		if cfg.Span > 0 {
			options["size"] = size
		}
	case l.Kind == location.Block:
		if p.writes && !force {
			if err := checkUnused(l.Path); err != nil {
				return p, err
			}
		}
	case l.Kind == location.Directory, l.Kind == location.Other:
		return p, hinted(usage("%s is neither a file nor a block device", raw), "for a file in a directory, name it: %s/bench.img --size 1GiB", l.Path)
	}
	if !p.writes && l.Kind != location.Virtual && !l.Has("size") && !l.Has("create") {
		options["readonly"] = "1"
	}
	p.url = l.With(options)
	return p, nil
}
