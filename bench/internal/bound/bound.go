// Package bound runs the least that remote I/O costs: the same bytes over
// loopback TCP and nothing else (bound.c, in C, so that it has no runtime
// either). Remote reads, writes and messages are held against it.
package bound

import (
	"context"
	_ "embed"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/unio-stack/unio/bench/internal/contest"
	"github.com/unio-stack/unio/bench/internal/pair"
	"github.com/unio-stack/unio/bench/internal/process"
)

//go:embed bound.c
var source string

// Check says what is missing, if there is no C compiler.
func Check() error {
	if _, err := exec.LookPath("cc"); err != nil {
		return fmt.Errorf("no cc to compile the bound with: apt-get install gcc libc6-dev (%w)", err)
	}
	return nil
}

// A Program is the compiled bound.
type Program struct{ path string }

// Build compiles the program into dir, which belongs to the caller.
func Build(ctx context.Context, dir string) (*Program, error) {
	if err := Check(); err != nil {
		return nil, err
	}
	path := filepath.Join(dir, "bound")
	if err := os.WriteFile(path+".c", []byte(source), 0o600); err != nil {
		return nil, err
	}
	out, err := exec.CommandContext(ctx, "cc", "-O2", "-Wall", "-Wextra", "-Werror", "-o", path, path+".c").CombinedOutput()
	if err != nil {
		return nil, fmt.Errorf("compile the bound: %w: %s", err, out)
	}
	return &Program{path: path}, nil
}

// A Job is what the bound is to do.
type Job struct {
	Op         string // read, write or pingpong
	Block      int    // bytes of each
	Depth      int    // in flight; a ping-pong has 1
	Memory     int64  // bytes that are read and written at random
	Spin       bool   // poll the sockets, on both sides
	Huge       bool   // the server's memory in huge pages
	Congestion string // congestion control, on both sides; "" is the machine's
	Verify     bool   // check that the bytes arrive: takes time
	Time       time.Duration
	Place      pair.Place
}

func (j Job) options() []string {
	o := []string{"--memory=" + strconv.FormatInt(j.Memory, 10)}
	if j.Spin {
		o = append(o, "--spin")
	}
	if j.Congestion != "" {
		o = append(o, "--congestion="+j.Congestion)
	}
	if j.Huge {
		o = append(o, "--huge")
	}
	if j.Verify {
		o = append(o, "--verify")
	}
	return o
}

func (j Job) serverArgs(port int) []string {
	return append(j.options(), "serve", strconv.Itoa(port))
}

func (j Job) clientArgs(port int) []string {
	args := append(j.options(), j.Op, strconv.Itoa(port))
	if j.Op != "pingpong" {
		args = append(args, strconv.Itoa(j.Depth))
	}
	return append(args, strconv.FormatFloat(j.Time.Seconds(), 'g', -1, 64), strconv.Itoa(j.Block))
}

// startupTime is how long a run is that measures the startup.
const startupTime = time.Millisecond

// Pair returns the job's server and client.
func (p *Program) Pair(j Job) *pair.Pair {
	short := j
	short.Time = startupTime
	return &pair.Pair{
		Server: func(port int) process.Command {
			return process.Command{Path: p.path, Args: j.serverArgs(port), CPU: j.Place.Server}
		},
		Client: func(port int) process.Command {
			return process.Command{Path: p.path, Args: j.clientArgs(port), CPU: j.Place.Client}
		},
		Startup: func(port int) process.Command {
			return process.Command{Path: p.path, Args: short.clientArgs(port), CPU: j.Place.Client}
		},
		Parse: func(output []byte) (pair.Outcome, error) {
			r, err := parse(output)
			if err != nil {
				return pair.Outcome{}, err
			}
			s := pair.Timed(r.IOPS, j.Block)
			if r.P99 > 0 {
				s[contest.P50], s[contest.P99] = r.P50, r.P99
			}
			return pair.Outcome{Sample: s, Operations: r.IOs}, nil
		},
		Time: j.Time,
	}
}

// report is what the client prints at its end, and the server, with less in
// it, at the end of each connection. CPU is of that side alone.
type report struct {
	Op       string  `json:"op"`
	Block    float64 `json:"block"`
	IOs      float64 `json:"ios"`
	Bytes    float64 `json:"bytes"`
	Verified float64 `json:"verified"` // operations whose bytes were checked
	IOPS     float64 `json:"iops"`
	P50      float64 `json:"p50_ns"` // only at depth 1
	P99      float64 `json:"p99_ns"`
	CPU      float64 `json:"cpu_ns_per_io"`
}

// parse reads what a client printed.
func parse(output []byte) (report, error) {
	var r report
	if err := json.Unmarshal(output, &r); err != nil {
		return r, fmt.Errorf("the bound printed no JSON: %w: %.200s", err, strings.TrimSpace(string(output)))
	}
	if r.IOs == 0 || r.IOPS == 0 {
		return r, fmt.Errorf("the bound did nothing: %.200s", output)
	}
	return r, nil
}
