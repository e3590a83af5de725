// Command demo does the main job: it puts one verified workload on every way
// to local memory and storage that unio has (a file through io_uring, the same
// file through plain system calls, the file mapped, DRAM), and on os.File for
// comparison, checks every byte and every promise on the way, and prints what
// each of them cost.
//
//	go run ./examples/demo
//	go run ./examples/demo -dir /dev/shm -time 2s
//
// It ends by itself, removes the file that it made, and exits with 1 if a
// check failed. Start reading at run, below; workload.go says what is done,
// channel.go does it with unio and goroutines.go with os.File.
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
	size    int64
	depth   int
	time    time.Duration
	corrupt bool
}

func main() {
	var o options
	mib := flag.Int64("size", 128, "size of the file and of the memory, in MiB")
	flag.StringVar(&o.dir, "dir", ".", "directory for the file")
	flag.IntVar(&o.depth, "depth", 32, "requests in flight on the disk (goroutines, for os.File)")
	flag.DurationVar(&o.time, "time", 4*time.Second, "how long to measure each contender")
	flag.BoolVar(&o.corrupt, "corrupt", false, "flip one byte behind the stack's back, to see the demo fail")
	flag.Parse()
	o.size = *mib << 20
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, o, os.Stdout)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "demo:", err)
		os.Exit(1)
	}
}

// run gives every contender its turn and prints the table.
func run(ctx context.Context, o options, out io.Writer) (err error) {
	if o.depth < 1 || o.depth > 1024 || o.size < 1<<20 || o.size > 1<<40 || o.time <= 0 {
		return fmt.Errorf("depth %d, size %d MiB, time %v: depth is 1 to 1024, size 1 to 1048576 MiB, time positive",
			o.depth, o.size>>20, o.time)
	}
	dir, err := os.MkdirTemp(o.dir, "unio-demo-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	path, err := filepath.Abs(filepath.Join(dir, "disk.img"))
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "Random reads (70%%) and writes (30%%) of 4 KiB over %d MiB, %v for each contender.\n", o.size>>20, o.time)
	fmt.Fprintf(out, "On the disk %d in flight, in memory one on each core. Each block carries its number,\n", o.depth)
	fmt.Fprintf(out, "its generation and a checksum, and each read is checked.\n")
	fmt.Fprintf(out, "%s/%s, %d cores, file in %s\n", runtime.GOOS, runtime.GOARCH, runtime.GOMAXPROCS(0), o.dir)
	var rows []row
	failed := 0
	for _, c := range contenders(path, o) {
		r := c.turn(ctx, o, out)
		if ctx.Err() != nil {
			return fmt.Errorf("interrupted: %w", ctx.Err())
		}
		if r.err != nil {
			failed++
		}
		rows = append(rows, r)
	}
	printTable(out, rows)
	if failed > 0 {
		return fmt.Errorf("%d of %d contenders failed a check", failed, len(rows))
	}
	fmt.Fprintln(out, "\nEvery check passed.")
	return nil
}
