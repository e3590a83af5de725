// Package ucx runs ucx_perftest (Debian package ucx-utils) over TCP as a
// baseline: what HPC programs use for remote memory and messages. It polls on
// both sides and has the machine's congestion control.
package ucx

import (
	"bytes"
	"context"
	"encoding/csv"
	"fmt"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/unio-stack/unio/bench/internal/contest"
	"github.com/unio-stack/unio/bench/internal/pair"
	"github.com/unio-stack/unio/bench/internal/process"
)

// program is UCX's own benchmark.
const program = "ucx_perftest"

// Check says what is missing, if UCX is.
func Check() error {
	if _, err := exec.LookPath(program); err != nil {
		return fmt.Errorf("no %s: apt-get install ucx-utils", program)
	}
	return nil
}

// A Job is a test of ucx_perftest. Worth knowing of them:
//
//   - ucp_put_bw: a put is over for its sender when it has been sent, not when
//     it has arrived.
//   - ucp_put_lat and tag_lat: ping-pong, both ways the same bytes. What it
//     prints is half of a round trip.
//   - ucp_get at a depth of 4 or less: a get takes a millisecond, because the
//     program at the other end looks that often. It says nothing of UCX.
type Job struct {
	Test  string
	Block int
	Depth int // 0 for ping-pongs
	Time  time.Duration
	Place pair.Place
}

// roundTrip reports whether the test prints halves of round trips.
func (j Job) roundTrip() bool { return j.Depth == 0 }

// environment keeps UCX to TCP over loopback.
var environment = []string{"UCX_TLS=tcp,self", "UCX_NET_DEVICES=lo"}

func (j Job) server(port int) process.Command {
	return process.Command{Path: program, Args: []string{"-p", strconv.Itoa(port)}, CPU: j.Place.Server, Env: environment}
}

// client runs so many iterations after others that are not counted: the
// program knows no time.
func (j Job) client(port, warmup, iterations int) process.Command {
	args := []string{
		"-p", strconv.Itoa(port), "127.0.0.1", "-t", j.Test, "-s", strconv.Itoa(j.Block),
		"-w", strconv.Itoa(warmup), "-n", strconv.Itoa(iterations), "-f", "-v",
	}
	if j.Depth > 0 {
		args = append(args, "-O", strconv.Itoa(j.Depth))
	}
	return process.Command{Path: program, Args: args, CPU: j.Place.Client, Env: environment}
}

const (
	warmup = 1000
	// trialBytes at least are moved to find out how many iterations fill the time.
	trialBytes      = 256 << 20
	trialIterations = 20000
)

func (j Job) trial() int { return min(trialIterations, max(trialBytes/j.Block, warmup)) }

// Contestant returns what runs the job. Its first run is preceded by one that
// finds the number of iterations.
func (j Job) Contestant(name string) contest.Contestant {
	c := contest.Contestant{Name: name}
	if err := Check(); err != nil {
		c.Absent = err.Error()
		return c
	}
	iterations := j.trial()
	p := &pair.Pair{
		Server:  j.server,
		Client:  func(port int) process.Command { return j.client(port, warmup, iterations) },
		Startup: func(port int) process.Command { return j.client(port, 0, 1) },
		Parse:   j.parse,
		Time:    j.Time,
	}
	var once sync.Once
	c.Run = func(ctx context.Context) (contest.Sample, error) {
		var err error
		once.Do(func() {
			var trial contest.Sample
			if trial, err = p.Run(ctx); err == nil {
				iterations = max(1, int(trial[contest.IOPS]*j.Time.Seconds()))
			}
		})
		if err != nil {
			return nil, err
		}
		return p.Run(ctx)
	}
	return c
}

// The columns that are used of what -v prints, by their names.
const (
	columnIterations = "iterations"
	columnMedian     = "50.0_percentile_lat" // us
	columnLatency    = "overall_lat"         // us
)

// parse reads the CSV: a heading and the figures of the whole run.
func (j Job) parse(output []byte) (pair.Outcome, error) {
	rows, err := csv.NewReader(bytes.NewReader(output)).ReadAll()
	if err != nil {
		return pair.Outcome{}, fmt.Errorf("ucx_perftest's CSV: %w: %.200s", err, output)
	}
	if len(rows) != 2 {
		return pair.Outcome{}, fmt.Errorf("ucx_perftest printed %d rows: %.200s", len(rows), output)
	}
	figures := map[string]float64{}
	for i, name := range rows[0] {
		if figures[name], err = strconv.ParseFloat(strings.TrimSpace(rows[1][i]), 64); err != nil {
			return pair.Outcome{}, fmt.Errorf("ucx_perftest: %s: %w", name, err)
		}
	}
	latency, median, n := figures[columnLatency], figures[columnMedian], figures[columnIterations]
	if latency <= 0 || n <= 0 {
		return pair.Outcome{}, fmt.Errorf("ucx_perftest did nothing: %.200s", output)
	}
	if j.roundTrip() {
		latency, median = 2*latency, 2*median
	}
	s := pair.Timed(1e6/latency, j.Block)
	if j.roundTrip() || j.Depth == 1 {
		s[contest.P50] = median * 1e3
	}
	return pair.Outcome{Sample: s, Operations: n}, nil
}
