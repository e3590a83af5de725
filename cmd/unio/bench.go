package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"time"

	"github.com/spf13/cobra"
	"github.com/unio-stack/unio"
	"github.com/unio-stack/unio/internal/bytesize"
	"github.com/unio-stack/unio/internal/location"
	"github.com/unio-stack/unio/internal/workload"
	"github.com/unio-stack/unio/provider"
)

const benchLong = `bench keeps a device busy with reads and writes for a while and reports rate,
latency, and what each I/O costs: CPU time, system calls, context switches and
bytes that had to be copied.

WRITES DESTROY what is on the device: use --rw with writes on scratch files and
disks only. A block device that is mounted or otherwise in use is refused unless
--force is given. A file that does not exist is made if --size is given, filled
before the measurement, and left in place afterwards.

How it measures: each channel has one goroutine, which reaps what has finished
and posts as many requests again in one batch. The clock is read once for a
batch; a request's latency runs from the reading before its batch is posted to
the one after it is reaped. Opening, filling and --ramp are not counted. CPU
time and context switches are the process's (getrusage), system calls those that
the stack makes on the data path. Random blocks are drawn with replacement.

--verify stamps each block with its offset, a generation and a checksum, checks
every block read, and reads back at the end what was written. Each channel then
keeps to its own part of the device. Blocks that --verify has not written are
mismatches for reads.

Exit status: 3 if --verify found mismatches, 1 if requests failed.`

const benchExample = `  unio bench disk.img --size 1GiB
  unio bench /dev/nvme0n1 --rw randread --bs 4k --depth 64 --time 5s --json
  unio bench mem:?size=1GiB --rw randrw --rwmix 70 --channels 2
  unio bench disk.img --rw write --bs 1M --depth 8 --plot write.svg
  unio bench disk.img --rw randrw --verify --time 10s
  unio bench "file:disk.img?engine=posix" --rw randread --depth 1`

// benchFlags are the command line of bench.
type benchFlags struct {
	access   string
	mix      int
	block    int64
	size     int64
	depth    int
	channels int
	time     time.Duration
	ramp     time.Duration
	spin     time.Duration
	batch    int
	seed     uint64
	flush    int
	pin      bool
	durable  bool
	verify   bool
	force    bool
	json     bool
	plot     string
}

func newBench(sh *shell) *cobra.Command {
	var f benchFlags
	cmd := &cobra.Command{
		Use: "bench DEVICE", Short: "Measure rate, latency and cost of I/O",
		Long: benchLong, Example: benchExample,
		Args: exactArgs("DEVICE"), ValidArgsFunction: completeDevices(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return runBench(cmd.Context(), sh, args[0], f)
		},
	}
	fs := cmd.Flags()
	fs.SortFlags = false
	fs.StringVar(&f.access, "rw", "randread", "randread, randwrite, randrw, read, write or rw")
	fs.IntVar(&f.mix, "rwmix", 70, "percentage of reads of randrw and rw")
	sizeVar(fs, &f.block, "bs", 4096, "block `size`: bytes of each request")
	fs.IntVar(&f.depth, "depth", 64, "requests in flight on each channel")
	fs.IntVar(&f.channels, "channels", 1, "channels, each with a goroutine")
	fs.DurationVar(&f.time, "time", 5*time.Second, "how long to measure")
	fs.DurationVar(&f.ramp, "ramp", 0, "how long to run before that")
	sizeVar(fs, &f.size, "size", 0, "use only so much; make a file or memory of that `size`")
	fs.BoolVar(&f.verify, "verify", false, "stamp what is written, check what is read")
	fs.BoolVar(&f.durable, "durable", false, "make each write survive a crash before it completes")
	fs.IntVar(&f.flush, "fsync", 0, "flush after so many writes of a channel")
	fs.BoolVar(&f.pin, "pin", false, "lock each channel to an OS thread")
	fs.IntVar(&f.batch, "batch", 0, "requests reaped and posted at a time, at most (default 6)")
	fs.DurationVar(&f.spin, "spin", 0, "poll so long before sleeping (0 adapts, negative never polls)")
	fs.Uint64Var(&f.seed, "seed", 0, "repeat the blocks of another run (0 is a new one)")
	fs.BoolVar(&f.force, "force", false, "write also to a block device in use")
	fs.StringVar(&f.plot, "plot", "", "draw distribution and timeline to this SVG `file`")
	fs.BoolVar(&f.json, "json", false, "print one JSON object")
	_ = cmd.RegisterFlagCompletionFunc("rw", completeWords(workload.Accesses))
	_ = cmd.RegisterFlagCompletionFunc("bs", completeWords([]string{"512", "4k", "16k", "64k", "1M"}))
	_ = cmd.MarkFlagFilename("plot", "svg")
	return cmd
}

