// Package contest runs contestants in turn, several rounds, and says how they
// compare: as ratios, differences or plain values, each with its spread over
// the rounds, beside the bar that it should reach.
package contest

import (
	"cmp"
	"context"
	"math"
	"slices"
)

// A Metric names what was measured, with its unit.
type Metric string

// The metrics. What is called a rate is the better the more it is, all others
// the less.
const (
	IOPS        Metric = "iops"                 // rate: operations a second
	Bandwidth   Metric = "bytes_per_second"     // rate: payload
	Dials       Metric = "dials_per_minute"     // rate: connections opened and closed
	CPU         Metric = "cpu_ns_per_io"        // user and system time for each, ns
	TargetCPU   Metric = "target_cpu_ns_per_io" // of the serving process, for each, ns
	P50         Metric = "p50_ns"               // median latency, ns
	P99         Metric = "p99_ns"               // 99th percentile of latency, ns
	Time        Metric = "ns_per_op"            // wall time for each, ns
	Threads     Metric = "os_threads"           // most OS threads at a time
	Allocs      Metric = "allocs_per_op"        // heap allocations for each
	Syscalls    Metric = "syscalls_per_op"      // system calls for each
	Memory      Metric = "bytes"                // bytes held
	Descriptors Metric = "descriptors_leaked"   // open after, less open before
	Goroutines  Metric = "goroutines_leaked"    // after, less before
)

// rate reports whether more of it is better.
func (m Metric) rate() bool { return m == IOPS || m == Bandwidth || m == Dials }

// A Sample is what one run of a contestant measured.
type Sample map[Metric]float64

// A Contestant is what can be run and measured.
type Contestant struct {
	Name string
	Run  func(ctx context.Context) (Sample, error)
	// Absent says why the contestant cannot take part; it is then left out.
	Absent string
}

// A Spread is how a figure varied over the rounds.
type Spread struct {
	Min    float64 `json:"min"`
	Median float64 `json:"median"`
	Max    float64 `json:"max"`
}

// SpreadOf returns the spread of the figures. All its fields are NaN if there
// are none.
func SpreadOf(figures []float64) Spread {
	if len(figures) == 0 {
		return Spread{math.NaN(), math.NaN(), math.NaN()}
	}
	s := slices.Sorted(slices.Values(figures))
	mid := len(s) / 2
	median := s[mid]
	if len(s)%2 == 0 {
		median = (s[mid-1] + s[mid]) / 2
	}
	return Spread{s[0], median, s[len(s)-1]}
}

// column returns one metric of several samples.
func column(samples []Sample, m Metric) []float64 {
	var out []float64
	for _, s := range samples {
		if v, ok := s[m]; ok {
			out = append(out, v)
		}
	}
	return out
}

// best returns the name of the baseline with the best median of m.
func best(names []string, samples map[string][]Sample, m Metric) string {
	return slices.MaxFunc(names, func(a, b string) int {
		x, y := SpreadOf(column(samples[a], m)).Median, SpreadOf(column(samples[b], m)).Median
		if m.rate() {
			return cmp.Compare(x, y)
		}
		return cmp.Compare(y, x)
	})
}
