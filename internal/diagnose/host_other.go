//go:build !linux

package diagnose

import (
	"os"
	"runtime"

	"github.com/unio-stack/unio/internal/uring"
)

// ThisHost returns the machine and process this runs in, with dirs to try.
func ThisHost(dirs ...string) *Host {
	return &Host{
		Root: os.DirFS("/"), Rings: new(uring.Features), Dirs: dirs, CPUs: runtime.NumCPU(),
		Limits: Limits{LockedMemory: -1, OpenFiles: -1},
	}
}
