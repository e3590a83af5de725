// Command demo does the main job: it puts one verified workload on every way to
// bytes that unio has. A file through io_uring and through plain system calls,
// the file mapped, DRAM, the same file and memory through a target (unio serve,
// a process of its own), the memory of a peer, and messages to that peer: one
// program, and only the URL differs. Beside it run os.File and net/rpc, for
// comparison. Then it kills the target in the middle of writes, starts it
// again, and looks whether everything is there that must be. It prints what
// each way cost.
//
//	go run ./examples/demo
//	go run ./examples/demo -dir /dev/shm -time 1s
//
// It ends by itself, removes the file and the processes that it made, and exits
// with 1 if a check failed. Start reading at run, below; workload.go says what
// is done, channel.go and messages.go do it with unio, goroutines.go with
// os.File, rpc.go with net/rpc; crash.go kills the target.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"syscall"
	"time"
)

// options of the command line.
type options struct {
	dir     string
	unio    string // path of the command; "" builds it
	size    int64
	depth   int
	time    time.Duration
	limit   time.Duration
	crashes int
	corrupt bool
}

func main() {
	if asked, err := serveInstead(os.Args[1:]); asked {
		exit(err)
	}
	var o options
	mib := flag.Int64("size", 64, "size of the file and of the memory, in MiB")
	flag.StringVar(&o.dir, "dir", ".", "directory for the file")
	flag.StringVar(&o.unio, "unio", "", "path of the command unio; built if it is not given")
	flag.IntVar(&o.depth, "depth", 32, "requests in flight on the disk and to servers (goroutines, for os.File and net/rpc)")
	flag.DurationVar(&o.time, "time", 3*time.Second, "how long to measure each contender")
	flag.DurationVar(&o.limit, "limit", 2*time.Minute, "fail if it takes longer than that")
	flag.IntVar(&o.crashes, "crashes", 3, "how often to kill the target")
	flag.BoolVar(&o.corrupt, "corrupt", false, "flip one byte of the file behind the stack's back, to see the demo fail")
	flag.Parse()
	o.size = *mib << 20
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	signal.Notify(make(chan os.Signal, 1), syscall.SIGPIPE) // so that there is time to stop
	err := run(ctx, o, &reader{os.Stdout, stop})
	stop()
	exit(err)
}

// A reader is whom the demo talks to. When nobody listens any more, it stops.
type reader struct {
	out  io.Writer
	stop func()
}

func (r *reader) Write(b []byte) (int, error) {
	n, err := r.out.Write(b)
	if err != nil {
		r.stop()
	}
	return n, err
}

// exit ends the program.
func exit(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "demo:", err)
		os.Exit(1)
	}
	os.Exit(0)
}

func (o options) check() error {
	if o.depth < 2 || o.depth > 1024 || o.size < 1<<20 || o.size > 1<<40 || o.time <= 0 || o.crashes < 0 {
		return fmt.Errorf("depth %d, size %d MiB, time %v, %d crashes: depth is 2 to 1024, size 1 to 1048576 MiB, time positive",
			o.depth, o.size>>20, o.time, o.crashes)
	}
	return nil
}

// run does it all, and removes what it made.
func run(ctx context.Context, o options, out io.Writer) (err error) {
	if err := o.check(); err != nil {
		return err
	}
	dir, err := os.MkdirTemp(o.dir, "unio-demo-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	introduce(o, out)
	if o.unio == "" {
		if o.unio, err = buildUnio(ctx, dir, out); err != nil {
			return interrupted(ctx, err)
		}
	}
	ctx, cancel := context.WithTimeoutCause(ctx, o.limit, fmt.Errorf("not done within %v; try a shorter -time", o.limit))
	defer cancel()
	path, err := filepath.Abs(filepath.Join(dir, "disk.img"))
	if err != nil {
		return err
	}
	if err := createFile(path, o.size+checkArea); err != nil {
		return err
	}
	s, err := startServers(ctx, o.unio, path, o.size+checkArea, out)
	defer func() { err = errors.Join(err, s.stop()) }()
	if err == nil {
		err = compare(ctx, o, path, s, out)
	}
	return interrupted(ctx, err)
}

// interrupted returns why ctx has ended, if it has, and otherwise err.
func interrupted(ctx context.Context, err error) error {
	switch ctx.Err() {
	case nil:
		return err
	case context.DeadlineExceeded:
		return context.Cause(ctx)
	}
	return fmt.Errorf("interrupted: %w", context.Cause(ctx))
}

func introduce(o options, out io.Writer) {
	about := 15*o.time + 15*time.Second // as many contenders, and what is around them
	fmt.Fprintf(out, `One program reads and writes a file and memory, here and through servers, with unio and without.
Random reads (70%%) and writes (30%%) of 4 KiB over %d MiB, %v for each contender: about %.0f s
in all. Each block carries its number, its generation and a checksum, and each read is checked.
%s/%s, %d cores, file in %s

`, o.size>>20, o.time, about.Seconds(), runtime.GOOS, runtime.GOARCH, runtime.GOMAXPROCS(0), o.dir)
}

// createFile makes the file that all share.
func createFile(path string, size int64) (err error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	return f.Truncate(size)
}

// compare gives every contender its turn, kills the target, and prints the
// table.
func compare(ctx context.Context, o options, path string, s *servers, out io.Writer) error {
	var sections []section
	turns, failed := 0, 0
	for _, g := range groups(path, o, s) {
		fmt.Fprintf(out, "\n%s\n", g.title)
		part := section{title: g.title}
		for _, c := range g.contenders {
			r := c.turn(ctx, o, out)
			if ctx.Err() != nil {
				return ctx.Err()
			}
			turns++
			if r.err != nil {
				failed++
			}
			part.rows = append(part.rows, r)
		}
		sections = append(sections, part)
	}
	if runtime.GOOS == "linux" { // elsewhere there are no connections
		turns++
		fmt.Fprintf(out, "\nA crash\n")
		if err := s.crash(ctx, o, out); ctx.Err() != nil {
			return ctx.Err()
		} else if err != nil {
			failed++
			fmt.Fprintf(out, "      FAILED: %v\n", err)
		}
	}
	printTable(out, sections)
	if failed > 0 {
		return fmt.Errorf("%d of %d parts failed a check", failed, turns)
	}
	fmt.Fprintln(out, "\nEvery check passed.")
	return nil
}
