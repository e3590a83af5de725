package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"
	"github.com/unio-stack/unio"
	"github.com/unio-stack/unio/internal/bytesize"
	"github.com/unio-stack/unio/internal/console"
	"github.com/unio-stack/unio/internal/inventory"
	"github.com/unio-stack/unio/internal/location"
	"github.com/unio-stack/unio/provider"
)

const devicesLong = `devices lists what is here: block devices, the file systems where files can be
made, and memory; and for each file system the engine that a file on it gets,
and why. To find that out, a hidden file is made on it for a moment.

With DEVICEs it opens them, writes nothing, and tells about each: engine and
why, operations that are native and that are provided (composed of others,
slower, with the same promises), block size and alignment, limits, and what
survives a crash.`

func newDevices(sh *shell) *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use: "devices [DEVICE...]", Short: "List what is here, with engines, capabilities and limits",
		Long: devicesLong + "\n\n" + schemeHelp(provider.Schemes()),
		Example: `  unio devices
  unio devices /dev/nvme0n1 mem:?size=1M
  unio devices --json | jq '.file_systems[].trial.info.engine'`,
		ValidArgsFunction: completeDevices(1 << 10),
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 {
				return showDevices(cmd.Context(), sh, args, asJSON)
			}
			return listDevices(cmd.Context(), sh, asJSON)
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print one JSON object")
	return cmd
}

// schemeHelp describes the URLs and their options.
func schemeHelp(all []provider.Scheme) string {
	var b strings.Builder
	b.WriteString("Options follow the URL, as in file:disk.img?size=1GiB&create=1 (quote the & for the\nshell):\n")
	for _, s := range all {
		fmt.Fprintf(&b, "\n  %s:  %s\n", s.Name, s.Help)
		for _, o := range s.Options {
			fmt.Fprintf(&b, "    %-10s %-22s %s\n", o.Name, o.Value, o.Help)
		}
	}
	return strings.TrimRight(b.String(), "\n")
}

// A deviceReport is a device that was asked for. Size is in bytes.
type deviceReport struct {
	URL  string `json:"url"`
	Size int64  `json:"size"`
	unio.Info
}

func showDevices(ctx context.Context, sh *shell, args []string, asJSON bool) error {
	var all []deviceReport
	for _, raw := range args {
		r, err := lookAt(ctx, raw)
		if err != nil {
			return err
		}
		all = append(all, r)
	}
	if asJSON {
		return printJSON(sh.out, struct {
			Devices []deviceReport `json:"devices"`
		}{all})
	}
	for i, r := range all {
		if i > 0 {
			fmt.Fprintln(sh.out)
		}
		printDevice(sh.out, sh.outStyle, &r)
	}
	return nil
}

// lookAt opens a device, for reading only where no more is allowed, to ask what
// it is.
func lookAt(ctx context.Context, raw string) (deviceReport, error) {
	l, err := location.Locate(raw)
	if err != nil {
		return deviceReport{}, err
	}
	dev, err := provider.Open(ctx, l.With(nil))
	if err != nil && l.Kind != location.Virtual && l.Kind != location.Missing && !l.Has("readonly") {
		dev, err = provider.Open(ctx, l.With(map[string]string{"readonly": "1"}))
	}
	if err != nil {
		return deviceReport{}, err
	}
	defer func() { _ = dev.Close() }() // nothing was written
	reg, err := dev.Attach(ctx, "", unio.ReadOnly)
	switch {
	case err != nil && l.Remote():
		return deviceReport{raw, 0, dev.Info()}, nil // a peer need not have any memory to offer
	case err != nil:
		return deviceReport{}, err
	}
	return deviceReport{raw, reg.Size(), dev.Info()}, nil
}