// config checks the flags that need no device.
func (f *benchFlags) config() (workload.Config, error) {
	access, err := workload.ParseAccess(f.access, f.mix)
	switch {
	case err != nil:
		return workload.Config{}, usage("--rw: %w", err)
	case f.block <= 0 || f.block > 1<<30:
		return workload.Config{}, usage("--bs %s: want 1 byte to 1 GiB", bytesize.Format(f.block))
	case f.depth < 1 || f.channels < 1:
		return workload.Config{}, usage("--depth and --channels must be at least 1")
	case f.time <= 0 || f.ramp < 0:
		return workload.Config{}, usage("--time must be positive, as in 5s, and --ramp not negative")
	case f.flush < 0:
		return workload.Config{}, usage("--fsync must not be negative")
	}
	if f.seed == 0 {
		f.seed = uint64(time.Now().UnixNano())
	}
	return workload.Config{
		Access: access, BlockSize: int(f.block), Depth: f.depth, Channels: f.channels,
		Time: f.time, Ramp: f.ramp, Span: f.size, Pinned: f.pin, Spin: f.spin, Batch: f.batch,
		Durable: f.durable, FlushEvery: f.flush, Verify: f.verify, Seed: f.seed,
	}, nil
}

func runBench(ctx context.Context, sh *shell, raw string, f benchFlags) error {
	cfg, err := f.config()
	if err != nil {
		return err
	}
	plan, err := planBench(raw, cfg, f.force)
	if err != nil {
		return err
	}
	dev, err := provider.Open(ctx, plan.url)
	if err != nil {
		return err
	}
	defer func() { _ = dev.Close() }() // what counts was flushed and read back
	rights := unio.ReadOnly
	if plan.writes {
		rights = unio.ReadWrite
	}
	reg, err := dev.Attach(ctx, "", rights)
	if err != nil {
		return err
	}
	if reg.Size() < cfg.Span {
		return hinted(fmt.Errorf("%s has %s, not %s", raw, bytesize.Format(reg.Size()), bytesize.Format(cfg.Span)),
			"use a smaller --size; a file can be extended with truncate --size, or removed so that bench makes it anew")
	}
	cfg.Prefill = plan.created
	mon := new(workload.Monitor)
	live := sh.benchLine(mon, f.json)
	res, err := workload.Run(ctx, reg, cfg, mon)
	live.Stop()
	if err != nil {
		return benchError(err)
	}
	return report(sh, f, newBenchReport(raw, dev, reg, f, plan, res))
}

// benchError says in the words of the command line what is wrong.
func benchError(err error) error {
	if errors.Is(err, unio.ErrInvalid) {
		return &exitError{status: exitUsage, err: err, hint: "--size, --bs, --depth and --channels must fit each other and the device"}
	}
	return err
}

// A benchPlan is how to open the device.
type benchPlan struct {
	url     string
	writes  bool // the device is written to, if only to fill it
	created bool // what is there was never written
	made    bool // a file is left behind
}

// planBench looks at what the URL names. It opens for reading only where
// nothing is to be written.
func planBench(raw string, cfg workload.Config, force bool) (benchPlan, error) {
	l, err := location.Locate(raw)
	if err != nil {
		return benchPlan{}, err
	}
	p := benchPlan{writes: cfg.Access.Writes()}
	options := map[string]string{}
	size := strconv.FormatInt(cfg.Span, 10)
	switch l.Kind {
	case location.Virtual:
		p.created, p.writes = true, true
		if cfg.Span > 0 {
			options["size"] = size
		} else if !l.Has("size") {
			return p, hinted(usage("%s: how much memory?", raw), "give --size 1GiB, or mem:?size=1GiB")
		}
	case location.Missing:
		if cfg.Span == 0 && !l.Has("create") {
			return p, hinted(fmt.Errorf("%s: %w", raw, os.ErrNotExist), "with --size 1GiB, bench makes the file and leaves it there")
		}
		p.created, p.writes, p.made = true, true, true
		options["create"] = "1"
		if cfg.Span > 0 {
			options["size"] = size
		}
	case location.Block:
		if p.writes && !force {
			if err := checkUnused(l.Path); err != nil {
				return p, err
			}
		}
	case location.Directory, location.Other:
		return p, hinted(usage("%s is neither a file nor a block device", raw), "for a file in a directory, name it: %s/bench.img --size 1GiB", l.Path)
	}
	if !p.writes && !l.Has("size") && !l.Has("create") {
		options["readonly"] = "1"
	}
	p.url = l.With(options)
	return p, nil
}
