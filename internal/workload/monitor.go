package workload

import (
	"sync"
	"time"

	"github.com/unio-stack/unio/internal/latency"
)

// A Phase is what a run is doing.
type Phase string

// The phases, in their order.
const (
	PhaseSetup   Phase = "setup"
	PhaseFill    Phase = "fill"
	PhaseRamp    Phase = "ramp"
	PhaseMeasure Phase = "run"
	PhaseVerify  Phase = "verify"
)

// A Monitor lets another goroutine watch one Run. The zero value is ready.
// Workers report to it about ten times a second, not for each request.
type Monitor struct {
	mu      sync.Mutex
	phase   Phase               // guarded by mu
	began   time.Time           // of the phase; guarded by mu
	span    time.Duration       // guarded by mu
	done    int64               // bytes or calls, in the phases that go by them; guarded by mu
	of      int64               // guarded by mu
	total   tally               // guarded by mu
	windows []latency.Histogram // guarded by mu
	block   int64               // bytes; guarded by mu
	// live is what was counted between liveSince and liveUntil: since Progress
	// was called, as far as workers have reported. guarded by mu
	live      latency.Histogram
	liveSince time.Time
	liveUntil time.Time
}

// Progress is how a run is going.
type Progress struct {
	Phase    Phase
	Fraction float64 // of the phase that is over, 0 to 1
	Left     time.Duration
	// Since the last call, in the phases that measure:
	IOPS           float64
	BytesPerSecond float64
	P50, P99       time.Duration
	Errors         int64 // in the whole run
}

// Progress returns how the run is going, and what it did since Progress was
// last called. For one watching goroutine.
func (m *Monitor) Progress() Progress {
	m.mu.Lock()
	defer m.mu.Unlock()
	now := time.Now()
	p := Progress{Phase: m.phase, Errors: m.total.errors}
	switch {
	case m.of > 0:
		p.Fraction = float64(m.done) / float64(m.of)
	case m.span > 0:
		p.Fraction = min(float64(now.Sub(m.began))/float64(m.span), 1)
		p.Left = max(m.span-now.Sub(m.began), 0)
	}
	if s := m.liveUntil.Sub(m.liveSince).Seconds(); s > 0 {
		p.IOPS = float64(m.live.Count()) / s
		p.BytesPerSecond = p.IOPS * float64(m.block)
	}
	p.P50, p.P99 = m.live.Quantile(0.5), m.live.Quantile(0.99)
	m.live.Reset()
	m.liveSince = m.liveUntil
	return p
}

// prepare makes the monitor ready for a run.
func (m *Monitor) prepare(cfg *Config) {
	m.mu.Lock()
	m.block = int64(cfg.BlockSize)
	m.windows = make([]latency.Histogram, cfg.Time/cfg.interval()+2)
	m.mu.Unlock()
	m.enter(PhaseSetup, 0, 0)
}

// enter begins a phase that lasts span, or that is over after so many bytes or
// calls.
func (m *Monitor) enter(p Phase, span time.Duration, of int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.phase, m.began, m.span, m.done, m.of = p, time.Now(), span, 0, of
	m.live.Reset()
	m.liveSince, m.liveUntil = m.began, m.began
}

// advance counts bytes, or calls, of a phase that goes by them.
func (m *Monitor) advance(n int64) {
	m.mu.Lock()
	m.done += n
	m.mu.Unlock()
}

// publish counts what a worker did in one window of the timeline.
func (m *Monitor) publish(t *tally, window int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.total.add(t)
	t.transfers(&m.live)
	m.liveUntil = time.Now()
	t.transfers(&m.windows[min(window, len(m.windows)-1)])
}

// glance counts what a worker did in the ramp, for the eye only.
func (m *Monitor) glance(t *tally) {
	m.mu.Lock()
	defer m.mu.Unlock()
	t.transfers(&m.live)
	m.liveUntil = time.Now()
}
