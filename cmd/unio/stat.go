package main

import (
	"context"
	"fmt"
	"io"
	"net/url"
	"time"

	"github.com/spf13/cobra"
	"github.com/unio-stack/unio/internal/bytesize"
	"github.com/unio-stack/unio/internal/console"
	"github.com/unio-stack/unio/target"
)

const statLong = `stat says how a target is doing, and what each region that this client may attach
has done since it is served: connections, operations that have ended, errors, bytes,
flushes that were asked for and that the device was then asked for, and I/O memory,
with what connections have reserved of it (inflight=16MiB in a URL).

Regions that are plain memory (mem:) are read and written without the target's
doing: what is done to them is not counted.`

const statExample = `  unio stat rdma://host
  unio stat rdma://host/disk --json`

func newStat(sh *shell) *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use: "stat URL", Short: "Say what a target and its regions have done", Long: statLong, Example: statExample,
		Args: exactArgs("URL"), ValidArgsFunction: completePeers,
		RunE: func(cmd *cobra.Command, args []string) error { return runStat(cmd.Context(), sh, args[0], asJSON) },
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print one JSON object")
	return cmd
}

func runStat(ctx context.Context, sh *shell, raw string, asJSON bool) error {
	p, err := parseTarget(raw)
	if err != nil {
		return err
	}
	c, err := readCatalogue(ctx, p)
	if err == nil && p.Region != "" {
		err = only(c, p)
	}
	switch {
	case err != nil:
		return err
	case asJSON:
		return printJSON(sh.out, c)
	}
	if p.Region == "" {
		printTarget(sh.out, sh.outStyle, p.Addr, c)
	}
	for i := range c.Regions {
		printRegionStats(sh.out, sh.outStyle, p.Addr, &c.Regions[i])
	}
	return nil
}

func printTarget(w io.Writer, st console.Style, addr string, c *target.Catalogue) {
	fmt.Fprintln(w, st.Bold("rdma://"+addr))
	line := statLine(w)
	line("up", "%v", time.Duration(c.Uptime*1e9).Round(time.Second))
	line("connections", "%d now; %d since the start, and %d not let in; %d failed handshakes", c.Connections, c.Admitted, c.Rejected, c.Failed)
	line("memory", "%s taken of %s at most; %s reserved", bytesize.Format(c.MemoryTaken), bytesize.Format(c.Memory), bytesize.Format(c.MemoryReserved))
}

// statLine prints a name and what there is to say.
func statLine(w io.Writer) func(name, format string, args ...any) {
	return func(name, format string, args ...any) {
		fmt.Fprintf(w, "  %-12s %s\n", name, fmt.Sprintf(format, args...))
	}
}

func printRegionStats(w io.Writer, st console.Style, addr string, r *target.CatalogueRegion) {
	fmt.Fprintf(w, "%s: %s, %s\n", st.Bold(regionURL(addr, r.Name)), bytesize.Format(r.Size), rightsOf(r.ReadOnly))
	line, s := statLine(w), &r.Stats
	count := func(n int64) string { return console.Count(float64(n)) }
	line("connections", "%d now; %d random, %d sequential", s.Connections, s.Random, s.Sequential)
	if r.Mapped {
		line("operations", "plain memory: reads and writes are not counted; %s others", count(s.Operations))
	} else {
		line("operations", "%s; %d with the device, %d waiting", count(s.Operations), s.InFlight, s.Queued)
		line("bytes", "%s read, %s written", bytesize.Format(s.BytesRead), bytesize.Format(s.BytesWritten))
	}
	errors := count(s.Failed)
	if s.Failed > 0 {
		errors = st.Red(errors)
	}
	line("errors", "%s", errors)
	line("flushes", "%s asked for, %s done by the device", count(s.FlushesAsked), count(s.FlushesDone))
	line("memory", "%s in use, %s held, %s at most; %s reserved; waited for %s times",
		bytesize.Format(s.MemoryInUse), bytesize.Format(s.MemoryHeld), bytesize.Format(s.MemoryMost), bytesize.Format(s.MemoryReserved), count(s.MemoryWaits))
}

// regionURL returns the URL of a region.
func regionURL(addr, name string) string {
	u := url.URL{Scheme: "rdma", Host: addr, Path: "/" + name}
	return u.String()
}
