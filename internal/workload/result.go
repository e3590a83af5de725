package workload

import (
	"time"

	"github.com/unio-stack/unio"
	"github.com/unio-stack/unio/internal/latency"
)

// A Result is what a run found. Rates are over Seconds. IOPS, Latency and what
// is per I/O count the reads and writes that succeeded, not flushes.
type Result struct {
	Seconds        float64         `json:"seconds"`
	Operations     int64           `json:"operations"`
	IOPS           float64         `json:"iops"`
	BytesPerSecond float64         `json:"bytes_per_second"`
	Latency        latency.Summary `json:"latency_ns"`

	// CPU time of the process in user and kernel mode (getrusage), including
	// the kernel's workers for it, per I/O.
	CPUPerIO       float64 `json:"cpu_ns_per_io"`
	UserCPUPerIO   float64 `json:"user_cpu_ns_per_io"`
	SystemCPUPerIO float64 `json:"system_cpu_ns_per_io"`
	// Syscalls are those the stack counted on the data path (Stats.Syscalls).
	SyscallsPerIO float64 `json:"syscalls_per_io"`
	// Switches of the process, voluntary and involuntary (getrusage).
	SwitchesPerIO float64 `json:"context_switches_per_io"`
	SleepsPerIO   float64 `json:"sleeps_per_io"`
	BatchSize     float64 `json:"requests_per_doorbell"`
	BouncedBytes  int64   `json:"bounced_bytes"`
	Errors        int64   `json:"errors"`

	Read    *Part     `json:"read,omitempty"`
	Write   *Part     `json:"write,omitempty"`
	Flush   *Part     `json:"flush,omitempty"`
	Verify  *Verified `json:"verify,omitempty"`
	Failure []string  `json:"first_errors,omitempty"`
	// Interrupted: the run was ended early from outside.
	Interrupted bool `json:"interrupted,omitempty"`
	// GaveUp: a channel met so many errors that it stopped.
	GaveUp bool `json:"gave_up,omitempty"`

	// Histogram is the distribution behind Latency.
	Histogram *latency.Histogram `json:"-"`
	Timeline  []Window           `json:"-"`
}

// A Part is what was done by operations of one kind.
type Part struct {
	Operations     int64           `json:"operations"`
	IOPS           float64         `json:"iops"`
	BytesPerSecond float64         `json:"bytes_per_second,omitempty"`
	Latency        latency.Summary `json:"latency_ns"`
}

// Verified is what Config.Verify found, in the run and after it.
type Verified struct {
	Checked    int64      `json:"checked"` // blocks
	Mismatches int64      `json:"mismatches"`
	First      []Mismatch `json:"first,omitempty"` // a few of them
}

// A Window is a stretch of the timeline.
type Window struct {
	Start time.Duration // since the ramp
	Width time.Duration
	IOPS  float64
	P50   time.Duration
	P99   time.Duration
	Max   time.Duration
}

// result adds up what the workers have.
func (c *crew) result(used usage, interrupted bool) *Result {
	c.mon.mu.Lock()
	defer c.mon.mu.Unlock()
	r := &Result{Interrupted: interrupted, Histogram: new(latency.Histogram), Errors: c.mon.total.errors}
	var ended time.Duration
	var stats unio.Stats
	for _, w := range c.workers {
		ended = max(ended, w.ended-c.cfg.Ramp)
		stats.Add(w.stats)
		r.Failure = append(r.Failure, w.failures[:min(len(w.failures), maxFailures-len(r.Failure))]...)
		r.GaveUp = r.GaveUp || w.gaveUp
		r.Errors += w.late
	}
	r.Seconds = max(ended, 0).Seconds()
	total := &c.mon.total
	total.transfers(r.Histogram)
	r.Operations, r.Latency = r.Histogram.Count(), r.Histogram.Summary()
	r.rates(c.mon.block)
	r.costs(used, stats)
	r.Read = r.part(&total.latency[kindRead], c.mon.block)
	r.Write = r.part(&total.latency[kindWrite], c.mon.block)
	r.Flush = r.part(&total.latency[kindFlush], 0)
	r.Verify = c.verified()
	r.Timeline = c.timeline(ended)
	return r
}

func (r *Result) rates(block int64) {
	if r.Seconds > 0 {
		r.IOPS = float64(r.Operations) / r.Seconds
		r.BytesPerSecond = r.IOPS * float64(block)
	}
}

// costs fills in what is per I/O.
func (r *Result) costs(used usage, s unio.Stats) {
	r.BouncedBytes = s.BouncedBytes
	if r.Operations == 0 {
		return
	}
	n := float64(r.Operations)
	r.UserCPUPerIO, r.SystemCPUPerIO = float64(used.user)/n, float64(used.system)/n
	r.CPUPerIO = r.UserCPUPerIO + r.SystemCPUPerIO
	r.SwitchesPerIO = float64(used.switches) / n
	r.SyscallsPerIO = float64(s.Syscalls) / n
	r.SleepsPerIO = float64(s.Sleeps) / n
	if s.Doorbells > 0 {
		r.BatchSize = n / float64(s.Doorbells)
	}
}

// part describes one kind, or is nil if there was none.
func (r *Result) part(h *latency.Histogram, block int64) *Part {
	if h.Count() == 0 {
		return nil
	}
	p := &Part{Operations: h.Count(), Latency: h.Summary()}
	if r.Seconds > 0 {
		p.IOPS = float64(p.Operations) / r.Seconds
		p.BytesPerSecond = p.IOPS * float64(block)
	}
	return p
}

func (c *crew) verified() *Verified {
	if !c.cfg.Verify {
		return nil
	}
	v := new(Verified)
	for _, w := range c.workers {
		v.Checked += w.ledger.checked
		v.Mismatches += w.ledger.wrong
		v.First = append(v.First, w.ledger.shown[:min(len(w.ledger.shown), maxShown-len(v.First))]...)
	}
	return v
}

// timeline returns the windows until ended. A last one that is too short to
// say anything is left out.
func (c *crew) timeline(ended time.Duration) []Window {
	var all []Window
	step := c.cfg.interval()
	for i := range c.mon.windows {
		start := time.Duration(i) * step
		width := min(step, ended-start)
		if width < step/2 && i > 0 || width <= 0 {
			break
		}
		h := &c.mon.windows[i]
		all = append(all, Window{
			Start: start, Width: width, IOPS: float64(h.Count()) / width.Seconds(),
			P50: h.Quantile(0.5), P99: h.Quantile(0.99), Max: h.Max(),
		})
	}
	return all
}
