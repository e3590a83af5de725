package rows

import (
	"context"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/unio-stack/unio/bench/internal/contest"
	"github.com/unio-stack/unio/bench/internal/fio"
	"github.com/unio-stack/unio/bench/internal/standin"
)

func TestMain(m *testing.M) { standin.TestMain(m) }

func config(t *testing.T, groups ...string) Config {
	return Config{Dir: t.TempDir(), Shm: t.TempDir(), Size: 1 << 20, Time: time.Second, CPU: -1, ServerCPU: -1, Quick: true, Groups: groups}
}

// TestRowsInProcess runs the rows that need no other program once.
func TestRowsInProcess(t *testing.T) {
	c := config(t, "mem", "allocs")
	c.Time = 10 * time.Millisecond
	s, err := Prepare(context.Background(), c)
	if err != nil {
		t.Fatal(err)
	}
	if len(s.Rows) < 10 {
		t.Errorf("%d rows", len(s.Rows))
	}
	for _, r := range s.Rows {
		res := r.Run(context.Background(), 1, func(string, int) {})
		if res.Error != "" {
			t.Errorf("%s: %s", r.Name, res.Error)
		}
		for _, f := range res.Figures {
			if (f.Metric == contest.Allocs || f.Metric == contest.Syscalls) && !f.Pass {
				t.Errorf("%s: %s is %v, bar %v", r.Name, f.Metric, f.Spread.Median, f.Bar)
			}
		}
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	if left, _ := os.ReadDir(c.Dir); len(left) != 0 {
		t.Errorf("left behind: %v", left)
	}
}

func TestUnknownGroup(t *testing.T) {
	s, err := Prepare(context.Background(), config(t, "tape"))
	if err == nil || !strings.Contains(err.Error(), "tape") {
		t.Errorf("error is %v", err)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}

// TestFioRuns runs one real job.
func TestFioRuns(t *testing.T) {
	if err := fio.Check(); err != nil {
		t.Skip(err)
	}
	c := config(t)
	s := &Set{}
	defer func() { _ = s.Close() }()
	f, err := s.file(c.Dir, "f", c.Size)
	if err != nil {
		t.Fatal(err)
	}
	j := fio.Job{File: f.Path, RW: "randwrite", Engine: "psync", Depth: 1, Time: time.Second, CPU: -1}
	if j.Startup, err = j.MeasureStartup(context.Background()); err != nil {
		t.Fatal(err)
	}
	sample, err := j.Run(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	if sample[contest.IOPS] <= 0 || sample[contest.CPU] <= 0 || j.Startup <= 0 {
		t.Errorf("sample %v, startup %v", sample, j.Startup)
	}
}
