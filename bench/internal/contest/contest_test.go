package contest

import (
	"bytes"
	"context"
	"errors"
	"math"
	"slices"
	"strings"
	"testing"
)

// steady is a contestant that measures the same each time and notes its turns.
func steady(name string, turns *[]string, s Sample) Contestant {
	return Contestant{Name: name, Run: func(context.Context) (Sample, error) {
		*turns = append(*turns, name)
		return s, nil
	}}
}

func silent(string, int) {}

func TestContestantsTakeTurns(t *testing.T) {
	var turns []string
	r := Row{
		Unio:      steady(UnioName, &turns, Sample{IOPS: 3}),
		Baselines: []Contestant{steady("a", &turns, Sample{IOPS: 1}), steady("b", &turns, Sample{IOPS: 2})},
		Better:    IOPS,
	}
	r.Run(context.Background(), 2, silent)
	if want := []string{UnioName, "a", "b", UnioName, "a", "b"}; !slices.Equal(turns, want) {
		t.Errorf("turns %q, want %q", turns, want)
	}
}

func TestTheBestBaselineCounts(t *testing.T) {
	var turns []string
	r := Row{
		Unio: steady(UnioName, &turns, Sample{IOPS: 300, CPU: 10}),
		Baselines: []Contestant{
			steady("slow", &turns, Sample{IOPS: 100, CPU: 1}), steady("fast", &turns, Sample{IOPS: 200, CPU: 20}),
		},
		Better: IOPS,
		Checks: []Check{
			{Metric: IOPS, Kind: Ratio, AtLeast: true, Bar: 1.6},
			{Metric: CPU, Kind: Ratio, Bar: 0.5},
			{Metric: CPU, Kind: Difference, Bar: -11},
		},
	}
	res := r.Run(context.Background(), 3, silent)
	if res.Best != "fast" {
		t.Fatalf("best baseline is %q", res.Best)
	}
	for i, want := range []struct {
		median float64
		pass   bool
	}{{1.5, false}, {0.5, true}, {-10, false}} {
		if f := res.Figures[i]; f.Spread.Median != want.median || f.Pass != want.pass {
			t.Errorf("figure %d: median %v, pass %v; want %v", i, f.Spread.Median, f.Pass, want)
		}
	}
}

func TestLessIsBetterForAllButIOPS(t *testing.T) {
	samples := map[string][]Sample{"a": {{Time: 5}}, "b": {{Time: 4}}}
	if got := best([]string{"a", "b"}, samples, Time); got != "b" {
		t.Errorf("best by time is %q", got)
	}
}

func TestSpreadOf(t *testing.T) {
	for _, c := range []struct {
		in   []float64
		want Spread
	}{
		{[]float64{3}, Spread{3, 3, 3}},
		{[]float64{3, 1, 2}, Spread{1, 2, 3}},
		{[]float64{4, 1, 2, 3}, Spread{1, 2.5, 4}},
	} {
		if got := SpreadOf(c.in); got != c.want {
			t.Errorf("SpreadOf(%v) = %v, want %v", c.in, got, c.want)
		}
	}
	if s := SpreadOf(nil); !math.IsNaN(s.Median) {
		t.Errorf("SpreadOf(nil) = %v", s)
	}
}

func TestAnErrorEndsItsRowAlone(t *testing.T) {
	var turns []string
	r := Row{
		Name: "row", Unio: steady(UnioName, &turns, Sample{}),
		Baselines: []Contestant{{Name: "b", Run: func(context.Context) (Sample, error) { return nil, errors.New("no fio") }}},
	}
	res := r.Run(context.Background(), 2, silent)
	if res.Error != "b: no fio" || len(res.Figures) != 0 {
		t.Errorf("error %q, figures %v", res.Error, res.Figures)
	}
	var out bytes.Buffer
	res.Print(&out)
	if !strings.Contains(out.String(), "no fio") {
		t.Errorf("printed %q", out.String())
	}
}

