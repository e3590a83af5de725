package rows

import (
	"context"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/unio-stack/unio/bench/internal/bound"
	"github.com/unio-stack/unio/bench/internal/contest"
	"github.com/unio-stack/unio/bench/internal/standin"
)

// remoteRows returns the rows of the group remote with unio's stand-in.
func remoteRows(t *testing.T, change func(*Config)) []contest.Row {
	t.Helper()
	if err := bound.Check(); err != nil {
		t.Skip(err)
	}
	c := config(t, "remote")
	c.Unio, c.Size, c.Time, c.Congestion = standin.Use(t, standin.Working), 8<<20, 20*time.Millisecond, "reno"
	if change != nil {
		change(&c)
	}
	s, err := Prepare(context.Background(), c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s.Rows
}

// TestRemoteRowsRun runs a row of each kind once, but those of thousands of
// connections.
func TestRemoteRowsRun(t *testing.T) {
	wanted := []string{"remote 4k read depth 64", "remote 256k write depth 16", "remote 64 B ping-pong, polling, crc", "remote 8 B fetch-add depth 64"}
	ran := 0
	for _, r := range remoteRows(t, nil) {
		if !slices.Contains(wanted, r.Name) {
			continue
		}
		ran++
		res := r.Run(context.Background(), 1, func(string, int) {})
		if res.Error != "" {
			t.Errorf("%s: %s", r.Name, res.Error)
			continue
		}
		figures := len(res.Figures)
		for _, c := range r.Checks {
			if res.Absent[c.Against] != "" {
				figures++
			}
		}
		if figures != len(r.Checks) {
			t.Errorf("%s: %d figures of %d checks", r.Name, figures, len(r.Checks))
		}
		if v := res.Samples[contest.UnioName][0][contest.IOPS]; v != standin.IOPS {
			t.Errorf("%s: unio's IOPS are %v", r.Name, v)
		}
	}
	if ran != len(wanted) {
		t.Errorf("%d of the rows %q", ran, wanted)
	}
}

// TestRemoteBars holds the list of what is compared with what.
func TestRemoteBars(t *testing.T) {
	var got []string
	for _, r := range remoteRows(t, func(c *Config) { c.Quick = false }) {
		for _, c := range r.Checks {
			if c.NoBar {
				continue
			}
			sign := map[bool]string{true: ">=", false: "<="}[c.AtLeast]
			got = append(got, strings.TrimPrefix(strings.Join([]string{r.Name, string(c.Metric), c.Against, sign, barText(c.Bar)}, " "), "remote "))
		}
	}
	want := strings.Split(strings.TrimSpace(bars), "\n")
	if !slices.Equal(got, want) {
		t.Errorf("got\n%s", strings.Join(got, "\n"))
	}
}

func TestPollingHasNoTargetCPU(t *testing.T) {
	for _, r := range remoteRows(t, func(c *Config) { c.Spin = true }) {
		for _, c := range r.Checks {
			if c.Metric == contest.TargetCPU {
				t.Errorf("%s compares CPU times of loops that poll", r.Name)
			}
		}
	}
}

func barText(bar float64) string { return strconv.FormatFloat(bar, 'f', -1, 64) }

const bars = `
4k read depth 64 iops bound >= 0.9
4k read depth 64 iops ucx >= 1
4k write depth 64 iops bound >= 0.9
4k write depth 64 iops ucx >= 1
4k read depth 1 ns_per_op bound <= 1.15
4k write depth 1 ns_per_op bound <= 1.15
256k read depth 16 bytes_per_second bound >= 0.9
256k read depth 16 bytes_per_second ucx >= 1
256k write depth 16 bytes_per_second bound >= 0.9
256k write depth 16 bytes_per_second ucx >= 1
64 B ping-pong, polling ns_per_op bound <= 1.1
64 B ping-pong, polling ns_per_op ucx <= 1
8 B fetch-add depth 64 iops 4k reads >= 1
8 B fetch-add depth 64 iops ucx >= 1
4k read depth 64, crc iops bound >= 0.8
4k write depth 64, crc iops bound >= 0.8
4k read depth 1, crc ns_per_op bound <= 1.15
4k write depth 1, crc ns_per_op bound <= 1.15
256k read depth 16, crc bytes_per_second bound >= 0.9
256k write depth 16, crc bytes_per_second bound >= 0.9
64 B ping-pong, polling, crc ns_per_op bound <= 1.1
8 B fetch-add depth 64, crc iops 4k reads >= 1
10000 idle connections, each bytes  <= 16384
10000 dials dials_per_minute  >= 10000
10000 dials descriptors_leaked  <= 0
10000 dials goroutines_leaked  <= 0
10000 dials bytes  <= 1000000
`
