package unio

import (
	"sync"
	"time"
)

// An ErrorRecord is a failure that a device remembers.
type ErrorRecord struct {
	Time time.Time // when it was reported
	Err  error     // mostly an *OpError
}

// errorLogSize is how many failures a device remembers.
const errorLogSize = 64

// errorLog keeps the last failures. It is off the path of what succeeds.
type errorLog struct {
	mu      sync.Mutex
	records []ErrorRecord // up to errorLogSize; guarded by mu
	n       uint64        // failures seen; guarded by mu
}

// Report remembers a failure that none of the device's own requests had, such as
// one that a peer's request met with.
func (d *Device) Report(err error) { d.log.add(err) }

func (l *errorLog) add(err error) {
	now := time.Now()
	l.mu.Lock()
	if len(l.records) < errorLogSize {
		l.records = append(l.records, ErrorRecord{now, err})
	} else {
		l.records[l.n%errorLogSize] = ErrorRecord{now, err}
	}
	l.n++
	l.mu.Unlock()
}

// last returns the remembered failures, oldest first.
func (l *errorLog) last() []ErrorRecord {
	l.mu.Lock()
	defer l.mu.Unlock()
	out := make([]ErrorRecord, 0, min(l.n, errorLogSize))
	for i := l.n - uint64(cap(out)); i < l.n; i++ {
		out = append(out, l.records[i%errorLogSize])
	}
	return out
}
