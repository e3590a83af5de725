package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"time"

	"github.com/unio-stack/unio/internal/latency"
)

// A runner carries out a plan to its end. Each slot of the plan has one job in
// flight at a time, and all slots are in flight together.
type runner interface {
	pass(ctx context.Context, p plan, l *ledger, h *latency.Histogram) error
	flush(ctx context.Context) error
	syscalls() int64 // made by jobs so far, in this process
	Close() error
}

// A contender is one way to the bytes.
type contender struct {
	name     string
	where    string // URL, path or address
	baseline bool   // what the others of its group are compared with
	slots    int    // jobs in flight
	open     func(ctx context.Context) (runner, error)
	server   *process // that does the work, nil if it is done here
	optional bool     // not every system has it
	stays    bool     // the bytes are still there after Close
	path     string   // of the file they are in, "" if they are in none
	echo     bool     // nothing is kept: jobs are messages that come back
}

// A row is what a contender achieved.
type row struct {
	contender
	skipped string // why it had no turn
	err     error  // the first check that failed
	jobs    int64
	elapsed time.Duration
	here    time.Duration // CPU time of this process
	there   time.Duration // CPU time of the server
	calls   int64
	latency *latency.Histogram
	checks  []string // that passed, beyond the workload's own
}

// fillTime bounds how long a contender fills its medium. What it has not
// written by then, it leaves alone.
const fillTime = 1500 * time.Millisecond

// turn gives the contender its turn, and says so.
func (c contender) turn(ctx context.Context, o options, out io.Writer) row {
	fmt.Fprintf(out, "  %-26s %s\n", c.name, c.where)
	r := row{contender: c, latency: new(latency.Histogram)}
	run, err := c.open(ctx)
	if (c.optional || runtime.GOOS != "linux") && errors.Is(err, errors.ErrUnsupported) {
		r.skipped = err.Error()
		fmt.Fprintf(out, "      not available here: %v\n", err)
		return r
	}
	switch {
	case err != nil:
		r.err = err
	case c.echo:
		r.err = c.exchange(ctx, run, o, &r)
	default:
		r.err = c.story(ctx, run, o, &r)
	}
	if ctx.Err() != nil {
		return r // the demo is to end
	}
	if r.err != nil && c.server != nil {
		r.err = c.server.explain(r.err)
	}
	if r.err != nil {
		fmt.Fprintf(out, "      FAILED: %v\n", r.err)
		return r
	}
	fmt.Fprintf(out, "      %s verified", count(float64(r.jobs)))
	for _, check := range r.checks {
		fmt.Fprintf(out, "; %s", check)
	}
	fmt.Fprintln(out)
	return r
}

// story is fill, measure, check, flush, and read everything again, after
// reopening where that means something.
func (c contender) story(ctx context.Context, run runner, o options, r *row) (err error) {
	defer func() { err = errors.Join(err, run.Close()) }()
	l := newLedger(o.size, c.slots)
	if err := fill(ctx, run, l); err != nil {
		return err
	}
	if filled := l.blocks * blockSize; filled < o.size/2 {
		r.checks = append(r.checks, fmt.Sprintf("only %d MiB, filling more takes too long", filled>>20))
	}
	if err := measure(ctx, run, l, someWrites, o, r); err != nil {
		return fmt.Errorf("random reads and writes: %w", err)
	}
	if ch, ok := run.(*channelRunner); ok {
		held, err := ch.checkPromises(ctx, o.size)
		if err != nil {
			return err
		}
		r.checks = append(r.checks, held...)
	}
	if err := run.flush(ctx); err != nil {
		return fmt.Errorf("flush: %w", err)
	}
	if !c.stays {
		return run.pass(ctx, l.sweep(), l, nil)
	}
	if err := run.Close(); err != nil {
		return err
	}
	if o.corrupt && c.path != "" {
		if err := flipByte(c.path, l.blocks*blockSize/2); err != nil {
			return err
		}
	}
	if err := c.reread(ctx, l); err != nil {
		return fmt.Errorf("after reopening: %w", err)
	}
	r.checks = append(r.checks, "all found after reopening")
	return nil
}

// exchange sends messages, and checks that they come back.
func (c contender) exchange(ctx context.Context, run runner, o options, r *row) (err error) {
	defer func() { err = errors.Join(err, run.Close()) }()
	return measure(ctx, run, newLedger(o.size, c.slots), allWrites, o, r)
}

func fill(ctx context.Context, run runner, l *ledger) error {
	p, end := l.fill(fillTime)
	if err := run.pass(ctx, p, l, nil); err != nil {
		return fmt.Errorf("fill: %w", err)
	}
	end()
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

// measure runs a mix for o.time and notes its cost.
func measure(ctx context.Context, run runner, l *ledger, writes uint64, o options, r *row) error {
	p, stop := l.mix(o.time, writes)
	defer stop()
	there := func() time.Duration {
		if r.server == nil {
			return 0
		}
		return r.server.cpu()
	}
	calls, before, beforeThere, began := run.syscalls(), cpuTime(), there(), time.Now()
	err := run.pass(ctx, p, l, r.latency)
	r.elapsed, r.here, r.there = time.Since(began), cpuTime()-before, there()-beforeThere
	r.jobs, r.calls = r.latency.Count(), run.syscalls()-calls
	if err == nil && r.jobs == 0 {
		err = fmt.Errorf("nothing has ended within %v", o.time)
	}
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