func TestPrintSaysWhetherTheBarIsMet(t *testing.T) {
	var out bytes.Buffer
	PrintHead(&out)
	Result{Name: "disk", Best: "fio", Figures: []Figure{
		{Check: Check{Metric: IOPS, Kind: Ratio, AtLeast: true, Bar: 1}, Unio: 90e3, Baseline: 80e3, Spread: Spread{1, 1.125, 1.2}, Pass: true},
		{Check: Check{Metric: Memory, Kind: Value, Bar: 65536}, Unio: 70000, Spread: Spread{7e4, 7e4, 7e4}},
	}}.Print(&out)
	for _, want := range []string{"90.0k/s", "80.0k/s fio", "1.00 / 1.12 / 1.20 x", ">= 1", "pass", "<= 64KiB", "MISS"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %q in:\n%s", want, out.String())
		}
	}
}

func TestNothingToCompareWithIsAnError(t *testing.T) {
	var turns []string
	r := Row{
		Unio: steady(UnioName, &turns, Sample{IOPS: 3}), Baselines: []Contestant{steady("idle", &turns, Sample{IOPS: 0})},
		Better: IOPS, Checks: []Check{{Metric: IOPS, Kind: Ratio, AtLeast: true, Bar: 1}},
	}
	if res := r.Run(context.Background(), 1, silent); res.Error == "" {
		t.Errorf("figures %v", res.Figures)
	}
}

func TestAChecksOwnBaselineCounts(t *testing.T) {
	var turns []string
	r := Row{
		Unio: steady(UnioName, &turns, Sample{IOPS: 90e3, TargetCPU: 3}),
		Baselines: []Contestant{
			steady("bound", &turns, Sample{IOPS: 100e3, TargetCPU: 2}), steady("peer", &turns, Sample{IOPS: 45e3}),
		},
		Checks: []Check{
			{Metric: IOPS, Kind: Ratio, AtLeast: true, Bar: 0.9, Against: "bound"},
			{Metric: IOPS, Kind: Ratio, AtLeast: true, Bar: 1, Against: "peer"},
			{Metric: TargetCPU, Kind: Ratio, NoBar: true, Against: "bound"},
		},
	}
	res := r.Run(context.Background(), 2, silent)
	if len(res.Figures) != 3 {
		t.Fatalf("%d figures, error %q", len(res.Figures), res.Error)
	}
	for i, want := range []struct {
		median, baseline float64
		pass             bool
	}{{0.9, 100e3, true}, {2, 45e3, true}, {1.5, 2, false}} {
		if f := res.Figures[i]; f.Spread.Median != want.median || f.Baseline != want.baseline || f.Pass != want.pass {
			t.Errorf("figure %d: %+v, want %+v", i, f, want)
		}
	}
	var out bytes.Buffer
	res.Print(&out)
	if lines := strings.Split(strings.TrimSpace(out.String()), "\n"); !strings.Contains(lines[0], "100.0k/s bound") ||
		!strings.HasSuffix(strings.TrimSpace(lines[2]), "-") {
		t.Errorf("printed:\n%s", out.String())
	}
}

func TestAnAbsentBaselineIsNamedAndNothingElseSuffers(t *testing.T) {
	var turns []string
	r := Row{
		Name: "row", Unio: steady(UnioName, &turns, Sample{IOPS: 2}),
		Baselines: []Contestant{steady("bound", &turns, Sample{IOPS: 1}), {Name: "peer", Absent: "not installed"}},
		Better:    IOPS,
		Checks: []Check{
			{Metric: IOPS, Kind: Ratio, AtLeast: true, Bar: 1},
			{Metric: IOPS, Kind: Ratio, AtLeast: true, Bar: 1, Against: "peer"},
		},
	}
	res := r.Run(context.Background(), 1, silent)
	if res.Error != "" || len(res.Figures) != 1 || res.Best != "bound" || !res.Figures[0].Pass {
		t.Errorf("result %+v", res)
	}
	var out bytes.Buffer
	res.Print(&out)
	if !strings.Contains(out.String(), "absent: peer: not installed") {
		t.Errorf("printed:\n%s", out.String())
	}
}
