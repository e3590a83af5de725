package plot

import (
	"time"

	"github.com/unio-stack/unio/internal/console"
)

// drawRate shows IOPS over time.
func drawRate(c *canvas, points []Point) {
	top := 0.0
	for _, p := range points {
		top = max(top, p.IOPS)
	}
	y, levels := rising(top, rateTop+timeHeight, rateTop, 3)
	x := drawTime(c, points, rateTop, "I/O per second over time", false)
	for _, v := range levels {
		c.line(left, y.at(v), right, y.at(v), "grid")
		c.text(left-8, y.at(v)+4, "muted", "end", console.Count(v))
	}
	spots := make([]spot, len(points))
	for i, p := range points {
		spots[i] = spot{x.at(p.At.Seconds()), y.at(p.IOPS)}
	}
	c.area(spots, y.from, "afill")
	c.curve(spots, "a")
}

// drawLatency shows median and 99th percentile over time.
func drawLatency(c *canvas, points []Point) {
	low, high := points[0].P50, points[0].P99
	for _, p := range points {
		low, high = min(low, p.P50), max(high, p.P99)
	}
	y, levels := decades(float64(low), float64(high), timeTop+timeHeight, timeTop)
	x := drawTime(c, points, timeTop, "Latency over time (logarithmic)", true)
	if len(levels) > 5 {
		levels = thin(levels)
	}
	for _, v := range levels {
		c.line(left, y.at(v), right, y.at(v), "grid")
		c.text(left-8, y.at(v)+4, "muted", "end", console.Nanos(v))
	}
	half := make([]spot, len(points))
	tail := make([]spot, len(points))
	for i, p := range points {
		half[i] = spot{x.at(p.At.Seconds()), y.at(float64(p.P50))}
		tail[i] = spot{x.at(p.At.Seconds()), y.at(float64(p.P99))}
	}
	c.curve(half, "a")
	c.curve(tail, "b")
	c.line(right-140, timeTop-18, right-118, timeTop-18, "a")
	c.text(right-112, timeTop-14, "atext", "start", "p50")
	c.line(right-66, timeTop-18, right-44, timeTop-18, "b")
	c.text(right-38, timeTop-14, "btext", "start", "p99")
}

// thin keeps every value but those of 2 and 5 in a decade.
func thin(levels []float64) []float64 {
	var kept []float64
	for _, v := range levels {
		if n := console.Nanos(v); n[0] == '1' {
			kept = append(kept, v)
		}
	}
	return kept
}

// drawTime draws the heading and the axis of time under a panel at top.
func drawTime(c *canvas, points []Point, top float64, heading string, named bool) scale {
	end := points[len(points)-1].At
	if n := len(points); n > 1 {
		end += (points[n-1].At - points[n-2].At) / 2
	} else {
		end *= 2
	}
	x, ticks := rising(max(end, time.Millisecond).Seconds(), left, right, 10)
	x.high = max(end.Seconds(), 1e-3)
	base := top + timeHeight
	c.text(24, top-16, "head", "start", heading)
	for _, v := range ticks {
		if v > x.high {
			break
		}
		c.line(x.at(v), base, x.at(v), base+5, "axis")
		c.text(x.at(v), base+20, "muted", "middle", console.Count(v)+" s")
	}
	c.line(left, base, right, base, "axis")
	if named {
		c.text((left+right)/2, base+40, "muted", "middle", "time since the start of the measurement")
	}
	return x
}
