package diagnose

import (
	"fmt"
	"strings"

	"github.com/unio-stack/unio/internal/uring"
)

// advised is the first kernel with all that io_uring's cheapest mode needs.
var advised = uring.Version{Major: 6, Minor: 1}

func (h *Host) kernel() Finding {
	f := Finding{Topic: "kernel", Status: OK, Detail: "Linux " + h.Rings.Release}
	switch {
	case h.Rings.Release == "":
		return Finding{"kernel", Fail, "not Linux", "run on Linux for io_uring and direct I/O; elsewhere blocking system calls are used"}
	case h.Rings.Kernel.Before(uring.FeatureRing.Needs()):
		f.Status = Fail
		f.Fix = "use Linux " + advised.String() + " or later: io_uring as it is used here came with " + uring.FeatureRing.Needs().String()
	case h.Rings.Kernel.Before(advised):
		f.Status = Warn
		f.Fix = "use Linux " + advised.String() + " or later: completions without interrupting the issuer (DEFER_TASKRUN)"
	}
	return f
}

// rings says whether io_uring may be used, and if not, who forbids it.
func (h *Host) rings() Finding {
	f := Finding{Topic: "io_uring", Status: OK, Detail: "available"}
	ring := h.Rings.Get(uring.FeatureRing)
	if ring.Available {
		return f
	}
	f.Status, f.Detail = Fail, "not available: "+ring.Why
	if h.Rings.Refused != "" {
		f.Detail = "not available: " + h.Rings.Refused
	}
	switch disabled := h.text("proc/sys/kernel/io_uring_disabled"); {
	case disabled == "2":
		f.Fix = "as root: sysctl kernel.io_uring_disabled=0 (and a line in /etc/sysctl.d to keep it)"
	case disabled == "1":
		f.Fix = "as root: sysctl kernel.io_uring_disabled=0, or put your group's number into kernel.io_uring_group"
	case h.seccomp() == "2":
		f.Fix = "a container: run it with a seccomp profile that allows io_uring_setup, io_uring_enter and io_uring_register " +
			"(docker run --security-opt seccomp=profile.json; in Kubernetes securityContext.seccompProfile)"
	default:
		f.Fix = "the kernel may be built without it (CONFIG_IO_URING), or a security module forbids it; blocking system calls are used"
	}
	return f
}

// seccomp is the mode of the process: 0 none, 2 a filter.
func (h *Host) seccomp() string {
	for line := range strings.Lines(h.text("proc/self/status")) {
		if v, found := strings.CutPrefix(line, "Seccomp:"); found {
			return strings.TrimSpace(v)
		}
	}
	return ""
}

// ringFeatures lists what a kernel with io_uring lacks.
func (h *Host) ringFeatures() []Finding {
	if !h.Rings.Has(uring.FeatureRing) {
		return nil
	}
	var lacking []string
	newest := uring.Version{}
	for _, f := range h.Rings.List {
		if f.Available {
			continue
		}
		lacking = append(lacking, fmt.Sprintf("%s (%s)", f.Name, f.Why))
		if newest.Before(f.Needs) {
			newest = f.Needs
		}
	}
	if len(lacking) == 0 {
		return []Finding{{Topic: "io_uring features", Status: OK, Detail: fmt.Sprintf("all %d that are used", len(h.Rings.List))}}
	}
	f := Finding{Topic: "io_uring features", Status: Warn, Detail: "without " + strings.Join(lacking, ", ")}
	if f.Fix = "what is lacking is done in other ways, at more cost"; h.Rings.Kernel.Before(newest) {
		f.Fix = "Linux " + newest.String() + " has all; until then they are done in other ways, at more cost"
	}
	return []Finding{f}
}
