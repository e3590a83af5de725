package diagnose

import (
	"fmt"

	"github.com/unio-stack/unio/internal/bytesize"
)

const (
	// advisedLocked is the memory of 64 channels of depth 64 with 16 KiB each.
	advisedLocked = 64 << 20
	// advisedFiles is for some hundred channels of two descriptors.
	advisedFiles = 1024
)

// lockedMemory: what the kernel registers counts as locked (mlock(2)).
func (h *Host) lockedMemory() Finding {
	f := Finding{Topic: "locked memory", Status: OK}
	n := h.Limits.LockedMemory
	switch {
	case h.CanLockMemory:
		f.Detail = "no limit for this process (CAP_IPC_LOCK)"
	case n < 0:
		f.Detail = "no limit"
	default:
		f.Detail = "at most " + bytesize.Format(n) + " of registered Buffers"
		if n < advisedLocked {
			f.Status = Warn
			f.Fix = "Buffers beyond it are used without registration, which costs more for each request: ulimit -l unlimited, " +
				"LimitMEMLOCK=infinity in a systemd unit, memlock in /etc/security/limits.conf, --ulimit memlock=-1 for docker"
		}
	}
	return f
}

func (h *Host) openFiles() Finding {
	f := Finding{Topic: "open files", Status: OK, Detail: "no limit"}
	if n := h.Limits.OpenFiles; n >= 0 {
		f.Detail = fmt.Sprintf("at most %d", n)
		if n < advisedFiles {
			f.Status = Warn
			f.Fix = "a channel takes two descriptors: ulimit -n 65536, or LimitNOFILE=65536 in a systemd unit"
		}
	}
	return f
}
