package latency

// A Summary is a histogram in a few numbers, in nanoseconds.
type Summary struct {
	Mean  int64 `json:"mean"`
	Min   int64 `json:"min"`
	P50   int64 `json:"p50"`
	P90   int64 `json:"p90"`
	P99   int64 `json:"p99"`
	P999  int64 `json:"p999"`
	P9999 int64 `json:"p9999"`
	Max   int64 `json:"max"`
}

// Summary returns the mean, the extremes and the usual percentiles.
func (h *Histogram) Summary() Summary {
	q := func(q float64) int64 { return int64(h.Quantile(q)) }
	return Summary{
		Mean: int64(h.Mean()), Min: int64(h.Min()), Max: int64(h.Max()),
		P50: q(0.5), P90: q(0.9), P99: q(0.99), P999: q(0.999), P9999: q(0.9999),
	}
}
