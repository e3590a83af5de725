//go:build linux

package uring

import (
	"errors"
	"os"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func TestConfigErrors(t *testing.T) {
	for _, c := range []struct {
		name string
		c    Config
	}{
		{"defer alone", Config{DeferTaskrun: true}},
		{"defer and sqpoll", Config{SingleIssuer: true, DeferTaskrun: true, SQPoll: true}},
		{"coop and sqpoll", Config{CoopTaskrun: true, SQPoll: true}},
		{"hybrid alone", Config{HybridIOPoll: true}},
		{"pin alone", Config{SQPin: true}},
		{"idle alone", Config{SQIdle: time.Second}},
		{"negative idle", Config{SQPoll: true, SQIdle: -1}},
		{"tiny idle", Config{SQPoll: true, SQIdle: time.Microsecond}},
		{"huge idle", Config{SQPoll: true, SQIdle: 1 << 62}},
		{"small cq", Config{Entries: 64, CQEntries: 32}},
	} {
		t.Run(c.name, func(t *testing.T) {
			r, err := New(c.c)
			if r != nil || !errors.Is(err, os.ErrInvalid) || errors.Is(err, errors.ErrUnsupported) {
				t.Errorf("%v, want os.ErrInvalid", err)
			}
		})
	}
}

// TestRefusedSetup asks the kernel for what it refuses.
func TestRefusedSetup(t *testing.T) {
	testFeature(t, FeatureSQPoll)
	_, err := New(Config{SQPoll: true, SQPin: true, SQCPU: 1 << 20})
	if !errors.Is(err, unix.EINVAL) || !strings.Contains(err.Error(), "IORING_SETUP_SQ_AFF") {
		t.Errorf("no such processor: %v", err)
	}
}

func TestSetupErrors(t *testing.T) {
	defers := uint32(setupClamp | setupSingleIssuer | setupDeferTaskrun | setupTaskrunFlag)
	for _, c := range []struct {
		name        string
		errno       unix.Errno
		flags       uint32
		kernel      Version
		unsupported bool
		want        string
	}{
		{"old for both", unix.EINVAL, defers, Version{5, 19}, true, "IORING_SETUP_SINGLE_ISSUER needs Linux 6.0, IORING_SETUP_DEFER_TASKRUN needs Linux 6.1; this is 5.19"},
		{"old for one", unix.EINVAL, defers, Version{6, 0}, true, "IORING_SETUP_DEFER_TASKRUN needs Linux 6.1; this is 6.0"},
		{"hybrid", unix.EINVAL, setupIOPoll | setupHybridIOPoll, Version{6, 12}, true, "IORING_SETUP_HYBRID_IOPOLL needs Linux 6.13"},
		{"new enough", unix.EINVAL, defers, Version{6, 18}, false, "IORING_SETUP_CLAMP|IORING_SETUP_TASKRUN_FLAG|IORING_SETUP_SINGLE_ISSUER|IORING_SETUP_DEFER_TASKRUN"},
		{"no io_uring", unix.ENOSYS, 0, Version{4, 19}, true, "Linux 5.6"},
		{"forbidden", unix.EPERM, 0, Version{6, 18}, true, "forbid"},
		{"memory", unix.ENOMEM, 0, Version{5, 10}, false, "RLIMIT_MEMLOCK"},
		{"descriptors", unix.EMFILE, 0, Version{6, 18}, false, "RLIMIT_NOFILE"},
	} {
		t.Run(c.name, func(t *testing.T) {
			var err error = setupError(c.errno, c.flags, c.kernel)
			if !errors.Is(err, c.errno) || errors.Is(err, errors.ErrUnsupported) != c.unsupported {
				t.Errorf("%v: errno %v, unsupported %v", err, errors.Is(err, c.errno), errors.Is(err, errors.ErrUnsupported))
			}
			if !strings.Contains(err.Error(), c.want) {
				t.Errorf("%q does not say %q", err, c.want)
			}
		})
	}
}

func TestRefusal(t *testing.T) {
	filtered := "Name:\tx\nSeccomp:\t2\nSeccomp_filters:\t1\n"
	open := "Name:\tx\nSeccomp:\t0\n"
	for _, c := range []struct {
		disabled, status, want string
		known                  bool
	}{
		{"2", open, "io_uring_disabled is 2", true},
		{"1", filtered, "io_uring_disabled is 1", true},
		{"0", filtered, "seccomp", true},
		{"", filtered, "seccomp", true},
		{"0", open, "security module", false},
		{"", "", "security module", false},
	} {
		if got := explainRefusal(c.disabled, c.status); got.known != c.known || !strings.Contains(got.reason, c.want) {
			t.Errorf("sysctl %q: %+v, want %q, %v", c.disabled, got, c.want, c.known)
		}
	}
}

// TestStalled drives what Submit does when the kernel takes nothing.
func TestStalled(t *testing.T) {
	r := newRing(t, Config{Entries: 4})
	for _, errno := range []unix.Errno{0, unix.EAGAIN, unix.EBUSY} {
		stalls := 0
		first, second := r.stalled(errno, &stalls), r.stalled(errno, &stalls)
		if first != nil || !errors.Is(second, ErrBackpressure) || !errors.Is(second, unix.EAGAIN) {
			t.Errorf("%v: %v, %v; want a second try, then ErrBackpressure", errno, first, second)
		}
	}
	stalls := 0
	for range 10 {
		if err := r.stalled(unix.EINTR, &stalls); err != nil {
			t.Errorf("EINTR: %v", err)
		}
	}
	if err := r.stalled(unix.EEXIST, &stalls); !errors.Is(err, unix.EEXIST) {
		t.Errorf("EEXIST: %v", err)
	}
}

// TestFaultStays holds that lost completions end the ring's use.
func TestFaultStays(t *testing.T) {
	r := newRing(t, Config{Entries: 4})
	if err := r.waitError(unix.EBADR); !errors.Is(err, unix.EBADR) {
		t.Fatal(err)
	}
	if _, err := r.Submit(); !errors.Is(err, unix.EBADR) || !errors.Is(r.Err(), unix.EBADR) {
		t.Errorf("Submit: %v, Err: %v", err, r.Err())
	}
	for _, errno := range []unix.Errno{0, unix.ETIME, unix.EINTR, unix.EAGAIN, unix.EBUSY} {
		if err := r.waitError(errno); err != nil {
			t.Errorf("%v: %v", errno, err)
		}
	}
}

func TestErrorText(t *testing.T) {
	for _, c := range []struct {
		err  error
		want string
	}{
		{registerError("FILES2", unix.ENOMEM, Version{5, 19}), "RLIMIT_MEMLOCK"},
		{registerError("FILES2", unix.EINVAL, Version{99, 0}), "needs Linux 99.0"},
		{enterError(unix.EOWNERDEAD), "SQPoll"},
		{enterError(unix.EEXIST), "LockOSThread"},
		{newError("mmap", unix.ENOMEM), "uring: mmap: cannot allocate memory"},
	} {
		if !strings.Contains(c.err.Error(), c.want) {
			t.Errorf("%q does not say %q", c.err, c.want)
		}
	}
}
