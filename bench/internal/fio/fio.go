// Package fio runs fio (Debian package fio) as a baseline, with the settings
// that make it fastest.
package fio

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os/exec"
	"strconv"
	"time"

	"github.com/unio-stack/unio/bench/internal/contest"
	"github.com/unio-stack/unio/bench/internal/process"
)

// A Job is what fio is to do: 4 KiB each, at random, in a file that exists.
type Job struct {
	File   string
	RW     string // randread or randwrite
	Engine string // io_uring or psync; psync does one at a time
	Depth  int
	Direct bool
	Time   time.Duration
	CPU    int // to be pinned to, -1 for none
	// Startup is taken off the CPU time.
	Startup time.Duration
}

// Check says what is missing, if fio is.
func Check() error {
	if _, err := exec.LookPath("fio"); err != nil {
		return fmt.Errorf("no fio, which is the baseline: apt-get install fio (%w)", err)
	}
	return nil
}

// args are fio's arguments. fio must neither drop a cached file from the page
// cache at its start (invalidate) nor use a file of another size.
func (j Job) args() []string {
	a := []string{
		"--name=t", "--filename=" + j.File, "--rw=" + j.RW, "--bs=4k", "--ioengine=" + j.Engine,
		"--norandommap", "--randrepeat=0", "--invalidate=0", "--output-format=json",
	}
	if j.Direct {
		a = append(a, "--direct=1")
	}
	if j.Engine == "io_uring" {
		a = append(a, "--fixedbufs=1", "--registerfiles=1", "--iodepth="+strconv.Itoa(j.Depth))
		if batch := j.Depth / 4; batch > 1 {
			a = append(a, "--iodepth_batch="+strconv.Itoa(batch), "--iodepth_batch_complete_min=1")
		}
	}
	if j.Time == 0 {
		return append(a, "--number_ios=1")
	}
	return append(a, "--time_based", "--runtime="+strconv.Itoa(int(j.Time.Round(time.Second).Seconds())))
}

func (j Job) command() process.Command {
	return process.Command{Path: "fio", Args: j.args(), CPU: j.CPU}
}

// MeasureStartup returns the CPU time of the same job with one I/O to do.
func (j Job) MeasureStartup(ctx context.Context) (time.Duration, error) {
	j.Time = 0
	return j.command().Startup(ctx)
}

// Run runs the job.
func (j Job) Run(ctx context.Context) (contest.Sample, error) {
	r, err := j.command().Run(ctx)
	if err != nil {
		return nil, err
	}
	d, err := parse(r.Output)
	if err != nil {
		return nil, err
	}
	return contest.Sample{
		contest.IOPS: d.IOPS,
		contest.CPU:  process.PerOperation(r, j.Startup, d.Total),
		contest.P50:  d.Completion.Percentile["50.000000"],
		contest.P99:  d.Completion.Percentile["99.000000"],
	}, nil
}

// direction is what fio reports of reads or of writes.
type direction struct {
	IOPS       float64 `json:"iops"`
	Total      float64 `json:"total_ios"`
	Completion struct {
		Percentile map[string]float64 `json:"percentile"` // ns
	} `json:"clat_ns"`
}

// parse reads fio's JSON, which warnings may precede.
func parse(output []byte) (direction, error) {
	start := bytes.IndexByte(output, '{')
	if start < 0 {
		return direction{}, fmt.Errorf("fio printed no JSON: %.200s", output)
	}
	var report struct {
		Jobs []struct {
			Error int
			Read  direction
			Write direction
		}
	}
	if err := json.Unmarshal(output[start:], &report); err != nil {
		return direction{}, fmt.Errorf("fio's JSON: %w", err)
	}
	if len(report.Jobs) != 1 || report.Jobs[0].Error != 0 {
		return direction{}, fmt.Errorf("fio reports %d jobs, or an error in its job", len(report.Jobs))
	}
	j := report.Jobs[0]
	if j.Read.Total+j.Write.Total == 0 {
		return direction{}, fmt.Errorf("fio did no I/O")
	}
	if j.Write.Total > 0 {
		return j.Write, nil
	}
	return j.Read, nil
}
