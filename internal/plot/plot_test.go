package plot

import (
	"bytes"
	"encoding/xml"
	"errors"
	"io"
	"math"
	"math/rand/v2"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/unio-stack/unio/internal/console"
	"github.com/unio-stack/unio/internal/latency"
)

func sample(n int) Report {
	r := Report{Title: `randread 4 KiB <"&'> on a disk`, Subtitle: "depth 64, 1 channel", Histogram: new(latency.Histogram)}
	rng := rand.New(rand.NewPCG(1, 2))
	for range n {
		r.Histogram.Record(int64(85e3 * math.Exp(rng.NormFloat64()*0.25)))
		if rng.IntN(50) == 0 {
			r.Histogram.Record(int64(900e3 * math.Exp(rng.NormFloat64()*0.5)))
		}
	}
	for i := range 50 {
		at := time.Duration(i)*100*time.Millisecond + 50*time.Millisecond
		r.Timeline = append(r.Timeline, Point{
			At: at, IOPS: 230e3 + 9e3*rng.NormFloat64(), P50: 85 * time.Microsecond,
			P99: time.Duration(400e3 * math.Exp(rng.NormFloat64()*0.2)),
		})
	}
	return r
}

// wellFormed reads the picture as XML and refuses numbers that are none.
func wellFormed(t *testing.T, r Report) string {
	t.Helper()
	var b bytes.Buffer
	if err := WriteSVG(&b, r); err != nil {
		t.Fatal(err)
	}
	d := xml.NewDecoder(strings.NewReader(b.String()))
	for {
		if _, err := d.Token(); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
	}
	for _, bad := range []string{"NaN", "Inf"} {
		if strings.Contains(b.String(), bad) {
			t.Errorf("the picture contains %s", bad)
		}
	}
	return b.String()
}

func TestWriteSVG(t *testing.T) {
	svg := wellFormed(t, sample(20000))
	for _, want := range []string{"p99.9 ", "I/O per second over time", "prefers-color-scheme: dark", "&lt;&#34;&amp;&#39;&gt;"} {
		if !strings.Contains(svg, want) {
			t.Errorf("the picture lacks %q", want)
		}
	}
	if path := os.Getenv("UNIO_PLOT_SAMPLE"); path != "" {
		if err := os.WriteFile(path, []byte(svg), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

func TestOddData(t *testing.T) {
	same := Report{Histogram: new(latency.Histogram)}
	same.Histogram.Record(0)
	wellFormed(t, same)
	same.Timeline = []Point{{}}
	wellFormed(t, same)
	wide := Report{Histogram: new(latency.Histogram), Timeline: []Point{{At: time.Hour, IOPS: 1e-3, P99: time.Hour}}}
	wide.Histogram.Record(1)
	wide.Histogram.Record(math.MaxInt64)
	wellFormed(t, wide)
}

// TestSharesAddUp holds that every request is in the picture.
func TestSharesAddUp(t *testing.T) {
	h := sample(5000).Histogram
	x, _ := decades(float64(h.Min()), float64(h.Max()), left, right)
	sum := 0.0
	for _, s := range binned(h, x) {
		sum += s
	}
	if math.Abs(sum-1) > 1e-6 {
		t.Errorf("the bins hold %v of everything", sum)
	}
}

func TestNothingToDraw(t *testing.T) {
	if err := WriteSVG(io.Discard, Report{Histogram: new(latency.Histogram)}); err == nil {
		t.Error("an empty histogram was drawn")
	}
}

func TestLabels(t *testing.T) {
	for ns, want := range map[float64]string{0: "0 ns", 1: "1 ns", 999: "999 ns", 1000: "1 µs", 85300: "85.3 µs", 1.25e6: "1.25 ms", 3e9: "3 s"} {
		if got := console.Nanos(ns); got != want {
			t.Errorf("console.Nanos(%v) = %q, want %q", ns, got, want)
		}
	}
	for v, want := range map[float64]string{0: "0", 12: "12", 250e3: "250k", 1.5e6: "1.5M"} {
		if got := console.Count(v); got != want {
			t.Errorf("console.Count(%v) = %q, want %q", v, got, want)
		}
	}
}
