package evaluation

import (
	"runtime"
	"time"
)

// newReport returns a report that says where and when, and nothing more yet.
func newReport(cfg Config) *Report {
	r := &Report{Date: time.Now().UTC().Truncate(time.Second), Cores: runtime.GOMAXPROCS(0), Go: runtime.Version(), Seconds: cfg.Time.Seconds(), Size: cfg.Size}
	r.Kernel, r.Processor = machine()
	return r
}
