//go:build linux

package uring

import (
	"errors"
	"path/filepath"
	"runtime"
	"sync"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// patience bounds every wait of the tests; what they wait for takes microseconds.
const patience = 20 * time.Second

var probeOnce = sync.OnceValues(Probe)

// testFeature skips the test when this kernel is older than the feature, or a policy forbids io_uring. On every
// other system an absent feature is a failure.
func testFeature(t testing.TB, ids ...FeatureID) {
	t.Helper()
	features, err := probeOnce()
	for _, id := range append([]FeatureID{FeatureRing}, ids...) {
		f := features.Get(id)
		switch {
		case f.Available:
		case features.Kernel.Before(f.Needs):
			t.Skipf("%s needs Linux %s; this is %s", f.Name, f.Needs, features.Kernel)
		case features.Refused != "":
			t.Skipf("%s: %s", f.Name, features.Refused)
		default:
			t.Fatalf("%s: absent on %s, which should have it: %s (probe: %v)", f.Name, features.Kernel, f.Why, err)
		}
	}
}

// newRing makes a ring for the length of the test.
func newRing(t testing.TB, c Config) *Ring {
	t.Helper()
	testFeature(t)
	r, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	})
	return r
}

// lockThread keeps the test on one thread until it returns, as an owner of a SingleIssuer ring does.
func lockThread(t testing.TB) {
	runtime.LockOSThread()
	t.Cleanup(runtime.UnlockOSThread)
}

func next(t testing.TB, r *Ring) *SQE {
	t.Helper()
	sqe := r.Next()
	if sqe == nil {
		t.Fatal("submission queue is full")
	}
	return sqe
}

func submit(t testing.TB, r *Ring, want int) {
	t.Helper()
	if n, err := r.Submit(); n != want || err != nil {
		t.Fatalf("Submit = %d, %v; want %d", n, err, want)
	}
}

// reapN collects exactly n completions, by user data.
func reapN(t testing.TB, r *Ring, n int) map[uint64]CQE {
	t.Helper()
	got := make(map[uint64]CQE, n)
	var into [64]CQE
	deadline := time.Now().Add(patience)
	for len(got) < n {
		k := r.Reap(into[:])
		for _, c := range into[:k] {
			if old, twice := got[c.UserData]; twice {
				t.Fatalf("user data %d completed twice: %+v, %+v", c.UserData, old, c)
			}
			got[c.UserData] = c
		}
		if k == 0 {
			if time.Now().After(deadline) {
				t.Fatalf("%d of %d completions after %v; fault %v", len(got), n, patience, r.Err())
			}
			if err := r.await(); err != nil {
				t.Fatal(err)
			}
		}
	}
	return got
}

// await blocks until a completion or, for rings that are polled, a little while.
func (r *Ring) await() error {
	_, err := r.SubmitAndWait(1, 10*time.Millisecond)
	return err
}

// one submits what was prepared and returns its completion.
func one(t testing.TB, r *Ring) CQE {
	t.Helper()
	submit(t, r, 1)
	for _, c := range reapN(t, r, 1) {
		return c
	}
	panic("unreachable")
}

// wantRes fails unless the completion's result is n.
func wantRes(t testing.TB, c CQE, n int32) {
	t.Helper()
	if c.Res != n {
		t.Fatalf("result %d (%v), want %d", c.Res, c.Err(), n)
	}
}

// pages is page-aligned memory outside the Go heap, for the length of the test.
func pages(t testing.TB, size int) []byte {
	t.Helper()
	b, err := unix.Mmap(-1, 0, size, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_ANON|unix.MAP_PRIVATE)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = unix.Munmap(b) })
	return b
}

func addr(b []byte) unsafe.Pointer { return unsafe.Pointer(unsafe.SliceData(b)) }

// tempFile opens a new file of the given size with more flags, O_DIRECT for one. It skips where the file system refuses them.
func tempFile(t testing.TB, size int64, flags int) int {
	t.Helper()
	name := filepath.Join(t.TempDir(), "file")
	fd, err := unix.Open(name, unix.O_RDWR|unix.O_CREAT|unix.O_CLOEXEC|flags, 0o600)
	if errors.Is(err, unix.EINVAL) && flags&unix.O_DIRECT != 0 {
		t.Skip("the file system of the temporary directory has no O_DIRECT: set TMPDIR to one that has")
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(fd) })
	if err := unix.Ftruncate(fd, size); err != nil {
		t.Fatal(err)
	}
	return fd
}

// pipe is a pipe for the length of the test.
func pipe(t testing.TB) (r, w int) {
	t.Helper()
	var p [2]int
	if err := unix.Pipe2(p[:], unix.O_CLOEXEC); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		unix.Close(p[0])
		unix.Close(p[1])
	})
	return p[0], p[1]
}

// pattern fills b with bytes that tell their place and seed.
func pattern(b []byte, seed int) {
	for i := range b {
		b[i] = byte(i*7 + i>>8 + seed)
	}
}

func newEventfd(t testing.TB) int {
	t.Helper()
	fd, err := unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(fd) })
	return fd
}

// eventfdCount takes the eventfd's count; 0 when it has none.
func eventfdCount(t testing.TB, fd int) uint64 {
	t.Helper()
	var b [8]byte
	n, err := unix.Read(fd, b[:])
	if err == unix.EAGAIN {
		return 0
	}
	if n != 8 || err != nil {
		t.Fatalf("eventfd: %d, %v", n, err)
	}
	return *(*uint64)(unsafe.Pointer(&b))
}

// pollFD waits until the descriptor has an event.
func pollFD(t testing.TB, fd int, events int16) {
	t.Helper()
	p := []unix.PollFd{{Fd: int32(fd), Events: events}}
	for {
		n, err := unix.Poll(p, int(patience/time.Millisecond))
		if err == unix.EINTR {
			continue
		}
		if n != 1 || err != nil {
			t.Fatalf("poll: %d, %v", n, err)
		}
		return
	}
}
