package contest

import (
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
	// Better is the metric by which the best baseline is chosen.
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
	all := append([]Contestant{r.Unio}, r.Baselines...)
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

// judge compares the samples, round by round.
func (r Row) judge(res *Result) {
	var names []string
	for _, b := range r.Baselines {
		names = append(names, b.Name)
	}
	if len(names) > 0 {
		res.Best = best(names, res.Samples, r.Better)
	}
	unio, base := res.Samples[UnioName], res.Samples[res.Best]
	for _, c := range r.Checks {
		var figures []float64
		for i := range unio {
			var b Sample
			if i < len(base) {
				b = base[i]
			}
			figures = append(figures, c.compare(unio[i], b))
		}
		f := Figure{Check: c, Spread: SpreadOf(figures), Unio: SpreadOf(column(unio, c.Metric)).Median}
		if sum := f.Spread.Min + f.Spread.Max; math.IsNaN(sum) || math.IsInf(sum, 0) {
			res.Error = fmt.Sprintf("%s: nothing to compare with: unio %v, %s %v", c.Metric, f.Unio, res.Best, column(base, c.Metric))
			return
		}
		if res.Best != "" && c.Kind != Value {
			f.Baseline = SpreadOf(column(base, c.Metric)).Median
		}
		f.Pass = c.meets(f.Spread.Median)
		res.Figures = append(res.Figures, f)
	}
}
