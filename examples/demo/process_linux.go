package main

import (
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// attributes of a process: a Ctrl-C at the terminal is not for it, and it is
// killed when the thread that started it ends, however the demo ends.
func attributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}

// cpu returns the user and system time that the process has used so far, all
// its threads together: utime and stime of /proc/PID/stat, but in nanoseconds.
// (MAKE_PROCESS_CPUCLOCK and CPUCLOCK_SCHED of include/linux/posix-timers.h.)
func (p *process) cpu() time.Duration {
	var t unix.Timespec
	if unix.ClockGettime(int32(^p.pid()<<3|2), &t) != nil {
		return 0
	}
	return time.Duration(t.Nano())
}
