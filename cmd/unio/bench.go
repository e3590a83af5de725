package main

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"github.com/unio-stack/unio"
	"github.com/unio-stack/unio/internal/bytesize"
	"github.com/unio-stack/unio/internal/workload"
)

const benchLong = `bench keeps a device busy with reads and writes, atomics or messages for a while
and reports rate, latency, and what each I/O costs: CPU time, system calls,
context switches and bytes that had to be copied.

WRITES DESTROY what is on the device, and so does fetch-add: use them on scratch
files, disks and peers only. A block device that is mounted or otherwise in use
is refused unless --force is given. A file that does not exist is made if --size
is given, filled before the measurement, and left in place afterwards.

What --op may be:
  randread, randwrite, randrw, read, write, rw    blocks, in random order or one
                after the other, of --rwmix percent reads
  fetch-add     1 is added to random words of 8 bytes
  compare-swap  random words are expected to be 0, and 0 is stored
  send          messages to a peer that takes them ("unio peer" does)
  pingpong      messages that the peer sends back; each time is the whole round
                trip, from before the message is posted until it is back

--idle and --dials measure connections instead: with a peer, each channel is one.
--idle opens some and says what each costs this process; they are held for --time
and used once after that. --dials opens and closes one after the other, on
--channels goroutines; each time is that of both.

How it measures: each channel has one goroutine, which reaps what has finished
and posts as many requests again in one batch. The clock is read once for a
batch; a request's latency runs from the reading before its batch is posted to
the one after it is reaped. Opening, filling and --ramp are not counted. CPU
time and context switches are the process's (getrusage), system calls those that
the stack makes on the data path. Random blocks are drawn with replacement. For
latencies at depth 1, poll: --spin 1s.

--report needs no DEVICE. It makes a file in $TMPDIR and a target, measures what an
I/O costs on each way to bytes, tries what unio promises, and writes a report in
Markdown, or JSON with --json, to FILE or standard output: in about a minute, or
less with --time (of each measurement, default 1s). System calls are the kernel's
count where it may be read, which takes root, or CAP_PERFMON and tracefs. The exit
status is 1 if something did not hold.

--verify stamps each block with its offset, a generation and a checksum, checks
every block read, and reads back at the end what was written. Each channel then
keeps to its own part of the device. Blocks that --verify has not written are
mismatches for reads.

Exit status: 3 if --verify found mismatches, 1 if requests failed.`

const benchExample = `  unio bench disk.img --size 1GiB
  unio bench /dev/nvme0n1 --op randread --bs 4k --depth 64 --time 5s --json
  unio bench mem:?size=1GiB --op randrw --rwmix 70 --channels 2
  unio bench disk.img --op write --bs 1M --depth 8 --plot write.svg
  unio bench disk.img --op randrw --verify --time 10s
  unio bench "file:disk.img?engine=posix" --op randread --depth 1
  unio bench rdma://host?crc=off --op pingpong --spin 1s
  unio bench rdma://host --dials 1000 --channels 4
  unio bench --report report.md`

// benchFlags are the command line of bench.
type benchFlags struct {
	op       string
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
	idle     int
	dials    int64
	json     bool
	plot     string
	report   bool

	given func(flag string) bool // whether it is on the command line
}

func newBench(sh *shell) *cobra.Command {
	var f benchFlags
	cmd := &cobra.Command{
		Use: "bench DEVICE | --report [FILE]", Short: "Measure rate, latency and cost of I/O",
		Long: benchLong, Example: benchExample,
		Args: func(cmd *cobra.Command, args []string) error {
			if f.report && len(args) == 0 {
				return nil
			}
			return exactArgs("DEVICE")(cmd, args)
		},
		ValidArgsFunction: completeDevices(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			f.given = cmd.Flags().Changed
			if f.report {
				return runReport(cmd.Context(), sh, args, f)
			}
			return runBench(cmd.Context(), sh, args[0], f)
		},
	}
	fs := cmd.Flags()
	fs.SortFlags = false
	fs.SetNormalizeFunc(asInFio)
	fs.StringVar(&f.op, "op", "randread", "what to do: see above (--rw is the same)")
	fs.IntVar(&f.mix, "rwmix", 70, "percentage of reads of randrw and rw")
	sizeVar(fs, &f.block, "bs", 0, "block `size`: bytes of each request (default 4k; 8 for atomics, 64 for pingpong)")
	fs.IntVar(&f.depth, "depth", 0, "requests in flight on each channel (default 64; 1 for pingpong)")
	fs.IntVar(&f.channels, "channels", 1, "channels, each with a goroutine")
	fs.DurationVar(&f.time, "time", 5*time.Second, "how long to measure; --dials keep to it only if it is given")
	fs.DurationVar(&f.ramp, "ramp", 0, "how long to run before that")
	sizeVar(fs, &f.size, "size", 0, "use only so much; make a file or memory of that `size`")
	fs.BoolVar(&f.verify, "verify", false, "stamp what is written, check what is read")
	fs.BoolVar(&f.durable, "durable", false, "make each write survive a crash before it completes")
	fs.IntVar(&f.flush, "fsync", 0, "flush after so many writes of a channel")
	fs.IntVar(&f.idle, "idle", 0, "open so many connections and hold them")
	fs.Int64Var(&f.dials, "dials", 0, "open and close so many connections")
	fs.BoolVar(&f.pin, "pin", false, "lock each channel to an OS thread")
	fs.IntVar(&f.batch, "batch", 0, "requests reaped and posted at a time, at most (default 6; 32 with a peer)")
	fs.DurationVar(&f.spin, "spin", 0, "poll so long before sleeping (0 adapts, negative never polls)")
	fs.Uint64Var(&f.seed, "seed", 0, "repeat the blocks of another run (0 is a new one)")
	fs.BoolVar(&f.force, "force", false, "write also to a block device in use")
	fs.StringVar(&f.plot, "plot", "", "draw distribution and timeline to this SVG `file`")
	fs.BoolVar(&f.json, "json", false, "print one JSON object")
	fs.BoolVar(&f.report, "report", false, "measure and try everything on temporary files, and write a report")
	_ = cmd.RegisterFlagCompletionFunc("op", completeWords(workload.Accesses))
	_ = cmd.RegisterFlagCompletionFunc("bs", completeWords([]string{"512", "4k", "16k", "64k", "1M"}))
	_ = cmd.MarkFlagFilename("plot", "svg")
	return cmd
}

