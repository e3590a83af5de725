//go:build linux

package uring

import (
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

func kernelRelease() string {
	var u unix.Utsname
	if unix.Uname(&u) != nil {
		return ""
	}
	return unix.ByteSliceToString(u.Release[:])
}

// runningKernel is this kernel's version, or 0.0 where its release says nothing.
func runningKernel() Version {
	v, _ := parseVersion(kernelRelease())
	return v
}

// refused says who forbids io_uring.
type refused struct {
	reason string
	known  bool // a policy was found that explains EPERM
}

// refusal looks for what makes io_uring_setup answer EPERM.
func refusal() refused {
	disabled, _ := os.ReadFile("/proc/sys/kernel/io_uring_disabled")
	status, _ := os.ReadFile("/proc/self/status")
	return explainRefusal(strings.TrimSpace(string(disabled)), string(status))
}

// explainRefusal judges the sysctl's value and the text of /proc/self/status.
func explainRefusal(disabled, status string) refused {
	switch {
	case disabled == "2":
		return refused{"sysctl kernel.io_uring_disabled is 2: io_uring is off for everyone", true}
	case disabled == "1":
		return refused{"sysctl kernel.io_uring_disabled is 1: only CAP_SYS_ADMIN and the group of kernel.io_uring_group may use io_uring", true}
	case seccompFiltered(status):
		return refused{"a seccomp filter, as container runtimes install, forbids io_uring", true}
	}
	return refused{"a security module or sandbox forbids io_uring", false}
}

// seccompFiltered reads the mode in /proc/self/status: 2 is a filter.
func seccompFiltered(status string) bool {
	for line := range strings.Lines(status) {
		if value, ok := strings.CutPrefix(line, "Seccomp:"); ok {
			return strings.TrimSpace(value) == "2"
		}
	}
	return false
}
