package diagnose

import (
	"os"
	"runtime"

	"github.com/unio-stack/unio/internal/uring"
	"golang.org/x/sys/unix"
)

// ThisHost returns the machine and process this runs in, with dirs to try.
func ThisHost(dirs ...string) *Host {
	rings, _ := uring.Probe() // the Features say what the error does
	return &Host{
		Root: os.DirFS("/"), Rings: rings, Dirs: dirs, CPUs: runtime.NumCPU(),
		Limits:        Limits{LockedMemory: limit(unix.RLIMIT_MEMLOCK), OpenFiles: limit(unix.RLIMIT_NOFILE)},
		CanLockMemory: canLock(),
	}
}

func limit(which int) int64 {
	var l unix.Rlimit
	if unix.Getrlimit(which, &l) != nil || l.Cur == unix.RLIM_INFINITY || int64(l.Cur) < 0 {
		return -1
	}
	return int64(l.Cur)
}

// canLock reports whether CAP_IPC_LOCK is effective (capget(2)).
func canLock() bool {
	head := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var data [2]unix.CapUserData
	return unix.Capget(&head, &data[0]) == nil && data[0].Effective>>unix.CAP_IPC_LOCK&1 != 0
}
