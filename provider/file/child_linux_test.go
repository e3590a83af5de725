package file

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// childEnv names, in the environment of a child process, what it is to be.
const childEnv = "UNIO_FILE_TEST_CHILD"

// inChild runs the calling test once more in a process of its own and reports
// whether this is that process. The parent fails with the child's output.
func inChild(t *testing.T, as string, attr *syscall.SysProcAttr, env ...string) bool {
	t.Helper()
	if os.Getenv(childEnv) == as {
		return true
	}
	// The binary lies where another user cannot go; its own link leads there.
	cmd := exec.Command("/proc/self/exe", "-test.run=^"+strings.ReplaceAll(t.Name(), "/", "$/^")+"$", "-test.timeout=120s", "-test.v")
	cmd.Env = append(os.Environ(), childEnv+"="+as, "GORACE=atexit_sleep_ms=0")
	cmd.Env = append(cmd.Env, env...)
	cmd.SysProcAttr = attr
	out, err := cmd.CombinedOutput()
	if err != nil || !strings.Contains(string(out), "PASS") || strings.Contains(string(out), "no tests to run") {
		t.Errorf("%s: %v\n%s", as, err, out)
	} else if testing.Verbose() {
		t.Logf("%s:\n%s", as, out)
	}
	return false
}

// needRoot skips the test where its means are not to be had.
func needRoot(t testing.TB) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root, to mount and to make block devices")
	}
}

// A user is nobody else: the kernel counts locked memory per user.
var user = uint32(60_000 + os.Getpid()%5_000)

// unprivileged makes a child another user, without any capability, if it can.
func unprivileged() *syscall.SysProcAttr {
	if os.Geteuid() != 0 {
		return nil
	}
	return &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: user, Gid: user}}
}

// openDir returns a directory on the disk that a child of unprivileged can
// write in.
func openDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "unio")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	if os.Geteuid() == 0 {
		if err := os.Chown(dir, int(user), int(user)); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// limitMemlock lowers the limit of this process for good.
func limitMemlock(t *testing.T, n uint64) {
	t.Helper()
	if err := unix.Setrlimit(unix.RLIMIT_MEMLOCK, &unix.Rlimit{Cur: n, Max: n}); err != nil {
		t.Fatal(err)
	}
}

// ownMounts gives a child a name space of its own to mount in.
var ownMounts = &syscall.SysProcAttr{Unshareflags: syscall.CLONE_NEWNS}

// mountFS mounts a file system in memory and returns where.
func mountFS(t *testing.T, kind, options string) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), kind)
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	mount(t, kind, dir, kind, options)
	return dir
}

func mount(t *testing.T, source, dir, kind, options string) {
	t.Helper()
	if err := unix.Mount(source, dir, kind, 0, options); err != nil {
		t.Fatal(fmt.Errorf("mount %s: %w", kind, err))
	}
	t.Cleanup(func() {
		if err := unmount(dir); err != nil {
			t.Errorf("unmount %s: %v", kind, err)
		}
	})
}

// unmount waits a moment for the kernel's workers, which let go of a file a
// little later than they say what became of a request.
func unmount(dir string) error {
	for end := time.Now().Add(time.Second); ; time.Sleep(time.Millisecond) {
		if err := unix.Unmount(dir, 0); err != unix.EBUSY || time.Now().After(end) {
			return err
		}
	}
}
