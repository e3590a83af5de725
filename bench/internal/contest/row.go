package contest

import (
	"cmp"
	"context"
	"fmt"
	"math"
)

// Kind says how a check compares.
type Kind string

// The kinds of check.
const (
	Ratio      Kind = "ratio"      // unio / baseline
	Difference Kind = "difference" // unio - baseline
	Value      Kind = "value"      // unio alone
)

// A Check is one figure of a row and the bar that it should reach.
type Check struct {
	Metric Metric `json:"metric"`
	Kind   Kind   `json:"kind"`
	// AtLeast: the bar is a lower bound, otherwise an upper one.
	AtLeast bool    `json:"at_least"`
	Bar     float64 `json:"bar"`
	// NoBar: the figure is shown, not judged.
	NoBar bool `json:"no_bar,omitempty"`
	// Against names the baseline to compare with; without it, the row's best.
	Against string `json:"against,omitempty"`
}

// meets reports whether a figure reaches the bar.
func (c Check) meets(figure float64) bool {
	if c.AtLeast {
		return figure >= c.Bar
	}
	return figure <= c.Bar
}

// compare computes the check's figure for one round.
func (c Check) compare(unio, baseline Sample) float64 {
	switch c.Kind {
	case Ratio:
		return unio[c.Metric] / baseline[c.Metric]
	case Difference:
		return unio[c.Metric] - baseline[c.Metric]
	}
	return unio[c.Metric]
}

// A Row compares unio with one or more baselines, the best of which counts.
type Row struct {
	Name      string
	Group     string // what -rows selects by
	Unio      Contestant
	Baselines []Contestant
	// Better is the metric by which the best baseline is chosen. It counts
	// where a check names none.
	Better Metric
	Checks []Check
}

// A Result is what all rounds of a row measured.
type Result struct {
	Name    string              `json:"name"`
	Group   string              `json:"group"`
	Best    string              `json:"best_baseline,omitempty"`
	Samples map[string][]Sample `json:"samples"` // by contestant, a sample a round
	Figures []Figure            `json:"figures"`
	Absent  map[string]string   `json:"absent,omitempty"` // baselines left out, and why
	Error   string              `json:"error,omitempty"`
}

// A Figure is how a check came out. It passes if its median meets the bar.
type Figure struct {
	Check
	Unio     float64 `json:"unio"`               // median
	Baseline float64 `json:"baseline,omitempty"` // median
	Spread   Spread  `json:"spread"`             // of the comparison, over the rounds
	Pass     bool    `json:"pass"`
}

// UnioName is unio's name among a result's samples.
const UnioName = "unio"

// Run runs the row's contestants in turn, A B A B, as many rounds as asked.
// said is told what runs next.
func (r Row) Run(ctx context.Context, rounds int, said func(contestant string, round int)) Result {
	res := Result{Name: r.Name, Group: r.Group, Samples: map[string][]Sample{}}
	r.Unio.Name = UnioName
	all := []Contestant{r.Unio}
	for _, b := range r.Baselines {
		if b.Absent == "" {
			all = append(all, b)
			continue
		}
		if res.Absent == nil {
			res.Absent = map[string]string{}
		}
		res.Absent[b.Name] = b.Absent
	}
	for round := range rounds {
		for _, c := range all {
			said(c.Name, round)
			s, err := c.Run(ctx)
			if err != nil {
				res.Error = fmt.Sprintf("%s: %v", c.Name, err)
				return res
			}
			res.Samples[c.Name] = append(res.Samples[c.Name], s)
		}
	}
	r.judge(&res)
	return res
}

// judge compares the samples, round by round. What has no baseline to be held
// against is left out.
func (r Row) judge(res *Result) {
	var names []string
	for _, b := range r.Baselines {
		if b.Absent == "" {
			names = append(names, b.Name)
		}
	}
	if len(names) > 0 && r.Better != "" {
		res.Best = best(names, res.Samples, r.Better)
	}
	for _, c := range r.Checks {
		if res.Absent[c.Against] != "" {
			continue
		}
		than := cmp.Or(c.Against, res.Best)
		f, ok := c.judge(res.Samples[UnioName], res.Samples[than])
		if !ok {
			res.Error = fmt.Sprintf("%s: nothing to compare with: unio %v, %s %v",
				c.Metric, f.Unio, than, column(res.Samples[than], c.Metric))
			return
		}
		res.Figures = append(res.Figures, f)
	}
}

// judge compares round by round. It is not ok if a round has nothing to compare.
func (c Check) judge(unio, base []Sample) (f Figure, ok bool) {
	var figures []float64
	for i := range unio {
		var b Sample
		if i < len(base) {
			b = base[i]
		}
		figures = append(figures, c.compare(unio[i], b))
	}
	f = Figure{Check: c, Spread: SpreadOf(figures), Unio: SpreadOf(column(unio, c.Metric)).Median}
	if sum := f.Spread.Min + f.Spread.Max; math.IsNaN(sum) || math.IsInf(sum, 0) {
		return f, false
	}
	if len(base) > 0 && c.Kind != Value {
		f.Baseline = SpreadOf(column(base, c.Metric)).Median
	}
	f.Pass = !c.NoBar && c.meets(f.Spread.Median)
	return f, true
}
