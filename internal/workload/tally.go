package workload

import "github.com/unio-stack/unio/internal/latency"

// kind indexes what is counted apart.
type kind uint8

const (
	kindRead kind = iota
	kindWrite
	kindFlush
	kindOther // atomics, messages and calls: a run has one kind of them only
	kinds
)

// A tally is what was counted in some span of time.
type tally struct {
	latency [kinds]latency.Histogram
	errors  int64
}

func (t *tally) add(o *tally) {
	for k := range t.latency {
		t.latency[k].Add(&o.latency[k])
	}
	t.errors += o.errors
}

func (t *tally) reset() {
	for k := range t.latency {
		t.latency[k].Reset()
	}
	t.errors = 0
}

// transfers adds all but the flushes to h.
func (t *tally) transfers(h *latency.Histogram) {
	h.Add(&t.latency[kindRead])
	h.Add(&t.latency[kindWrite])
	h.Add(&t.latency[kindOther])
}
