//go:build linux

package uring

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

// ErrClosed is what a closed ring answers.
var ErrClosed = fmt.Errorf("uring: ring is closed: %w", os.ErrClosed)

// ErrBackpressure is Submit's answer when the kernel takes no more for now: reap completions, then submit again.
// The entries it did not take are still queued.
var ErrBackpressure error = &Error{
	Op: "io_uring_enter", Errno: unix.EAGAIN,
	Detail: "the kernel takes no more requests for now: reap completions, then submit again",
}

// Error is a system call of this package that the kernel refused.
type Error struct {
	Op     string     // the call, with the register operation where there is one
	Errno  unix.Errno // what the kernel answered
	Detail string     // what that means here and what to do; may be empty

	unsupported bool // this system does not offer it, whatever errno says so
}

func (e *Error) Error() string {
	s := "uring: " + e.Op + ": " + e.Errno.Error()
	if e.Detail != "" {
		s += " (" + e.Detail + ")"
	}
	return s
}

// Unwrap gives the errno.
func (e *Error) Unwrap() error { return e.Errno }

// Is makes the refusals that mean "not on this system" errors.ErrUnsupported.
func (e *Error) Is(target error) bool { return target == errors.ErrUnsupported && e.unsupported }

// newError wraps err, which comes from x/sys and holds an errno.
func newError(op string, err error) *Error {
	e := &Error{Op: op}
	if !errors.As(err, &e.Errno) {
		e.Detail = err.Error()
	}
	return e
}

// setupFlag describes one io_uring_setup flag for messages.
type setupFlag struct {
	bit   uint32
	name  string
	since Version
}

var setupFlagTable = []setupFlag{
	{setupIOPoll, "IORING_SETUP_IOPOLL", Version{5, 1}},
	{setupSQPoll, "IORING_SETUP_SQPOLL", Version{5, 1}},
	{setupSQAff, "IORING_SETUP_SQ_AFF", Version{5, 1}},
	{setupCQSize, "IORING_SETUP_CQSIZE", Version{5, 5}},
	{setupClamp, "IORING_SETUP_CLAMP", Version{5, 6}},
	{setupAttachWQ, "IORING_SETUP_ATTACH_WQ", Version{5, 6}},
	{setupSubmitAll, "IORING_SETUP_SUBMIT_ALL", Version{5, 18}},
	{setupCoopTaskrun, "IORING_SETUP_COOP_TASKRUN", Version{5, 19}},
	{setupTaskrunFlag, "IORING_SETUP_TASKRUN_FLAG", Version{5, 19}},
	{setupSingleIssuer, "IORING_SETUP_SINGLE_ISSUER", Version{6, 0}},
	{setupDeferTaskrun, "IORING_SETUP_DEFER_TASKRUN", Version{6, 1}},
	{setupNoSQArray, "IORING_SETUP_NO_SQARRAY", Version{6, 6}},
	{setupHybridIOPoll, "IORING_SETUP_HYBRID_IOPOLL", Version{6, 13}},
}

// setupError says why io_uring_setup refused, on a kernel of the given version.
func setupError(errno unix.Errno, flags uint32, kernel Version) *Error {
	e := &Error{Op: "io_uring_setup", Errno: errno}
	switch errno {
	case unix.ENOSYS:
		e.unsupported = true
		e.Detail = "this kernel or sandbox has no io_uring; Linux 5.6 or newer is needed"
	case unix.EPERM:
		e.unsupported = true
		e.Detail = refusal().reason
	case unix.EINVAL:
		e.Detail, e.unsupported = explainInvalid(flags, kernel)
	case unix.ENOMEM:
		e.Detail = "no memory, or too little RLIMIT_MEMLOCK (ulimit -l): the rings count against it"
	case unix.EMFILE, unix.ENFILE:
		e.Detail = "too many open descriptors: raise RLIMIT_NOFILE (ulimit -n)"
	case unix.EACCES:
		e.Detail = "before Linux 5.11 SQPoll needs CAP_SYS_ADMIN"
	}
	return e
}

// explainInvalid lists the flags that the kernel is too old for.
func explainInvalid(flags uint32, kernel Version) (detail string, unsupported bool) {
	var missing, all []string
	for _, f := range setupFlagTable {
		if flags&f.bit == 0 {
			continue
		}
		all = append(all, f.name)
		if kernel.Before(f.since) {
			missing = append(missing, f.name+" needs Linux "+f.since.String())
		}
	}
	if len(missing) == 0 {
		return "the kernel refuses this combination: " + strings.Join(all, "|"), false
	}
	return strings.Join(missing, ", ") + "; this is " + kernel.String(), true
}

// enterError says why io_uring_enter failed.
func enterError(errno unix.Errno) *Error {
	e := &Error{Op: "io_uring_enter", Errno: errno}
	switch errno {
	case unix.EEXIST:
		e.Detail = wrongThread
	case unix.EBADR:
		e.Detail = "the kernel had no memory to keep a completion and dropped it: close the ring"
	case unix.EOWNERDEAD:
		e.Detail = "the SQPoll thread has died: close the ring"
	case unix.EINVAL:
		e.Detail = "a wait with a timeout needs Linux 5.11"
	}
	return e
}

const wrongThread = "a SingleIssuer ring belongs to the thread that made it: call runtime.LockOSThread before New and keep it"

// registerError says why an io_uring_register operation failed; since is the version that brought it.
func registerError(op string, errno unix.Errno, since Version) *Error {
	e := &Error{Op: "io_uring_register " + op, Errno: errno}
	switch errno {
	case unix.EEXIST:
		e.Detail = wrongThread
	case unix.ENOMEM:
		e.Detail = "no memory, or too little RLIMIT_MEMLOCK (ulimit -l) for registered buffers"
	case unix.EMFILE:
		e.Detail = "more than RLIMIT_NOFILE (ulimit -n) or the kernel's maximum"
	case unix.EBUSY:
		e.Detail = "already registered"
	case unix.ENXIO:
		e.Detail = "nothing is registered"
	case unix.EOPNOTSUPP:
		e.Detail = "the memory is a mapping of a file that cannot be pinned"
	case unix.EINVAL:
		if k := runningKernel(); k.Before(since) {
			e.unsupported = true
			e.Detail = "needs Linux " + since.String() + "; this is " + k.String()
		}
	}
	return e
}