// asInFio takes --rw, as fio calls it, for --op.
func asInFio(_ *pflag.FlagSet, name string) pflag.NormalizedName {
	if name == "rw" {
		name = "op"
	}
	return pflag.NormalizedName(name)
}

// complete fills in what was not given and depends on what is to be done.
func (f *benchFlags) complete(a workload.Access) {
	if !f.given("bs") {
		f.block = 4096
		switch {
		case a.Atomic():
			f.block = wordSize
		case a.Kind == workload.PingPong:
			f.block = 64
		}
	}
	if !f.given("depth") {
		f.depth = 64
		if a.Kind == workload.PingPong {
			f.depth = 1
		}
	}
	if f.seed == 0 {
		f.seed = uint64(time.Now().UnixNano())
	}
}

// config checks the flags that need no device.
func (f *benchFlags) config() (workload.Config, error) {
	access, err := workload.ParseAccess(f.op, f.mix)
	if err != nil {
		return workload.Config{}, usage("--op: %w", err)
	}
	f.complete(access)
	least := int64(1)
	if access.Messages() {
		least = 0
	}
	switch {
	case f.block < least || f.block > 1<<30:
		return workload.Config{}, usage("--bs %s: want %d byte to 1 GiB", bytesize.Format(f.block), least)
	case access.Atomic() && f.block != wordSize:
		return workload.Config{}, usage("--bs %s: atomics have 8 bytes", bytesize.Format(f.block))
	case f.depth < 1 || f.channels < 1:
		return workload.Config{}, usage("--depth and --channels must be at least 1")
	case f.time <= 0 || f.ramp < 0:
		return workload.Config{}, usage("--time must be positive, as in 5s, and --ramp not negative")
	case f.flush < 0:
		return workload.Config{}, usage("--fsync must not be negative")
	}
	if err := f.checkCombination(access); err != nil {
		return workload.Config{}, err
	}
	return workload.Config{
		Access: access, BlockSize: int(f.block), Depth: f.depth, Channels: f.channels,
		Time: f.time, Ramp: f.ramp, Span: f.size, Pinned: f.pin, Spin: f.spin, Batch: f.batch,
		Durable: f.durable, FlushEvery: f.flush, Verify: f.verify, Seed: f.seed,
	}, nil
}

// refuse names the first of the flags that is given.
func (f *benchFlags) refuse(what string, flags ...string) error {
	for _, name := range flags {
		if f.given(name) {
			return usage("%s does not go with --%s", what, name)
		}
	}
	return nil
}

// checkCombination refuses flags that would have no effect.
func (f *benchFlags) checkCombination(a workload.Access) error {
	blocks := []string{"verify", "durable", "fsync"}
	connections := append(slices.Clone(blocks), "op", "bs", "batch", "seed")
	switch {
	case f.given("idle") && f.idle < 1, f.given("dials") && f.dials < 1:
		return usage("--idle and --dials must be at least 1")
	case f.idle > 0:
		return f.refuse("--idle", append(connections, "dials", "ramp", "plot")...)
	case f.dials > 0:
		return f.refuse("--dials", connections...)
	case a.Messages():
		return f.refuse("--op "+f.op, append(blocks, "size")...)
	case a.Atomic():
		return f.refuse("--op "+f.op, blocks...)
	}
	return nil
}

func runBench(ctx context.Context, sh *shell, raw string, f benchFlags) error {
	cfg, err := f.config()
	if err != nil {
		return err
	}
	if f.idle > 0 {
		return runIdle(ctx, sh, raw, cfg, f)
	}
	t, err := openBench(ctx, raw, cfg, f)
	if err != nil {
		return err
	}
	defer t.close()
	mon := new(workload.Monitor)
	live := sh.benchLine(mon, f.json)
	res, err := t.run(ctx, cfg, f, mon)
	live.Stop()
	if err != nil {
		return benchError(err)
	}
	return report(sh, f, newBenchReport(t, f, res))
}

// benchError says in the words of the command line what is wrong.
func benchError(err error) error {
	if errors.Is(err, unio.ErrInvalid) {
		return &exitError{status: exitUsage, err: err, hint: "--size, --bs, --depth and --channels must fit each other and the device"}
	}
	return err
}
