package main

import (
	"cmp"
	"fmt"
	"io"
	"maps"
	"slices"
)

// An id names a test, and by an empty test a package.
type id struct{ pkg, test string }

func (i id) String() string { return i.pkg + " " + i.test }

func compareIDs(a, b id) int { return cmp.Or(cmp.Compare(a.pkg, b.pkg), cmp.Compare(a.test, b.test)) }

// An outcome is how a test ended; over several runs the greatest counts.
type outcome int

const (
	skipped outcome = iota
	passed
	failed
)

func outcomeOf(action string) outcome {
	switch action {
	case "pass":
		return passed
	case "skip":
		return skipped
	}
	return failed
}

// A tally is what all runs together say of each test.
type tally struct {
	outcomes map[id]outcome
	reasons  map[id]string // of what was skipped
	slow     []timing
}

type timing struct {
	id      id
	run     string
	seconds float64
}

func newTally() *tally {
	return &tally{outcomes: map[id]outcome{}, reasons: map[id]string{}}
}

func (t *tally) note(key id, how outcome, why string) {
	if before, ok := t.outcomes[key]; !ok || how > before {
		t.outcomes[key] = how
	}
	if why != "" {
		t.reasons[key] = why
	}
}

// slowest is how many tests the report names.
const slowest = 5

// took remembers the slowest tests.
func (t *tally) took(key id, run string, seconds float64) {
	t.slow = append(t.slow, timing{key, run, seconds})
	slices.SortFunc(t.slow, func(a, b timing) int { return cmp.Compare(b.seconds, a.seconds) })
	t.slow = t.slow[:min(len(t.slow), slowest)]
}

func (t *tally) with(how outcome) []id {
	var ids []id
	for _, key := range slices.SortedFunc(maps.Keys(t.outcomes), compareIDs) {
		if t.outcomes[key] == how {
			ids = append(ids, key)
		}
	}
	return ids
}

func (t *tally) failed() int { return len(t.with(failed)) }

// good reports whether tests ran and none failed.
func (t *tally) good() bool { return t.failed() == 0 && len(t.with(passed)) > 0 }

// report prints what a reader of the end of the output must know.
func (t *tally) report(out io.Writer) {
	if len(t.slow) > 0 {
		fmt.Fprintf(out, "\nSlowest:\n")
		for _, s := range t.slow {
			fmt.Fprintf(out, "  %6.1fs  %v (%s)\n", s.seconds, s.id, s.run)
		}
	}
	none := t.with(skipped)
	if len(none) > 0 {
		fmt.Fprintf(out, "\nSkipped in every run:\n")
		for _, key := range none {
			fmt.Fprintf(out, "  %v: %s\n", key, t.reasons[key])
		}
	}
	bad := t.with(failed)
	if len(bad) > 0 {
		fmt.Fprintf(out, "\nFailed:\n")
		for _, key := range bad {
			fmt.Fprintf(out, "  %v\n", key)
		}
	}
	fmt.Fprintf(out, "\n%d passed, %d failed, %d skipped\n", len(t.with(passed)), len(bad), len(none))
}
