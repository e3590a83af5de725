package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"
	"github.com/unio-stack/unio"
	"github.com/unio-stack/unio/internal/console"
	"github.com/unio-stack/unio/internal/latency"
	"github.com/unio-stack/unio/provider"
	"github.com/unio-stack/unio/provider/rdma"
)

const pingLong = `ping connects to a peer, says what the two ends have agreed on, and measures how
long a message takes to it and back. Where the peer promises no echo, as "unio
peer" does, but has named memory, 8 bytes of that are read instead.

Each time is a whole round trip, from before the message is posted until it is
back. ping polls for 0.1 ms before it sleeps.

Exit status: 1 if the peer cannot be reached or is lost.`

const pingExample = `  unio ping rdma://host
  unio ping rdma://host:7471 -n 1000 --interval 0s --json
  unio ping "rdma://host?tls-ca=ca.pem&tls-cert=me.pem&tls-key=me.key" -n 0`

// pingFlags are the command line of ping.
type pingFlags struct {
	count    int
	size     int64
	interval time.Duration
	read     bool
	json     bool
}

func newPing(sh *shell) *cobra.Command {
	var f pingFlags
	cmd := &cobra.Command{
		Use: "ping URL", Short: "Say what a peer is, and measure round trips to it",
		Long: pingLong, Example: pingExample,
		Args: exactArgs("URL"), ValidArgsFunction: completePeers,
		RunE: func(cmd *cobra.Command, args []string) error { return runPing(cmd.Context(), sh, args[0], f) },
	}
	fs := cmd.Flags()
	fs.SortFlags = false
	fs.IntVarP(&f.count, "count", "n", 5, "round trips; 0 is until it is interrupted")
	sizeVar(fs, &f.size, "size", 64, "bytes of each message")
	fs.DurationVar(&f.interval, "interval", time.Second, "time between two of them")
	fs.BoolVar(&f.read, "read", false, "read 8 bytes of the peer's memory instead")
	fs.BoolVar(&f.json, "json", false, "print one JSON object")
	return cmd
}

// completePeers offers the scheme of peers.
func completePeers(_ *cobra.Command, args []string, _ string) ([]cobra.Completion, cobra.ShellCompDirective) {
	if len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	return []cobra.Completion{"rdma://"}, cobra.ShellCompDirectiveNoSpace | cobra.ShellCompDirectiveNoFileComp
}

// dialPeer connects to the peer of a URL. cfg adds to what the URL says.
func dialPeer(ctx context.Context, raw string, cfg rdma.Config) (*rdma.Conn, error) {
	addr, from, err := parsePeer(raw)
	if err != nil {
		return nil, err
	}
	from.Channel, from.PrivateData = cfg.Channel, cfg.PrivateData
	return rdma.Dial(ctx, addr, from)
}

func parsePeer(raw string) (addr string, cfg rdma.Config, err error) {
	u, err := provider.Parse(raw)
	if err != nil {
		return "", cfg, err
	}
	if u.Scheme != "rdma" {
		return "", cfg, hinted(usage("%s is no peer", raw), "peers have URLs as rdma://host or rdma://127.0.0.1:7471")
	}
	return rdma.ParseURL(u)
}

const (
	// pingSpin is how long ping polls for an answer.
	pingSpin = 100 * time.Microsecond
	// pingDepth is what ping needs far less of: so many reads at a time are
	// asked for, as programs do, to see what the peer says.
	pingDepth = 128
)

func runPing(ctx context.Context, sh *shell, raw string, f pingFlags) error {
	switch {
	case f.count < 0 || f.interval < 0:
		return usage("-n and --interval must not be negative")
	case f.size < 0 || f.size > 1<<30:
		return usage("--size is 0 bytes to 1 GiB")
	}
	conn, err := dialPeer(ctx, raw, rdma.Config{Channel: unio.ChannelConfig{Depth: pingDepth, Spin: pingSpin}})
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }() // nothing is on its way
	r := newPingReport(raw, conn)
	if !f.json {
		r.printPeer(sh.out)
	}
	probe, err := newProbe(ctx, conn, f, r)
	if err == nil {
		defer probe.close()
		err = r.measure(ctx, f, probe, func(took time.Duration) {
			if !f.json {
				fmt.Fprintf(sh.out, "%s %d: %s\n", r.Method, r.Sent, console.Nanos(float64(took)))
			}
		})
	}
	return r.finish(sh, f, err)
}

// measure makes the round trips.
func (r *pingReport) measure(ctx context.Context, f pingFlags, p *probe, each func(time.Duration)) error {
	var h latency.Histogram
	defer func() { r.Latency = h.Summary() }()
	for i := 0; f.count == 0 || i < f.count; i++ {
		if i > 0 && !pause(ctx, r.conn, f.interval) {
			return cause(ctx, r.conn)
		}
		r.Sent++
		took, err := p.roundTrip(ctx)
		if err != nil {
			return err
		}
		r.Back++
		h.Record(int64(took))
		each(took)
	}
	return nil
}

// pause lets time pass, and reports whether both ends still want to go on.
func pause(ctx context.Context, conn *rdma.Conn, d time.Duration) bool {
	select {
	case <-time.After(d):
	case <-ctx.Done():
	case <-conn.Done():
	}
	return ctx.Err() == nil && conn.Err() == nil
}

func cause(ctx context.Context, conn *rdma.Conn) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	return conn.Err()
}

// finish prints what there is, whatever the end was.
func (r *pingReport) finish(sh *shell, f pingFlags, err error) error {
	interrupted := errors.Is(err, context.Canceled)
	if err != nil && !interrupted {
		r.Error = err.Error()
	}
	if f.json {
		if err := printJSON(sh.out, r); err != nil {
			return err
		}
	} else if r.Sent > 0 {
		r.print(sh.out)
	}
	switch {
	case interrupted && f.count == 0:
		return nil // how else would it end
	case interrupted:
		return &exitError{status: exitInterrupted}
	case err != nil:
		return &exitError{status: exitFailed, err: err, hint: hint(err)}
	}
	return nil
}
