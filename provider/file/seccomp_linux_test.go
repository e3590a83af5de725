package file

import (
	"context"
	"errors"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"unsafe"

	"github.com/unio-stack/unio"
	"golang.org/x/sys/unix"
)

// refuse has the kernel answer the system calls with errno from now on, in all
// threads of this process.
func refuse(t *testing.T, errno unix.Errno, calls ...uint32) {
	t.Helper()
	program := []unix.SockFilter{{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, K: 0}} // seccomp_data.nr
	for i, nr := range calls {
		program = append(program, unix.SockFilter{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, K: nr, Jt: uint8(len(calls) - i)})
	}
	program = append(program,
		unix.SockFilter{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_ALLOW},
		unix.SockFilter{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_ERRNO | uint32(errno)})
	filter := unix.SockFprog{Len: uint16(len(program)), Filter: &program[0]}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		t.Fatal(err)
	}
	_, _, e := unix.Syscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, unix.SECCOMP_FILTER_FLAG_TSYNC, uintptr(unsafe.Pointer(&filter)))
	if runtime.KeepAlive(program); e != 0 {
		t.Fatal(e)
	}
}

// TestRefusedRing: whatever part of io_uring a sandbox refuses, by whatever
// number, the posix engine does the work and the device says why.
func TestRefusedRing(t *testing.T) {
	all := []uint32{unix.SYS_IO_URING_SETUP, unix.SYS_IO_URING_ENTER, unix.SYS_IO_URING_REGISTER}
	for _, tc := range []struct {
		name  string
		errno unix.Errno
		calls []uint32
		says  string
	}{
		{"EPERM", unix.EPERM, all, "seccomp"},
		{"ENOSYS", unix.ENOSYS, all, "no io_uring"},
		{"setup", unix.EPERM, all[:1], "seccomp"},
		{"enter", unix.EPERM, all[1:2], "io_uring_enter"},
		{"register", unix.EPERM, all[2:], "io_uring_register"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if !inChild(t, tc.name, nil) {
				return
			}
			refuse(t, tc.errno, tc.calls...)
			path := filepath.Join(t.TempDir(), "disk")
			r := newRig(t, path, Config{Create: true, Size: 1 << 20})
			info := r.dev.Info()
			if info.Engine != "posix" || !strings.Contains(info.Reason, tc.says) || !strings.Contains(info.Reason, "refused") {
				t.Errorf("engine %s, because %q; want posix and a reason that says %q", info.Engine, info.Reason, tc.says)
			}
			for range 4 {
				r.echo(r.channel(unio.ChannelConfig{Depth: 128}), 12_345, 100_000)
			}
			for _, cfg := range []Config{{Engine: EngineRing}, {SQPoll: true}} {
				_, err := Open(context.Background(), path, cfg)
				if !errors.Is(err, unio.ErrUnsupported) || !errors.Is(err, tc.errno) || !strings.Contains(err.Error(), tc.says) {
					t.Errorf("%+v: %v; want ErrUnsupported and %v, with the reason", cfg, err, tc.errno)
				}
			}
			fresh := path + "2"
			if _, err := Open(context.Background(), fresh, Config{Engine: EngineRing, Create: true, Size: 4096}); err == nil {
				t.Error("opened")
			}
			wantMissing(t, fresh)
		})
	}
}

// TestInjectedErrors has the kernel fail the posix engine's system calls.
func TestInjectedErrors(t *testing.T) {
	for _, tc := range []struct {
		errno unix.Errno
		want  error
	}{
		{unix.EIO, unio.ErrMedia},
		{unix.ENOSPC, unio.ErrNoSpace},
		{unix.ENOMEM, unio.ErrBusy},
		{unix.ENODEV, unio.ErrDisconnected},
	} {
		t.Run(strconv.Itoa(int(tc.errno)), func(t *testing.T) {
			if !inChild(t, t.Name(), nil) {
				return
			}
			r := newRig(t, newFile(t, 64<<10), Config{Engine: EnginePosix, Direct: Required})
			ch := r.channel(unio.ChannelConfig{})
			refuse(t, tc.errno, unix.SYS_PREADV2, unix.SYS_PWRITEV2, unix.SYS_FDATASYNC)
			buf := r.buffer(4096)
			for _, q := range []unio.Request{r.read(0, buf), r.write(0, buf), r.read(3, buf[:7]), {Op: unio.OpFlush, Region: r.reg}} {
				err := ch.Do(r.ctx, q)
				var oe *unio.OpError
				if !errors.As(err, &oe) || !errors.Is(err, tc.want) || !errors.Is(err, tc.errno) || oe.Op != q.Op || oe.Layer != "file" {
					t.Errorf("%v: %v; want %v and %v", q.Op, err, tc.want, tc.errno)
				}
			}
		})
	}
}
