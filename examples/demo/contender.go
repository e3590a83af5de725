package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"time"

	"github.com/unio-stack/unio"
	"github.com/unio-stack/unio/internal/latency"
)

// A runner carries out a plan to its end. Each slot of the plan has one job in
// flight at a time, and all slots are in flight together.
type runner interface {
	pass(ctx context.Context, p plan, l *ledger, h *latency.Histogram) error
	flush(ctx context.Context) error
	syscalls() int64 // made by jobs so far
	Close() error
}

// A contender is one way to the bytes.
type contender struct {
	name     string
	group    string // contenders of one group do the same thing to the same medium
	baseline bool   // what the others of its group are compared with
	slots    int    // jobs in flight
	open     func(ctx context.Context) (runner, error)
	// path of the file, "" if nothing is left to look at after closing.
	path string
}

// contenders are two groups. A disk is given many requests at a time, by one
// goroutine through one channel, or by as many goroutines as requests. Memory
// is as fast as the processor, so there each core has one request at a time.
func contenders(path string, o options) []contender {
	size, cores := o.size+checkArea, runtime.GOMAXPROCS(0)
	disk := contender{group: "disk", slots: o.depth, path: path}
	memory := contender{group: "memory", slots: cores, path: path}
	goroutines := func(c contender, name string, direct bool) contender {
		c.name, c.baseline = name, true
		c.open = func(context.Context) (runner, error) { return openGoroutines(path, size, c.slots, direct) }
		return c
	}
	channels := func(c contender, name string, n int, url string) contender {
		c.name = name
		c.open = func(ctx context.Context) (runner, error) { return openChannels(ctx, url, n, c.slots) }
		return c
	}
	dram := channels(memory, "unio mem: DRAM", cores, fmt.Sprintf("mem:?size=%d", size))
	dram.path = ""
	return []contender{
		goroutines(disk, "os.File, O_DIRECT", true),
		channels(disk, "unio file: io_uring", 1, fmt.Sprintf("file://%s?size=%d&create=1&engine=io_uring", path, size)),
		channels(disk, "unio file: posix", 1, fmt.Sprintf("file://%s?size=%d&create=1&engine=posix", path, size)),
		goroutines(memory, "os.File, page cache", false),
		channels(memory, "unio dax: mapped file", cores, fmt.Sprintf("dax://%s?size=%d&create=1", path, size)),
		dram,
	}
}

// A row is what a contender achieved.
type row struct {
	contender
	skipped string // why it had no turn
	err     error  // the first check that failed
	jobs    int64
	elapsed time.Duration
	cpu     time.Duration
	calls   int64
	latency *latency.Histogram
	checks  []string // that passed, beyond the workload's own
}

// turn runs the whole story on one contender: fill, measure, check, flush,
// and read everything again, after reopening where that means something.
func (c contender) turn(ctx context.Context, o options, out io.Writer) row {
	fmt.Fprintf(out, "\n%s\n", c.name)
	r := row{contender: c, latency: new(latency.Histogram)}
	run, err := c.open(ctx)
	if errors.Is(err, unio.ErrUnsupported) || errors.Is(err, errors.ErrUnsupported) {
		r.skipped = err.Error()
		fmt.Fprintf(out, "  not available here: %v\n", err)
		return r
	}
	if err == nil {
		r.err = c.story(ctx, run, o, &r)
	} else {
		r.err = err
	}
	if r.err != nil {
		fmt.Fprintf(out, "  FAILED: %v\n", r.err)
		return r
	}
	fmt.Fprintf(out, "  %d jobs verified", r.jobs)
	for _, check := range r.checks {
		fmt.Fprintf(out, "; %s", check)
	}
	fmt.Fprintln(out)
	return r
}

// story is what turn does between opening and closing.
func (c contender) story(ctx context.Context, run runner, o options, r *row) (err error) {
	defer func() { err = errors.Join(err, run.Close()) }()
	l := newLedger(o.size, c.slots)
	if err := run.pass(ctx, l.fill(), l, nil); err != nil {
		return fmt.Errorf("fill: %w", err)
	}
	if err := measure(ctx, run, l, o, r); err != nil {
		return fmt.Errorf("random reads and writes: %w", err)
	}
	if ch, ok := run.(*channelRunner); ok {
		if r.checks, err = ch.checkPromises(ctx, o.size); err != nil {
			return err
		}
	}
	if err := run.flush(ctx); err != nil {
		return fmt.Errorf("flush: %w", err)
	}
	if c.path == "" {
		return run.pass(ctx, l.sweep(), l, nil)
	}
	if err := run.Close(); err != nil {
		return err
	}
	if o.corrupt {
		if err := flipByte(c.path, o.size/2); err != nil {
			return err
		}
	}
	if err := c.reread(ctx, l); err != nil {
		return fmt.Errorf("after reopening: %w", err)
	}
	r.checks = append(r.checks, "all there after flush and reopen")
	return nil
}

// reread opens the medium again and checks every block of it.
func (c contender) reread(ctx context.Context, l *ledger) (err error) {
	again, err := c.open(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, again.Close()) }()
	return again.pass(ctx, l.sweep(), l, nil)
}

// measure runs the mixed workload for o.time and notes its cost.
func measure(ctx context.Context, run runner, l *ledger, o options, r *row) error {
	p, stop := l.mix(o.time)
	defer stop()
	calls, cpu, began := run.syscalls(), cpuTime(), time.Now()
	err := run.pass(ctx, p, l, r.latency)
	r.elapsed, r.cpu, r.calls = time.Since(began), cpuTime()-cpu, run.syscalls()-calls
	r.jobs = r.latency.Count()
	return err
}

// flipByte changes one byte of the file at path.
func flipByte(path string, at int64) (err error) {
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	b := make([]byte, 1)
	if _, err := f.ReadAt(b, at); err != nil {
		return err
	}
	b[0] ^= 1
	_, err = f.WriteAt(b, at)
	return err
}
