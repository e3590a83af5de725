package readat

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"strconv"
	"time"

	"github.com/unio-stack/unio/bench/internal/contest"
	"github.com/unio-stack/unio/bench/internal/process"
)

// Subcommand is the first argument by which this program is asked to run Main.
const Subcommand = "readat"

// A Job is one run of the program.
type Job struct {
	API        string // os or unio
	Path       string
	Direct     bool
	Goroutines int
	Time       time.Duration
	// Startup is taken off the CPU time.
	Startup time.Duration
}

func (j Job) command() (process.Command, error) {
	self, err := os.Executable()
	return process.Command{Path: self, CPU: -1, Args: []string{
		Subcommand, "-api", j.API, "-path", j.Path, "-direct=" + strconv.FormatBool(j.Direct),
		"-goroutines", strconv.Itoa(j.Goroutines), "-time", j.Time.String(),
	}}, err
}

// MeasureStartup returns the CPU time of the same job that ends at once.
func (j Job) MeasureStartup(ctx context.Context) (time.Duration, error) {
	j.Time = time.Millisecond
	c, err := j.command()
	if err != nil {
		return 0, err
	}
	return c.Startup(ctx)
}

// Run runs the job in a process of its own.
func (j Job) Run(ctx context.Context) (contest.Sample, error) {
	c, err := j.command()
	if err != nil {
		return nil, err
	}
	r, err := c.Run(ctx)
	if err != nil {
		return nil, err
	}
	var rep Report
	if err := json.Unmarshal(r.Output, &rep); err != nil || rep.Operations == 0 {
		return nil, fmt.Errorf("readat printed %.200q: %w", r.Output, err)
	}
	return contest.Sample{
		contest.IOPS:    float64(rep.Operations) / rep.Seconds,
		contest.CPU:     process.PerOperation(r, j.Startup, float64(rep.Operations)),
		contest.Threads: float64(r.Threads),
	}, nil
}
