package main

import (
	"context"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/unio-stack/unio"
	"github.com/unio-stack/unio/internal/bytesize"
	"github.com/unio-stack/unio/internal/console"
	"github.com/unio-stack/unio/internal/latency"
	"github.com/unio-stack/unio/internal/workload"
	"golang.org/x/sys/unix"
)

// An idleReport is what bench --idle prints. What is per connection is what
// this process has more of than before it opened the first.
type idleReport struct {
	URL         string          `json:"url"`
	Device      string          `json:"device"`
	Asked       int             `json:"asked"`       // connections
	Connections int             `json:"connections"` // opened
	Depth       int             `json:"depth"`       // of each one's channel
	Opening     float64         `json:"opening_seconds"`
	Rate        float64         `json:"connections_per_second"`
	Latency     latency.Summary `json:"latency_ns"` // of opening one

	HeapPer        float64   `json:"heap_bytes_per_connection"`
	ResidentPer    float64   `json:"resident_bytes_per_connection"`
	GoroutinesPer  float64   `json:"goroutines_per_connection"`
	DescriptorsPer float64   `json:"descriptors_per_connection"`
	Process        footprint `json:"process"` // with all of them

	Held     float64 `json:"held_seconds"`
	HeldCPU  int64   `json:"held_cpu_ns"`        // of the process meanwhile
	Answered *int    `json:"answered,omitempty"` // connections on which a read was answered after that
	Errors   int64   `json:"errors"`
	// Failure has the first errors in words.
	Failure     []string `json:"first_errors,omitempty"`
	Interrupted bool     `json:"interrupted,omitempty"`
}

// A held is the channels that are held.
type held struct {
	target   *benchTarget
	depth    int
	mu       sync.Mutex
	channels []*unio.Channel // guarded by mu
}

func (h *held) open(context.Context) error {
	ch, err := h.target.dev.NewChannel(unio.ChannelConfig{Depth: h.depth})
	if err != nil {
		return err
	}
	h.mu.Lock()
	h.channels = append(h.channels, ch)
	h.mu.Unlock()
	return nil
}

// use reads a byte on each channel and returns on how many that worked, and
// why not on the first of the others.
func (h *held) use(ctx context.Context) (n int, first error) {
	b := make([]byte, 1)
	for _, ch := range h.channels {
		if err := ch.Do(ctx, unio.Request{Op: unio.OpRead, Region: h.target.reg, Data: b}); err == nil {
			n++
		} else if first == nil {
			first = err
		}
	}
	return n, first
}

// runIdle opens connections, looks at what they cost, holds them, and uses
// each of them once.
func runIdle(ctx context.Context, sh *shell, raw string, cfg workload.Config, f benchFlags) error {
	before := takeFootprint()
	t, err := openBench(ctx, raw, cfg, f)
	if err != nil {
		return err
	}
	defer t.close()
	h := &held{target: t, depth: f.depth}
	mon := new(workload.Monitor)
	live := sh.benchLine(mon, f.json)
	hold := cfg.Time
	cfg.Time = dialsTime
	res, err := workload.Repeat(ctx, int64(f.idle), h.open, cfg, mon)
	live.Stop()
	if err != nil {
		return err
	}
	r := &idleReport{
		URL: raw, Device: t.dev.Info().Name, Asked: f.idle, Connections: len(h.channels), Depth: f.depth,
		Opening: res.Seconds, Rate: res.IOPS, Latency: res.Latency, Errors: res.Errors, Failure: res.Failure,
	}
	r.compare(before, takeFootprint())
	r.hold(ctx, hold)
	if r.Interrupted = ctx.Err() != nil; !r.Interrupted && t.reg != nil {
		n, err := h.use(ctx)
		if r.Answered = &n; err != nil {
			r.Errors += int64(r.Connections - n)
			r.Failure = append(r.Failure, err.Error())
		}
	}
	return r.finish(sh, f)
}

// compare says what each connection takes.
func (r *idleReport) compare(before, after footprint) {
	r.Process = after
	n := float64(max(r.Connections, 1))
	r.HeapPer = float64(after.Heap-before.Heap) / n
	r.ResidentPer = float64(after.Resident-before.Resident) / n
	r.GoroutinesPer = float64(after.Goroutines-before.Goroutines) / n
	r.DescriptorsPer = float64(after.Descriptors-before.Descriptors) / n
}

// hold lets time pass, and says what that costs.
func (r *idleReport) hold(ctx context.Context, d time.Duration) {
	began, used := time.Now(), cpuTime()
	select {
	case <-time.After(d):
	case <-ctx.Done():
	}
	r.Held, r.HeldCPU = time.Since(began).Seconds(), int64(cpuTime()-used)
}

// cpuTime returns what the process has used so far.
func cpuTime() time.Duration {
	var used unix.Rusage
	if unix.Getrusage(unix.RUSAGE_SELF, &used) != nil {
		return 0
	}
	return time.Duration(used.Utime.Nano() + used.Stime.Nano())
}

func (r *idleReport) finish(sh *shell, f benchFlags) error {
	if f.json {
		if err := printJSON(sh.out, r); err != nil {
			return err
		}
	} else {
		r.print(sh.out, sh.outStyle)
	}
	switch {
	case r.Errors > 0:
		return &exitError{status: exitFailed, err: fmt.Errorf("%d connections failed, first: %s", r.Errors, r.Failure[0])}
	case r.Interrupted:
		return &exitError{status: exitInterrupted}
	}
	return nil
}

func (r *idleReport) print(w io.Writer, st console.Style) {
	fmt.Fprintln(w, st.Bold(fmt.Sprintf("%d connections to %s, depth %d", r.Connections, r.Device, r.Depth)))
	fmt.Fprintf(w, "\n  opened    in %.2f s, %s/s\n", r.Opening, console.Count(r.Rate))
	printLatency(w, "each", &r.Latency)
	fmt.Fprintf(w, "  each has  %s of heap, %s of resident memory, %s goroutines, %s descriptors\n",
		bytesize.Format(int64(r.HeapPer)), bytesize.Format(int64(r.ResidentPer)), console.Count(r.GoroutinesPer), console.Count(r.DescriptorsPer))
	fmt.Fprintf(w, "  held      for %.2f s, with %s of CPU time\n", r.Held, console.Nanos(float64(r.HeldCPU)))
	if r.Answered != nil {
		fmt.Fprintf(w, "  answered  %d of %d when they were used after that\n", *r.Answered, r.Connections)
	}
	errors := fmt.Sprint(r.Errors)
	if r.Errors > 0 {
		errors = st.Red(errors)
	}
	fmt.Fprintf(w, "  errors    %s\n", errors)
	for _, e := range r.Failure {
		fmt.Fprintf(w, "            %s\n", e)
	}
}
