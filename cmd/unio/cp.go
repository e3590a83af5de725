package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"
	"github.com/unio-stack/unio/internal/bytesize"
	"github.com/unio-stack/unio/internal/console"
	"github.com/unio-stack/unio/internal/transfer"
)

const copyLong = `cp copies a file, a device or standard input to a file, a device or standard
output. SRC and DST are paths, device URLs, or - for standard input or output.

What DST held is overwritten, from its beginning. A file is made if there is
none, with the length of the source; a device must be large enough, and what
lies behind the copy stays.

When all is written and flushed, DST is read back and compared with checksums
taken from what was read of SRC (--verify=false leaves that out; standard output
cannot be read back).

A copy that was interrupted goes on where it was when the same command is given
again: what is durable on DST is noted every two seconds in a small file beside
it, .NAME.unio-cp, which goes away at the end. If SRC or DST changed meanwhile
the copy begins anew. For a DST that is a device, name the file for the notes
with --state. Standard input and output cannot be resumed. A source without a
time of change (a device) is read again from its beginning, and only what
differs from the notes is written again.

Exit status: 3 if DST does not hold what was written.`

const copyExample = `  unio cp disk.img backup.img
  unio cp /dev/sdb disk.img --sparse
  unio cp disk.img /dev/sdb --state sdb.state
  zstd -dc disk.img.zst | unio cp - /dev/sdb
  unio cp disk.img - | ssh host unio cp - /dev/sdb
  unio cp dax:///mnt/pmem/heap "file:heap.img?engine=posix"`

// copyFlags are the command line of cp.
type copyFlags struct {
	chunk   int64
	depth   int
	size    int64
	verify  bool
	sparse  bool
	restart bool
	force   bool
	state   string
	json    bool
	quiet   bool
}

func newCopy(sh *shell) *cobra.Command {
	var f copyFlags
	cmd := &cobra.Command{
		Use: "cp SRC DST", Short: "Copy files and devices, resumable and verified",
		Long: copyLong, Example: copyExample,
		Args: exactArgs("SRC", "DST"), ValidArgsFunction: completeDevices(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			return runCopy(cmd.Context(), sh, args[0], args[1], f)
		},
	}
	fs := cmd.Flags()
	fs.SortFlags = false
	fs.BoolVar(&f.verify, "verify", true, "read the destination back and compare")
	fs.BoolVar(&f.sparse, "sparse", false, "do not write zeroes: leave or make holes")
	sizeVar(fs, &f.size, "size", 0, "copy only so much from the beginning of SRC")
	sizeVar(fs, &f.chunk, "bs", 1<<20, "`size` of each request, a multiple of 4k")
	fs.IntVar(&f.depth, "depth", 16, "requests in flight, each with memory of --bs")
	fs.BoolVar(&f.restart, "restart", false, "begin anew even if the copy could be resumed")
	fs.StringVar(&f.state, "state", "", "keep the notes for resuming in this `file`")
	fs.BoolVar(&f.force, "force", false, "overwrite also a block device in use")
	fs.BoolVarP(&f.quiet, "quiet", "q", false, "print nothing but errors")
	fs.BoolVar(&f.json, "json", false, "print one JSON object (to standard error if DST is -)")
	return cmd
}

func runCopy(ctx context.Context, sh *shell, from, to string, f copyFlags) error {
	if f.chunk <= 0 || f.chunk > 1<<30 || f.chunk%pageSize != 0 || f.depth < 1 || f.depth > 1024 {
		return usage("--bs is 4k to 1G, a multiple of 4k, and --depth 1 to 1024")
	}
	src, err := openSource(ctx, sh, from, f.size)
	if err != nil {
		return err
	}
	defer src.close()
	dst, err := openDestination(ctx, sh, to, src, f)
	if err != nil {
		return err
	}
	defer dst.close()
	cfg := transfer.Config{
		Chunk: int(f.chunk), Depth: f.depth, Verify: f.verify, Sparse: f.sparse,
		State: dst.state, Reread: src.id.ModTime == 0,
	}
	mon := new(transfer.Monitor)
	line := sh.copyLine(mon, f.quiet || f.json)
	res, err := transfer.Copy(ctx, src.Source, dst.Target, cfg, mon)
	line.Stop()
	if err != nil {
		return dst.failed(err, mon.Progress())
	}
	if err := dst.finish(src, res.Bytes); err != nil {
		return err
	}
	return reportCopy(sh, to, f, res)
}

// copyLine shows how a copy is going.
func (s *shell) copyLine(mon *transfer.Monitor, quiet bool) *console.Live {
	if quiet {
		return nil
	}
	return s.live(func(width int) string { return copyStatus(mon.Progress(), width) })
}

// copyStatus is a line about a copy.
func copyStatus(p transfer.Progress, width int) string {
	done, rate := bytesize.Format(p.Done), bytesize.Format(int64(p.BytesPerSecond))
	if p.Size <= 0 {
		return fmt.Sprintf("%-6s %s  %s/s", p.Phase, done, rate)
	}
	fraction := float64(p.Done) / float64(p.Size)
	return fmt.Sprintf("%-6s %s %3.0f%%  %s of %s  %s/s  %s left", p.Phase, console.Bar(fraction, min(max(width/5, 4), 30)),
		100*fraction, done, bytesize.Format(p.Size), rate, console.Clock(p.Left))
}

// failed says how to go on after a copy that did not end.
func (d *destination) failed(err error, p transfer.Progress) error {
	var m *transfer.MismatchError
	switch {
	case errors.As(err, &m):
		d.discardState()
		for _, at := range m.Offsets {
			err = fmt.Errorf("%w\n  chunk at offset %d differs", err, at)
		}
		return hinted(err, "the device loses or changes what is written; its log (dmesg, smartctl) may say more")
	case d.state == nil:
		return err
	case errors.Is(err, context.Canceled):
		return &exitError{
			status: exitInterrupted, err: fmt.Errorf("interrupted after %s", bytesize.Format(p.Done)),
			hint: "the same command goes on from there",
		}
	}
	const again = "when that is mended, the same command goes on where it stopped"
	if h := hint(err); h != "" {
		return hinted(err, "%s; %s", h, again)
	}
	return hinted(err, again)
}

// reportCopy says what was done.
func reportCopy(sh *shell, to string, f copyFlags, r *transfer.Result) error {
	w := sh.out
	if to == "-" {
		w = sh.err
	}
	switch {
	case f.json:
		return printJSON(w, r)
	case f.quiet:
		return nil
	}
	s := fmt.Sprintf("%s copied", bytesize.Format(r.Bytes))
	if r.Seconds > 0 {
		s += fmt.Sprintf(" in %v, %s/s", time.Duration(r.Seconds*1e9).Round(time.Millisecond), bytesize.Format(int64(float64(r.Copied+r.Zeroes)/r.Seconds)))
	}
	if r.Resumed > 0 {
		s += fmt.Sprintf("; %s were there already", bytesize.Format(r.Resumed))
	}
	if r.Zeroes > 0 {
		s += fmt.Sprintf("; %s of zeroes left out", bytesize.Format(r.Zeroes))
	}
	if r.Verified {
		s += "; verified"
	}
	_, err := fmt.Fprintln(w, s)
	return err
}
