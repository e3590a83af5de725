package transfer

import (
	"sync"
	"time"
)

// A Phase is what a copy is doing.
type Phase string

// The phases, in their order.
const (
	PhaseCopy   Phase = "copy"
	PhaseVerify Phase = "verify"
)

// A Monitor lets another goroutine watch a Copy. The zero value is ready.
type Monitor struct {
	mu    sync.Mutex
	phase Phase     // guarded by mu
	began time.Time // of the phase; guarded by mu
	start int64     // bytes done when it began; guarded by mu
	done  int64     // guarded by mu
	size  int64     // or Unknown; guarded by mu
}

// Progress is how a copy is going.
type Progress struct {
	Phase Phase
	Done  int64 // bytes
	Size  int64 // or Unknown
	// BytesPerSecond is the phase's average, without what was resumed.
	BytesPerSecond float64
	// Left is how long the phase will last at this rate; 0 if not known.
	Left time.Duration
}

// Progress returns how the copy is going. From any goroutine.
func (m *Monitor) Progress() Progress {
	m.mu.Lock()
	defer m.mu.Unlock()
	p := Progress{Phase: m.phase, Done: m.done, Size: m.size}
	if s := time.Since(m.began).Seconds(); s > 0 {
		p.BytesPerSecond = float64(m.done-m.start) / s
	}
	if m.size > m.done && p.BytesPerSecond > 0 {
		p.Left = time.Duration(float64(m.size-m.done) / p.BytesPerSecond * 1e9)
	}
	return p
}

func (m *Monitor) enter(p Phase, size, done int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.phase, m.began, m.start, m.done, m.size = p, time.Now(), done, done, size
}

func (m *Monitor) advance(n int64) {
	m.mu.Lock()
	m.done += n
	m.mu.Unlock()
}
