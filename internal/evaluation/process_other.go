//go:build !linux

package evaluation

import (
	"runtime"
	"syscall"
	"time"
)

// directFlag is 0: there is no such flag to open a file with.
const directFlag = 0

func attributes() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }

func processCPU(int) time.Duration { return 0 }

func processSwitches(int) int64 { return 0 }

func machine() (kernel, processor string) { return runtime.GOOS + " " + runtime.GOARCH, "unknown" }
