// Package latency counts durations in a histogram of fixed size whose buckets
// grow with what they count, as HdrHistogram's do: 64 to each power of two, so
// that any value is known to within 1.6% and recording costs one increment.
package latency

import (
	"math"
	"math/bits"
	"time"
)

const (
	subBits = 6 // 64 buckets per power of two
	sub     = 1 << subBits
	// maxValue is where the last bucket ends: 2^42 ns is 73 minutes. What is
	// longer counts as that.
	maxValue = 1<<42 - 1
	buckets  = (42-1-subBits)<<subBits + 2*sub
)

// A Histogram counts durations of 0 to 73 minutes, in nanoseconds. The zero
// value is empty and ready. It has one owner at a time; it is 19 KiB large, so
// pass it by pointer.
type Histogram struct {
	counts [buckets]uint64
	n      uint64
	sum    uint64
	min    uint64 // valid if n > 0
	max    uint64
}

// Record counts one duration in nanoseconds; a negative one counts as 0.
func (h *Histogram) Record(ns int64) {
	v := uint64(max(ns, 0))
	if h.n == 0 || v < h.min {
		h.min = v
	}
	h.max = max(h.max, v)
	h.n++
	h.sum += v
	h.counts[index(min(v, maxValue))]++
}

// index returns the bucket of v, which is at most maxValue.
func index(v uint64) int {
	if v < sub {
		return int(v)
	}
	shift := bits.Len64(v) - 1 - subBits
	return shift<<subBits + int(v>>shift)
}

// bounds returns the smallest value of bucket i and how many values it holds.
func bounds(i int) (low, width uint64) {
	if i < 2*sub {
		return uint64(i), 1
	}
	shift := i>>subBits - 1
	return uint64(i-shift<<subBits) << shift, 1 << shift
}

// Add counts what o has counted.
func (h *Histogram) Add(o *Histogram) {
	if o.n == 0 {
		return
	}
	if h.n == 0 || o.min < h.min {
		h.min = o.min
	}
	h.max = max(h.max, o.max)
	h.n += o.n
	h.sum += o.sum
	// Only the buckets between the extremes can hold anything.
	for i := index(min(o.min, maxValue)); i <= index(min(o.max, maxValue)); i++ {
		h.counts[i] += o.counts[i]
	}
}

// Reset empties the histogram.
func (h *Histogram) Reset() {
	if h.n > 0 {
		*h = Histogram{}
	}
}

// Count returns how many durations were recorded.
func (h *Histogram) Count() int64 { return int64(h.n) }

// Min returns the shortest duration, exactly, or 0 if there is none.
func (h *Histogram) Min() time.Duration {
	if h.n == 0 {
		return 0
	}
	return time.Duration(h.min)
}

// Max returns the longest duration, exactly, or 0 if there is none.
func (h *Histogram) Max() time.Duration { return time.Duration(h.max) }

// Mean returns the average, exactly, or 0 if there is nothing to average.
func (h *Histogram) Mean() time.Duration {
	if h.n == 0 {
		return 0
	}
	return time.Duration(h.sum / h.n)
}

// Quantile returns the duration that the fraction q of all are no longer than,
// to within 1.6%, and never outside Min and Max. q is 0 to 1: 0.99 is the 99th
// percentile. It is 0 if nothing was recorded.
func (h *Histogram) Quantile(q float64) time.Duration {
	if h.n == 0 {
		return 0
	}
	rank := uint64(math.Ceil(min(max(q, 0), 1) * float64(h.n)))
	rank = min(max(rank, 1), h.n)
	if rank == h.n {
		return time.Duration(h.max)
	}
	var seen uint64
	for i := range h.counts {
		if seen += h.counts[i]; seen >= rank {
			low, width := bounds(i)
			return time.Duration(min(max(low+width/2, h.min), h.max))
		}
	}
	return time.Duration(h.max)
}

// A Bar is one bucket that is not empty: Count durations from Low on, before
// Low+Width.
type Bar struct {
	Low, Width time.Duration
	Count      int64
}

// Bars returns the buckets that are not empty, shortest durations first.
func (h *Histogram) Bars() []Bar {
	var bars []Bar
	for i, n := range h.counts {
		if n > 0 {
			low, width := bounds(i)
			bars = append(bars, Bar{time.Duration(low), time.Duration(width), int64(n)})
		}
	}
	return bars
}