func printDevice(w io.Writer, st console.Style, r *deviceReport) {
	line := func(name, format string, args ...any) {
		fmt.Fprintf(w, "  %-12s %s\n", name, fmt.Sprintf(format, args...))
	}
	fmt.Fprintln(w, st.Bold(r.URL))
	line("size", "%s (%d bytes)", bytesize.Format(r.Size), r.Size)
	line("engine", "%s: %s", r.Engine, r.Reason)
	line("native", "%s", r.Native)
	line("provided", "%s", orNone(r.Provided.String()))
	line("durable", "without a separate flush: %s", orNone(r.NativeDurable.String()))
	line("survives", "%s", r.Persistence)
	line("block", "%d bytes; memory aligned to %d; zeroes by %d; never torn: %d", r.BlockSize, r.MemoryAlign, r.ZeroUnit, r.AtomicUnit)
	line("limits", "depth %d; %s at once", r.MaxDepth, bytesize.Format(r.MaxTransfer))
	if r.ReadOnly {
		line("access", "read-only")
	}
	for _, n := range r.Notes {
		line("note", "%s", n)
	}
}

func orNone(s string) string {
	if s == "" {
		return "none"
	}
	return s
}

func listDevices(ctx context.Context, sh *shell, asJSON bool) error {
	inv := inventory.Take(ctx, os.DirFS("/"))
	if len(inv.Mounts) == 0 { // a system without /proc
		inv = inventory.Take(ctx, os.DirFS("/"), ".", os.TempDir())
	}
	if asJSON {
		return printJSON(sh.out, struct {
			*inventory.Inventory
			Schemes []provider.Scheme `json:"schemes"`
		}{inv, provider.Schemes()})
	}
	printDisks(sh.out, sh.outStyle, inv.Disks)
	printMounts(sh.out, sh.outStyle, inv.Mounts)
	printMemory(sh.out, sh.outStyle, inv.Memory)
	return nil
}

func printDisks(w io.Writer, st console.Style, disks []inventory.Disk) {
	if len(disks) == 0 {
		return
	}
	fmt.Fprintln(w, st.Bold("Block devices"))
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, d := range disks {
		what := []string{fmt.Sprintf("blocks %d/%d", d.LogicalBlock, d.PhysicalBlock), d.WriteCache, "scheduler " + orNone(d.Scheduler)}
		for _, o := range []struct {
			on   bool
			name string
		}{{d.Rotational, "rotating"}, {d.Poll, "iopoll"}, {d.DAX, "dax"}, {d.Model != "", d.Model}} {
			if o.on {
				what = append(what, o.name)
			}
		}
		fmt.Fprintf(t, "  %s\t%s\t%s\t%s\n", d.Path, bytesize.Format(d.Size), d.Access, strings.Join(what, ", "))
	}
	_ = t.Flush() // as with every line, what cannot be printed is not
	fmt.Fprintln(w)
}

func printMounts(w io.Writer, st console.Style, mounts []inventory.Mount) {
	fmt.Fprintln(w, st.Bold("File systems, and what a file there gets"))
	for _, m := range mounts {
		name := m.Point
		if m.Type != "" {
			name += " (" + m.Type + ")"
		}
		if m.Trial == nil {
			fmt.Fprintf(w, "  %s: %s\n", name, st.Dim("none: "+m.Why))
			continue
		}
		i := m.Trial.Info
		mode := "buffered"
		if i.BlockSize > 1 {
			mode = fmt.Sprintf("direct, blocks of %d", i.BlockSize)
		}
		fmt.Fprintf(w, "  %s, %s free: %s, %s\n", name, bytesize.Format(m.Free), st.Green(i.Engine), mode)
		fmt.Fprintf(w, "      why: %s\n", i.Reason)
		for _, n := range i.Notes {
			fmt.Fprintf(w, "      note: %s\n", n)
		}
		if m.Trial.NoMap == "" {
			fmt.Fprintf(w, "      mapped (dax:): %s\n", m.Trial.Mapped)
		}
	}
	fmt.Fprintln(w)
}

func printMemory(w io.Writer, st console.Style, m inventory.Memory) {
	fmt.Fprintln(w, st.Bold("Memory"))
	if m.Total > 0 {
		fmt.Fprintf(w, "  mem: %s, %s available\n", bytesize.Format(m.Total), bytesize.Format(m.Available))
	}
	fmt.Fprintf(w, "  persistent memory is written back by %s\n", orNone(m.Persist))
}
