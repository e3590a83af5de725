// Package uniocmd runs the commands unio bench and unio peer, as a script would.
package uniocmd

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"time"

	"github.com/unio-stack/unio/bench/internal/contest"
	"github.com/unio-stack/unio/bench/internal/process"
)

// A Job is what unio bench is to do: 4 KiB each, at random, in a file that exists.
type Job struct {
	Binary string
	URL    string
	RW     string // randread or randwrite
	Depth  int
	Pin    bool // the channel to its OS thread, as fio does
	Time   time.Duration
	CPU    int // to be pinned to, -1 for none
	// Startup is taken off the CPU time.
	Startup time.Duration
}

// startupTime is how long a run is that measures the startup.
const startupTime = time.Millisecond

func (j Job) command() process.Command {
	args := []string{"bench", j.URL, "--rw", j.RW, "--bs", "4096", "--depth", strconv.Itoa(j.Depth), "--time", j.Time.String(), "--json"}
	if j.Pin {
		args = append(args, "--pin")
	}
	return process.Command{Path: j.Binary, CPU: j.CPU, Args: args}
}

// MeasureStartup returns the CPU time of the same job that ends at once.
func (j Job) MeasureStartup(ctx context.Context) (time.Duration, error) {
	j.Time = startupTime
	return j.command().Startup(ctx)
}

// report is the part of the command's JSON that is used here.
type report struct {
	Operations float64 `json:"operations"`
	IOPS       float64 `json:"iops"`
	Latency    struct {
		P50 float64 `json:"p50"`
		P99 float64 `json:"p99"`
	} `json:"latency_ns"`
	SyscallsPerIO float64 `json:"syscalls_per_io"`
	Bounced       int64   `json:"bounced_bytes"`
	Errors        int64   `json:"errors"`
}

// Run runs the job.
func (j Job) Run(ctx context.Context) (contest.Sample, error) {
	r, err := j.command().Run(ctx)
	if err != nil {
		return nil, err
	}
	rep, err := parse(r.Output)
	if err != nil {
		return nil, err
	}
	return contest.Sample{
		contest.IOPS:     rep.IOPS,
		contest.CPU:      process.PerOperation(r, j.Startup, rep.Operations),
		contest.P50:      rep.Latency.P50,
		contest.P99:      rep.Latency.P99,
		contest.Syscalls: rep.SyscallsPerIO,
	}, nil
}

func parse(output []byte) (report, error) {
	var rep report
	if err := json.Unmarshal(output, &rep); err != nil {
		return rep, fmt.Errorf("unio bench printed no JSON: %w: %.200s", err, output)
	}
	if rep.Errors > 0 || rep.Operations == 0 || rep.IOPS == 0 {
		return rep, fmt.Errorf("unio bench: %v operations, %d errors", rep.Operations, rep.Errors)
	}
	return rep, nil
}
