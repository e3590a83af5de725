package plot

import (
	"math"

	"github.com/unio-stack/unio/internal/console"
	"github.com/unio-stack/unio/internal/latency"
)

// bins is how many equal steps of the logarithmic axis the curve has at most.
const bins = 140

// drawDistribution shows which share of requests took how long.
func drawDistribution(c *canvas, h *latency.Histogram) {
	const base = distTop + distHeight
	x, ticks := decades(float64(h.Min()), float64(h.Max()), left, right)
	shares := binned(h, x)
	top := 0.0
	for _, s := range shares {
		top = max(top, s)
	}
	y, levels := rising(top*100, base, distTop, 4)
	c.text(24, distTop-40, "head", "start", "Latency distribution")
	c.text(left-4, distTop-18, "muted", "end", "% of I/O")
	for _, v := range levels {
		c.line(left, y.at(v), right, y.at(v), "grid")
		c.text(left-8, y.at(v)+4, "muted", "end", console.Count(v))
	}
	for _, v := range ticks {
		c.line(x.at(v), base, x.at(v), base+5, "axis")
		c.text(x.at(v), base+20, "muted", "middle", console.Nanos(v))
	}
	c.line(left, base, right, base, "axis")
	c.text((left+right)/2, base+40, "muted", "middle", "time from posting to completion (logarithmic)")
	spots := outline(shares, x, y)
	c.area(spots, base, "afill")
	c.curve(spots, "a")
	drawMarks(c, h, x)
}

// binned returns the share of durations in each of the bins of the axis. A
// bucket that lies in several bins is spread over them.
func binned(h *latency.Histogram, x scale) []float64 {
	shares := make([]float64, bins)
	place := func(v float64) float64 {
		v = min(max(v, x.low), x.high)
		return (x.at(v) - x.from) / (x.to - x.from) * bins
	}
	for _, b := range h.Bars() {
		from, to := place(float64(b.Low)), place(float64(b.Low+b.Width))
		share := float64(b.Count) / float64(h.Count())
		spread(shares, from, max(to, from+1e-9), share)
	}
	return shares
}

// spread adds share evenly over the bins between two places on the axis.
func spread(shares []float64, from, to, share float64) {
	for i := min(int(from), bins-1); i < bins && float64(i) < to; i++ {
		begin, end := max(from, float64(i)), min(to, float64(i+1))
		if i == bins-1 {
			end = to
		}
		shares[i] += share * max(end-begin, 0) / (to - from)
	}
}

// outline joins the middles of the bins.
func outline(shares []float64, x, y scale) []spot {
	step := (x.to - x.from) / bins
	spots := make([]spot, 0, bins)
	for i, s := range shares {
		spots = append(spots, spot{x.from + (float64(i)+0.5)*step, y.at(s * 100)})
	}
	return spots
}

// drawMarks draws the percentiles, their names in as many rows as they need.
func drawMarks(c *canvas, h *latency.Histogram, x scale) {
	s := h.Summary()
	marks := []struct {
		name string
		ns   int64
	}{{"p50", s.P50}, {"p90", s.P90}, {"p99", s.P99}, {"p99.9", s.P999}, {"max", s.Max}}
	var ends [5]float64 // of the names in each row
	for _, m := range marks {
		at := x.at(float64(m.ns))
		label := m.name + " " + console.Nanos(float64(m.ns))
		wide := float64(len([]rune(label)))*6.6 + 10
		row := 0
		start := at - wide/2
		start = min(max(start, left-20), right-wide+10)
		for row < len(ends)-1 && ends[row] > start {
			row++
		}
		ends[row] = start + wide
		y := float64(distTop - 6 + 16*row)
		c.line(at, y+4, at, distTop+distHeight, "mark")
		c.text(math.Round(start+wide/2), y, "btext", "middle", label)
	}
}
