package main

import (
	"context"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"
	"github.com/unio-stack/unio"
	"github.com/unio-stack/unio/internal/bytesize"
	"github.com/unio-stack/unio/internal/console"
	"github.com/unio-stack/unio/target"
)

const listLong = `ls lists the regions of a target that this client may attach: size, rights, how
many bytes a crash never tears, what survives (volatile: nothing; host: the end of
the process; power-fail: everything that was flushed), and the operations.

With TLS it depends on the client's certificate what it may attach.`

const listExample = `  unio ls rdma://host
  unio ls "rdma://host?tls-ca=ca.pem&tls-cert=me.pem&tls-key=me.key" --json`

func newList(sh *shell) *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use: "ls URL", Short: "List the regions of a target", Long: listLong, Example: listExample,
		Args: exactArgs("URL"), ValidArgsFunction: completePeers,
		RunE: func(cmd *cobra.Command, args []string) error { return runList(cmd.Context(), sh, args[0], asJSON) },
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print one JSON object")
	return cmd
}

// listedRegion is a region of ls --json.
type listedRegion struct {
	URL        string   `json:"url"`
	Name       string   `json:"name"`
	Size       int64    `json:"size"` // bytes
	ReadOnly   bool     `json:"read_only"`
	AtomicUnit int      `json:"atomic_unit"` // bytes
	Survives   string   `json:"survives"`
	Operations []string `json:"operations"`
}

func runList(ctx context.Context, sh *shell, raw string, asJSON bool) error {
	p, err := parseTarget(raw)
	if err != nil {
		return err
	}
	c, err := readCatalogue(ctx, p)
	if err == nil && p.Region != "" {
		err = only(c, p)
	}
	if err != nil {
		return err
	}
	if asJSON {
		regions := []listedRegion{}
		for _, r := range c.Regions {
			regions = append(regions, listedRegion{regionURL(p.Addr, r.Name), r.Name, r.Size, r.ReadOnly, r.AtomicUnit, r.Survives, r.Operations})
		}
		return printJSON(sh.out, struct {
			Regions []listedRegion `json:"regions"`
		}{regions})
	}
	return printRegions(sh.out, sh.outStyle, c.Regions)
}

func printRegions(w io.Writer, st console.Style, regions []target.CatalogueRegion) error {
	if len(regions) == 0 {
		_, err := fmt.Fprintln(w, st.Dim("no regions that this client may attach"))
		return err
	}
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "NAME\tSIZE\tACCESS\tNEVER TORN\tSURVIVES\tOPERATIONS")
	for _, r := range regions {
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%s\n", r.Name, bytesize.Format(r.Size), rightsOf(r.ReadOnly),
			bytesize.Format(int64(r.AtomicUnit)), r.Survives, strings.Join(r.Operations, ","))
	}
	return t.Flush()
}

func rightsOf(readOnly bool) unio.Rights {
	if readOnly {
		return unio.ReadOnly
	}
	return unio.ReadWrite
}
