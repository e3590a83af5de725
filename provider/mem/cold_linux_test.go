package mem

import (
	"context"
	"encoding/binary"
	"errors"
	"os"
	"os/exec"
	"runtime"
	"testing"
	"time"
	"unsafe"

	"github.com/unio-stack/unio"
	"golang.org/x/sys/unix"
)

const coldChild = "UNIO_TEST_COLD_CHILD"

// TestColdPageHoldsNoProcessor lets every first touch of a page wait until a
// goroutine of this process has answered it (userfaultfd), with a single
// processor for goroutines. If an operation took the fault itself it would
// hold that processor, and the answer would never come: in a process of its
// own, since nothing in it could then notice.
func TestColdPageHoldsNoProcessor(t *testing.T) {
	if os.Getenv(coldChild) != "" {
		coldPages(t)
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	child := exec.CommandContext(ctx, os.Args[0], "-test.run=^"+t.Name()+"$", "-test.v")
	child.Env = append(os.Environ(), coldChild+"=1")
	out, err := child.CombinedOutput()
	switch {
	case ctx.Err() != nil:
		t.Fatalf("a cold page stopped every goroutine\n%s", out)
	case child.ProcessState.ExitCode() == coldSkipped:
		t.Skipf("no userfaultfd here\n%s", out)
	case err != nil:
		t.Fatalf("%v\n%s", err, out)
	}
}

// coldSkipped is the exit status of a child that could not test anything.
const coldSkipped = 77

func coldPages(t *testing.T) {
	runtime.GOMAXPROCS(1)
	for name, req := range map[string]unio.Request{
		"read":      {Op: unio.OpRead, Offset: pageSize, Data: make([]byte, 100)},
		"write":     {Op: unio.OpWrite, Offset: 3*pageSize - 1, Data: make([]byte, 100)},
		"vector":    {Op: unio.OpWrite, Vec: [][]byte{make([]byte, 10), make([]byte, 10)}},
		"zero":      {Op: unio.OpWriteZeroes, Offset: 9, Length: 3 * pageSize},
		"fetch-add": {Op: unio.OpFetchAdd, Offset: 16, Swap: 1},
		"discard":   {Op: unio.OpDiscard, Offset: 1, Length: 100},
	} {
		t.Run(name, func(t *testing.T) {
			r := dramRig(t, 16*pageSize)
			u := watch(t, r.d.mem)
			r.must(req)
			select {
			case <-u.asked:
			default:
				t.Error("no page was missing: this tested nothing")
			}
		})
	}
}

// A userfault answers the missing pages of a range with zeroes.
type userfault struct {
	file  *os.File
	mem   []byte
	asked chan struct{} // closed with the first missing page
}

// The kernel's include/uapi/linux/userfaultfd.h.
const (
	uffdAPI         = 0xc018aa3f
	uffdRegister    = 0xc020aa00
	uffdZeroPage    = 0xc020aa04
	uffdVersion     = 0xaa
	uffdModeMissing = 1
	uffdMessage     = 32 // bytes
)

func watch(t *testing.T, mem []byte) *userfault {
	fd, _, errno := unix.Syscall(unix.SYS_USERFAULTFD, unix.O_CLOEXEC|unix.O_NONBLOCK, 0, 0)
	if errno != 0 {
		t.Log("userfaultfd:", errno)
		os.Exit(coldSkipped)
	}
	start := uint64(uintptr(unsafe.Pointer(&mem[0])))
	api := [3]uint64{uffdVersion}
	register := [4]uint64{start, uint64(len(mem)), uffdModeMissing}
	for _, call := range []struct {
		request uintptr
		arg     unsafe.Pointer
	}{{uffdAPI, unsafe.Pointer(&api)}, {uffdRegister, unsafe.Pointer(&register)}} {
		if _, _, errno := unix.Syscall(unix.SYS_IOCTL, fd, call.request, uintptr(call.arg)); errno != 0 {
			t.Log("userfaultfd:", errno)
			os.Exit(coldSkipped)
		}
	}
	// Only now, because before the first call the poller would find an error.
	u := &userfault{file: os.NewFile(fd, "userfaultfd"), mem: mem, asked: make(chan struct{})}
	done := make(chan struct{})
	go func() {
		defer close(done)
		u.serve(t, start)
	}()
	t.Cleanup(func() {
		_ = u.file.Close()
		<-done
	})
	return u
}

// serve zeroes the whole range when the first page is missing, and again
// whenever one is.
func (u *userfault) serve(t *testing.T, start uint64) {
	message := make([]byte, uffdMessage)
	for first := true; ; first = false {
		if _, err := u.file.Read(message); err != nil {
			if !errors.Is(err, os.ErrClosed) {
				t.Error(err)
			}
			return
		}
		if first {
			close(u.asked)
		}
		page := binary.NativeEndian.Uint64(message[16:]) &^ uint64(pageSize-1)
		if page < start || page >= start+uint64(len(u.mem)) {
			t.Errorf("a page at %#x is missing", page)
		}
		for at := start; at < start+uint64(len(u.mem)); at += uint64(pageSize) {
			zero := [4]uint64{at, uint64(pageSize)}
			conn, err := u.file.SyscallConn()
			if err == nil { // a page that is there already is refused, which does no harm
				_ = conn.Control(func(fd uintptr) {
					_, _, _ = unix.Syscall(unix.SYS_IOCTL, fd, uffdZeroPage, uintptr(unsafe.Pointer(&zero)))
				})
			}
		}
	}
}
