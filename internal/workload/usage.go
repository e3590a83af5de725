package workload

import (
	"time"

	"golang.org/x/sys/unix"
)

// usage is what the process has consumed so far, all its threads together,
// those of the kernel's io_uring workers for it included.
type usage struct {
	user, system time.Duration
	switches     int64 // voluntary and involuntary
}

func readUsage() usage {
	var r unix.Rusage
	if unix.Getrusage(unix.RUSAGE_SELF, &r) != nil {
		return usage{}
	}
	return usage{
		user:     time.Duration(r.Utime.Nano()),
		system:   time.Duration(r.Stime.Nano()),
		switches: int64(r.Nvcsw) + int64(r.Nivcsw),
	}
}

func (u usage) since(o usage) usage {
	return usage{u.user - o.user, u.system - o.system, u.switches - o.switches}
}
