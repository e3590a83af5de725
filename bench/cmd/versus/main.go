// Command versus compares unio with what people use today on the same machine:
// fio, os.File, copy and UCX, and with a bare loop on sockets. It runs unio and each baseline in turn, several
// rounds, prints how they compare beside the bar for each, and writes all
// samples as JSON. Quote ratios, never single figures.
//
//	versus -unio ../bin/unio                 everything, more than half an hour
//	versus -unio ../bin/unio -quick          a few minutes
//	versus -unio ../bin/unio -rows disk,mem  some rows
//
// How CPU time is counted is said in package process. Contestants of the groups
// disk, warm and shm are pinned to one processor if taskset is there, servers
// of the group remote to another.
//
// A missed bar does not change the exit status, an error does.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"runtime"
	"strings"
	"syscall"
	"time"

	"github.com/unio-stack/unio/bench/internal/contest"
	"github.com/unio-stack/unio/bench/internal/process"
	"github.com/unio-stack/unio/bench/internal/readat"
	"github.com/unio-stack/unio/bench/internal/rows"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:])
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "versus:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) error {
	if len(args) > 0 && args[0] == readat.Subcommand {
		return readat.Main(ctx, args[1:], os.Stdout)
	}
	o, err := parseOptions(args)
	if err != nil {
		return err
	}
	return o.compare(ctx)
}

// options of the command line.
type options struct {
	rows   rows.Config
	rounds int
	out    string
}

func parseOptions(args []string) (options, error) {
	var o options
	var groups string
	var size int64
	fs := flag.NewFlagSet("versus", flag.ContinueOnError)
	fs.StringVar(&o.rows.Unio, "unio", "../bin/unio", "the unio command")
	fs.StringVar(&o.rows.Dir, "dir", "/var/tmp", "directory on the disk to measure")
	fs.StringVar(&o.rows.Shm, "shm", "/dev/shm", "directory on a file system in memory")
	fs.Int64Var(&size, "size", 0, "size of each file in MiB (1024; with -quick 256)")
	fs.DurationVar(&o.rows.Time, "time", 0, "time of each run, in whole seconds (3s; with -quick 1s)")
	fs.IntVar(&o.rounds, "rounds", 0, "rounds (5; with -quick 2)")
	fs.IntVar(&o.rows.CPU, "cpu", runtime.NumCPU()-1, "processor to pin single-core contestants to, -1 for none")
	fs.IntVar(&o.rows.ServerCPU, "server-cpu", 0, "processor to pin remote servers to, -1 for none")
	fs.StringVar(&o.rows.Congestion, "congestion", "cubic", "congestion control of remote contestants (but UCX's), \"\" for the machine's")
	fs.BoolVar(&o.rows.Spin, "spin", false, "remote contestants poll and never sleep, on both sides")
	fs.BoolVar(&o.rows.Huge, "huge", false, "the bound of remote I/O has its memory in huge pages")
	fs.BoolVar(&o.rows.Quick, "quick", false, "one depth only, shorter runs")
	fs.StringVar(&groups, "rows", "", "groups of rows, separated by commas: "+strings.Join(rows.Groups, ",")+" (all)")
	fs.StringVar(&o.out, "out", "results", "directory for the JSON")
	if err := fs.Parse(args); err != nil {
		return o, err
	}
	if groups != "" {
		o.rows.Groups = strings.Split(groups, ",")
	}
	orDefault(o.rows.Quick, &size, 256, 1024)
	orDefault(o.rows.Quick, &o.rows.Time, time.Second, 3*time.Second)
	orDefault(o.rows.Quick, &o.rounds, 2, 5)
	o.rows.Size = size << 20
	if size < 1 || o.rounds < 1 || o.rows.Time < time.Second || o.rows.Time%time.Second != 0 {
		return o, fmt.Errorf("size %d MiB, %d rounds of %v: size and rounds must be positive, time whole seconds (fio's unit)",
			size, o.rounds, o.rows.Time)
	}
	return o, nil
}

// orDefault gives an option that was not set its default.
func orDefault[T comparable](quick bool, option *T, ifQuick, otherwise T) {
	var unset T
	if *option != unset {
		return
	}
	*option = otherwise
	if quick {
		*option = ifQuick
	}
}

// compare runs all rows, prints them and writes the JSON.
func (o options) compare(ctx context.Context) (err error) {
	fmt.Fprintln(os.Stderr, "preparing files and measuring startup times")
	set, err := rows.Prepare(ctx, o.rows)
	defer func() { err = errors.Join(err, set.Close()) }()
	if err != nil {
		return err
	}
	doc := newDocument(o)
	fmt.Printf("%s\n%d rounds of %v each, in turn; pinned: %v; ratios are unio / baseline, of each round\n\n",
		doc.Machine, o.rounds, o.rows.Time, o.rows.CPU >= 0 && process.CanPin())
	contest.PrintHead(os.Stdout)
	failed := 0
	for _, r := range set.Rows {
		res := r.Run(ctx, o.rounds, func(name string, round int) { live(r.Name, round, name) })
		live("", 0, "")
		if ctx.Err() != nil {
			return ctx.Err()
		}
		res.Print(os.Stdout)
		if res.Error != "" {
			failed++
		}
		doc.Rows = append(doc.Rows, res)
	}
	path, err := doc.write(o.out)
	if err != nil {
		return err
	}
	fmt.Printf("\n%s\nall samples: %s\n", doc.summary(), path)
	if failed > 0 {
		return fmt.Errorf("%d of %d rows could not be measured", failed, len(set.Rows))
	}
	return nil
}

// live keeps a line on a terminal that says what runs, and clears it if that
// is nothing.
func live(row string, round int, name string) {
	info, err := os.Stderr.Stat()
	if err != nil || info.Mode()&os.ModeCharDevice == 0 {
		return
	}
	fmt.Fprint(os.Stderr, "\r\x1b[K")
	if row != "" {
		fmt.Fprintf(os.Stderr, "%s: round %d, %s", row, round+1, name)
	}
}
