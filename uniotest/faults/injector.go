package faults

import (
	"math/rand/v2"
	"sync"
	"time"

	"github.com/unio-stack/unio"
)

// An Injector decides what happens to requests. Its methods may be called from
// any goroutine; what one goroutine asks in the same order is decided in the
// same way, for the same rules and seed.
type Injector struct {
	rules Rules // immutable

	mu      sync.Mutex
	rng     *rand.Rand // guarded by mu
	matched []int64    // how often each rule's other filters matched; guarded by mu
}

// NewInjector returns an injector of the rules.
func NewInjector(rules Rules, seed uint64) *Injector {
	return &Injector{
		rules: rules, matched: make([]int64, len(rules)),
		rng: rand.New(rand.NewPCG(seed, uint64(len(rules)))),
	}
}

// A Subject is a request as rules see it.
type Subject struct {
	Op     unio.Opcode
	Region string
	Offset int64
	Length int64 // in bytes
}

// A Verdict is what happens to a request: first Delay, then Rule. The zero
// value lets it pass.
type Verdict struct {
	Delay time.Duration
	Rule  *Rule // nil, or one that is not a delay
}

// Decide returns what happens to the request.
func (j *Injector) Decide(s Subject) (v Verdict) {
	if len(j.rules) == 0 {
		return v
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	for i := range j.rules {
		r := &j.rules[i]
		if !r.matches(s) || !j.fires(i, r) {
			continue
		}
		if r.Action == Delay {
			v.Delay += r.Delay
			continue
		}
		v.Rule = r
		return v
	}
	return v
}

// matches applies the filters that look at the request alone.
func (r *Rule) matches(s Subject) bool {
	switch {
	case r.Op != 0 && r.Op != s.Op, !r.Action.Applies(s.Op):
		return false
	case r.OnlyRegion && r.Region != s.Region:
		return false
	case r.To == 0:
		return true
	}
	return s.Op != unio.OpFlush && s.Offset < r.To && r.From < s.Offset+s.Length
}

// fires applies the other filters. Called with mu held.
func (j *Injector) fires(i int, r *Rule) bool {
	j.matched[i]++
	n := j.matched[i]
	if r.Nth != 0 && n != r.Nth || n <= r.After {
		return false
	}
	return r.In == 0 || j.rng.Int64N(r.In) < r.One
}
