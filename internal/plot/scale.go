package plot

import "math"

// A scale maps values to a range of the canvas, in proportion or by their
// logarithms.
type scale struct {
	low, high float64 // values; low > 0 if log
	from, to  float64 // canvas
	log       bool
}

func (s scale) at(v float64) float64 {
	lo, hi := s.low, s.high
	if s.log {
		lo, hi, v = math.Log10(lo), math.Log10(hi), math.Log10(max(v, s.low))
	}
	return s.from + (v-lo)/(hi-lo)*(s.to-s.from)
}

// rising returns a scale from 0 to a round number not below top, and the
// values to label.
func rising(top, from, to float64, labels int) (scale, []float64) {
	if top <= 0 {
		top = 1
	}
	step := roundUp(top / float64(labels))
	high := math.Ceil(top/step) * step
	var ticks []float64
	for i := 0; float64(i)*step <= high*1.0001; i++ {
		ticks = append(ticks, float64(i)*step)
	}
	return scale{low: 0, high: high, from: from, to: to}, ticks
}

// roundUp returns the next 1, 2 or 5 times a power of ten.
func roundUp(v float64) float64 {
	p := math.Pow(10, math.Floor(math.Log10(v)))
	for _, m := range []float64{1, 2, 5} {
		if m*p >= v*0.9999 {
			return m * p
		}
	}
	return 10 * p
}

// decades returns a logarithmic scale around low and high, and the values to
// label: 1, 2 and 5 of each decade, or only 1 if there are many.
func decades(low, high, from, to float64) (scale, []float64) {
	low, high = max(low, 1), max(high, low*1.01, 1.01)
	margin := math.Pow(high/low, 0.03)
	s := scale{low: low / margin, high: high * margin, from: from, to: to, log: true}
	if s.high < s.low*3 { // a narrow scale still shows a round number
		s.low, s.high = s.low/1.8, s.high*1.8
	}
	steps := []float64{1, 2, 5}
	if s.high/s.low > 1e5 {
		steps = steps[:1]
	}
	var ticks []float64
	for p := math.Pow(10, math.Floor(math.Log10(s.low))); p <= s.high; p *= 10 {
		for _, m := range steps {
			if v := m * p; v >= s.low && v <= s.high {
				ticks = append(ticks, v)
			}
		}
	}
	return s, ticks
}
