package latency

import (
	"math"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// TestBuckets holds that the buckets tile all values, each at most 1/64 of its
// lowest value wide.
func TestBuckets(t *testing.T) {
	next := uint64(0)
	for i := range buckets {
		low, width := bounds(i)
		if low != next {
			t.Fatalf("bucket %d begins at %d, want %d", i, low, next)
		}
		if width > 1 && width*sub > low {
			t.Fatalf("bucket %d of %d values at %d is too wide", i, width, low)
		}
		if index(low) != i || index(low+width-1) != i {
			t.Fatalf("bucket %d: its ends are in %d and %d", i, index(low), index(low+width-1))
		}
		next = low + width
	}
	if next != maxValue+1 {
		t.Fatalf("the last bucket ends at %d, want %d", next, maxValue+1)
	}
}

// TestAgainstSorting compares with the exact answers of a sorted list.
func TestAgainstSorting(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		all := rapid.SliceOfN(rapid.Int64Range(0, maxValue), 1, 300).Draw(t, "ns")
		cut := rapid.IntRange(0, len(all)).Draw(t, "cut")
		var h, o Histogram
		for i, v := range all {
			if i < cut {
				h.Record(v)
			} else {
				o.Record(v)
			}
		}
		h.Add(&o)
		slices.Sort(all)
		if h.Min() != time.Duration(all[0]) || h.Max() != time.Duration(all[len(all)-1]) || h.Count() != int64(len(all)) {
			t.Fatalf("min %d, max %d, count %d of %v", h.Min(), h.Max(), h.Count(), all)
		}
		for _, q := range []float64{0, 0.25, 0.5, 0.9, 0.99, 0.999, 1} {
			rank := max(int(math.Ceil(q*float64(len(all)))), 1)
			want := float64(all[rank-1])
			if got := float64(h.Quantile(q)); math.Abs(got-want) > want/sub+1 {
				t.Fatalf("quantile %v is %v, want %v", q, got, want)
			}
		}
		var n int64
		for _, b := range h.Bars() {
			n += b.Count
		}
		if n != h.Count() {
			t.Fatalf("bars hold %d of %d", n, h.Count())
		}
	})
}

func TestExtremes(t *testing.T) {
	var h Histogram
	if h.Quantile(0.5) != 0 || h.Mean() != 0 || h.Min() != 0 || h.Max() != 0 || h.Bars() != nil {
		t.Error("an empty histogram is not all zero")
	}
	h.Record(-5)
	h.Record(math.MaxInt64)
	if h.Min() != 0 || h.Max() != math.MaxInt64 || h.Count() != 2 {
		t.Errorf("min %d, max %d, count %d", h.Min(), h.Max(), h.Count())
	}
	var sum Histogram
	sum.Add(&h)
	if sum != h {
		t.Error("adding to an empty histogram gave another one")
	}
	h.Reset()
	if h != (Histogram{}) {
		t.Error("reset left something")
	}
}

func BenchmarkRecord(b *testing.B) {
	var h Histogram
	b.ReportAllocs()
	for i := range b.N {
		h.Record(int64(i & 0xffff))
	}
}
