// Package diagnose finds out why the fast paths are or are not available on
// this machine to this process, and what to do about it: what unio doctor
// prints.
package diagnose

import (
	"context"
	"io/fs"
	"strconv"
	"strings"

	"github.com/unio-stack/unio/internal/uring"
)

// A Status is how serious a Finding is.
type Status string

// The statuses.
const (
	OK   Status = "ok"
	Warn Status = "warn" // slower or noisier than need be
	Fail Status = "fail" // a fast path is not available
)

// A Finding is one thing that was looked at.
type Finding struct {
	Topic  string `json:"topic"`
	Status Status `json:"status"`
	Detail string `json:"detail"`        // what is so
	Fix    string `json:"fix,omitempty"` // what to do, unless Status is OK
}

// A Host is what is examined.
type Host struct {
	// Root is the file system as the kernel shows it: /proc and /sys.
	Root fs.FS
	// Rings is what uring.Probe said.
	Rings *uring.Features
	// Limits of the process.
	Limits Limits
	// CanLockMemory: the limit on locked memory does not apply (CAP_IPC_LOCK).
	CanLockMemory bool
	// CPUs is how many processors the process may use.
	CPUs int
	// Dirs are directories, files or devices whose I/O is tried.
	Dirs []string
}

// Limits are resource limits, getrlimit(2). Unlimited is negative.
type Limits struct {
	LockedMemory int64 // bytes
	OpenFiles    int64
}

// Examine looks at everything. In each directory a hidden file is made for a
// moment.
func Examine(ctx context.Context, h *Host) []Finding {
	all := []Finding{h.kernel(), h.rings()}
	all = append(all, h.ringFeatures()...)
	all = append(all, h.lockedMemory(), h.openFiles())
	for _, d := range h.Dirs {
		all = append(all, h.directory(ctx, d)...)
	}
	all = append(all, h.persistence())
	for _, check := range []func() (Finding, bool){h.governor, h.clock, h.load, h.cpuQuota, h.ioLimit, h.pollQueues} {
		if f, found := check(); found {
			all = append(all, f)
		}
	}
	return all
}

// Worst returns the most serious status.
func Worst(all []Finding) Status {
	worst := OK
	for _, f := range all {
		if f.Status == Fail || f.Status == Warn && worst == OK {
			worst = f.Status
		}
	}
	return worst
}

// text reads a small file of the kernel's, "" if it is not there.
func (h *Host) text(name string) string {
	b, err := fs.ReadFile(h.Root, name)
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(b))
}

// number reads a file with a number.
func (h *Host) number(name string) (int64, bool) {
	n, err := strconv.ParseInt(h.text(name), 10, 64)
	return n, err == nil
}
