package evaluation

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// directFlag opens a file past the page cache.
const directFlag = syscall.O_DIRECT

// attributes of a process: a Ctrl-C at the terminal is not for it, and it is
// killed when the thread that started it ends.
func attributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}

// processCPU returns the CPU time that a process has used so far, all its
// threads together. (MAKE_PROCESS_CPUCLOCK and CPUCLOCK_SCHED of
// include/linux/posix-timers.h.)
func processCPU(pid int) time.Duration {
	var t unix.Timespec
	if unix.ClockGettime(int32(^pid<<3|2), &t) != nil {
		return 0
	}
	return time.Duration(t.Nano())
}

// processSwitches returns how often the threads that a process has now were
// switched from, by their own will or not.
func processSwitches(pid int) (n int64) {
	files, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/status", pid))
	for _, name := range files {
		text, _ := os.ReadFile(name) // empty if the thread has ended
		for line := range strings.Lines(string(text)) {
			if key, value, _ := strings.Cut(line, ":"); strings.HasSuffix(key, "voluntary_ctxt_switches") {
				v, _ := strconv.ParseInt(strings.TrimSpace(value), 10, 64)
				n += v
			}
		}
	}
	return n
}

// machine returns the kernel's name and version, and the processor's.
func machine() (kernel, processor string) {
	var u unix.Utsname
	if unix.Uname(&u) == nil {
		kernel = unix.ByteSliceToString(u.Sysname[:]) + " " + unix.ByteSliceToString(u.Release[:]) + " " + unix.ByteSliceToString(u.Machine[:])
	}
	text, _ := os.ReadFile("/proc/cpuinfo")
	for line := range strings.Lines(string(text)) {
		if key, value, _ := strings.Cut(line, ":"); strings.TrimSpace(key) == "model name" {
			return kernel, strings.TrimSpace(value)
		}
	}
	return kernel, "unknown"
}
