// Package plot draws what a benchmark measured as an SVG picture: how latencies
// are distributed, and how rate and latency went over time. The picture needs
// nothing beside itself, and follows the reader's choice of light or dark.
package plot

import (
	"fmt"
	"io"
	"time"

	"github.com/unio-stack/unio/internal/console"
	"github.com/unio-stack/unio/internal/latency"
)

// A Report is what to draw.
type Report struct {
	Title    string // one line, about 80 characters at most
	Subtitle string // one line, about 130 characters at most
	// Histogram is the distribution of latencies; it must not be empty.
	Histogram *latency.Histogram
	Timeline  []Point // in the order of time; may be empty
}

// A Point is one stretch of the timeline.
type Point struct {
	At   time.Duration // its middle, since the start
	IOPS float64
	P50  time.Duration
	P99  time.Duration
}

// The picture's measures, in SVG units.
const (
	width      = 960
	left       = 84
	right      = 930
	distTop    = 136
	distHeight = 220
	rateTop    = 440
	timeTop    = 620
	timeHeight = 120
	height     = 796
)

// WriteSVG draws the report. The error is w's, or says that there is nothing
// to draw.
func WriteSVG(w io.Writer, r Report) error {
	if r.Histogram == nil || r.Histogram.Count() == 0 {
		return fmt.Errorf("plot: no request succeeded, so there is nothing to draw")
	}
	c := new(canvas)
	bottom := height
	if len(r.Timeline) == 0 {
		bottom = rateTop
	}
	c.open(bottom, r.Title, r.describe())
	c.text(24, 36, "title", "start", r.Title)
	c.text(24, 58, "muted", "start", r.Subtitle)
	drawDistribution(c, r.Histogram)
	if len(r.Timeline) > 0 {
		drawRate(c, r.Timeline)
		drawLatency(c, r.Timeline)
	}
	c.close()
	_, err := w.Write(c.b.Bytes())
	return err
}

// describe says in words what the picture shows, for those who do not see it.
func (r Report) describe() string {
	s := r.Histogram.Summary()
	return fmt.Sprintf("%d requests; latency median %s, 99th percentile %s, 99.9th percentile %s, maximum %s",
		r.Histogram.Count(), console.Nanos(float64(s.P50)), console.Nanos(float64(s.P99)), console.Nanos(float64(s.P999)), console.Nanos(float64(s.Max)))
}
