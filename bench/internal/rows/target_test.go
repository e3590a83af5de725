package rows

import (
	"context"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/unio-stack/unio/bench/internal/bound"
	"github.com/unio-stack/unio/bench/internal/contest"
	"github.com/unio-stack/unio/bench/internal/standin"
)

// TestTargetRows holds the list of what is compared with what, and runs one row of each kind.
func TestTargetRows(t *testing.T) {
	if err := bound.Check(); err != nil {
		t.Skip(err)
	}
	c := config(t, "target")
	c.Unio, c.Size, c.Time, c.Congestion, c.Quick = standin.Use(t, standin.Working), 8<<20, 20*time.Millisecond, "reno", false
	s, err := Prepare(context.Background(), c)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}()
	var got []string
	for _, r := range s.Rows {
		for _, c := range r.Checks {
			if c.NoBar {
				continue
			}
			sign := map[bool]string{true: ">=", false: "<="}[c.AtLeast]
			got = append(got, strings.TrimPrefix(strings.Join([]string{r.Name, string(c.Metric), c.Against, sign, barText(c.Bar)}, " "), "target "))
		}
		if !slices.Contains([]string{"target memory 4k read depth 64", "target disk 4k read depth 64", "target shm 4k write depth 64"}, r.Name) {
			continue
		}
		res := r.Run(context.Background(), 1, func(string, int) {})
		if res.Error != "" {
			t.Errorf("%s: %s", r.Name, res.Error)
		} else if v := res.Samples[contest.UnioName][0][contest.IOPS]; v != standin.IOPS {
			t.Errorf("%s: unio's IOPS are %v", r.Name, v)
		}
	}
	if want := strings.Split(strings.TrimSpace(targetBars), "\n"); !slices.Equal(got, want) {
		t.Errorf("got\n%s", strings.Join(got, "\n"))
	}
}

const targetBars = `
memory 4k read depth 64 iops bound >= 0.9
memory 4k read depth 64 target_cpu_ns_per_io bound <= 1.3
memory 4k write depth 64 iops bound >= 0.9
memory 4k read depth 1 ns_per_op bound <= 1.15
memory 4k write depth 1 ns_per_op bound <= 1.15
memory 4k read depth 64, crc iops bound >= 0.8
memory 4k write depth 64, crc iops bound >= 0.8
memory 4k read depth 1, crc ns_per_op bound <= 1.15
memory 4k write depth 1, crc ns_per_op bound <= 1.15
disk 4k read depth 64 iops local >= 0.9
disk 4k write depth 64 iops local >= 0.9
page cache 4k read depth 64 iops local+bound >= 0.8
page cache 4k write depth 64 iops local+bound >= 0.8
shm 4k read depth 64 iops local+bound >= 0.8
shm 4k write depth 64 iops local+bound >= 0.8
`

func TestInTurn(t *testing.T) {
	rate := func(r float64) func(context.Context) (contest.Sample, error) {
		return func(context.Context) (contest.Sample, error) { return contest.Sample{contest.IOPS: r}, nil }
	}
	s, err := inTurn(rate(300), rate(600))(context.Background())
	if err != nil || math.Abs(s[contest.IOPS]-200) > 1e-9 {
		t.Errorf("300 and then 600 a second are %v (%v)", s, err)
	}
}
