package file

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// A slowDisk is a regular file whose reads, writes and flushes a test answers:
// when it likes, or with an error. It speaks the kernel's FUSE protocol
// (include/uapi/linux/fuse.h), of which one file needs little.
type slowDisk struct {
	path string
	dev  int // of /dev/fuse
	wg   sync.WaitGroup

	mu sync.Mutex
	// answer decides about a request, and may take its time; interrupted is
	// closed when the kernel asks to give up. Guarded by mu.
	answer  func(call fuseCall) unix.Errno
	data    []byte                   // guarded by mu
	flights map[uint64]chan struct{} // requests being answered; guarded by mu
}

// A fuseCall is a request for the test to decide about.
type fuseCall struct {
	op          uint32
	off         int64
	n           int
	interrupted <-chan struct{}
}

// FUSE opcodes.
const (
	fuseForget, fuseGetattr, fuseSetattr, fuseOpen, fuseRead, fuseWrite = 2, 3, 4, 14, 15, 16
	fuseStatfs, fuseRelease, fuseFsync, fuseFlush, fuseInit             = 17, 18, 20, 25, 26
	fuseInterrupt, fuseBatchForget                                      = 36, 42
)

type fuseInHeader struct {
	len, opcode   uint32
	unique, node  uint64
	uid, gid, pid uint32
	_             uint32
}

const fuseMaxWrite = 1 << 20

// newSlowDisk mounts a file of n bytes. It must run in a child of ownMounts.
func newSlowDisk(t *testing.T, n int) *slowDisk {
	t.Helper()
	dev, err := unix.Open("/dev/fuse", unix.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Skip("needs FUSE: ", err)
	}
	s := &slowDisk{path: filepath.Join(t.TempDir(), "disk"), dev: dev, data: make([]byte, n), flights: map[uint64]chan struct{}{}}
	write(t, s.path, nil)
	options := fmt.Sprintf("fd=%d,rootmode=100600,user_id=0,group_id=0", dev)
	if err := unix.Mount("unio", s.path, "fuse.unio", 0, options); err != nil {
		t.Fatal("mount: ", err)
	}
	s.wg.Go(s.serve)
	// A process cannot end while its own server owes the kernel an answer.
	force := func() { _ = unix.Unmount(s.path, unix.MNT_FORCE|unix.MNT_DETACH) }
	rescue := time.AfterFunc(2*patience, force)
	t.Cleanup(func() {
		rescue.Stop()
		if err := unmount(s.path); err != nil {
			t.Error("unmount: ", err)
			force()
		}
		s.wg.Wait()
		_ = unix.Close(dev)
	})
	s.refusePoll(t)
	return s
}

// refusePoll has the kernel learn, once for all, that the file cannot be
// polled. Package os would ask when it opens the file, without telling the
// scheduler, and keep a processor from the server that is to answer.
func (s *slowDisk) refusePoll(t *testing.T) {
	t.Helper()
	fd, err := unix.Open(s.path, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	if _, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, 0); err != nil {
		t.Fatal(err)
	}
}

// decide sets who answers reads, writes and flushes.
func (s *slowDisk) decide(f func(fuseCall) unix.Errno) {
	s.mu.Lock()
	s.answer = f
	s.mu.Unlock()
}

// serve answers until the file is unmounted.
func (s *slowDisk) serve() {
	buf := make([]byte, fuseMaxWrite+(64<<10))
	for {
		n, err := unix.Read(s.dev, buf)
		switch err {
		case nil:
			s.dispatch(bytes.Clone(buf[:n]))
		case unix.EINTR, unix.ENOENT, unix.EAGAIN:
		default:
			return
		}
	}
}

func (s *slowDisk) dispatch(msg []byte) {
	h := (*fuseInHeader)(unsafe.Pointer(&msg[0]))
	body := msg[unsafe.Sizeof(*h):]
	switch h.opcode {
	case fuseForget, fuseBatchForget:
	case fuseInterrupt:
		s.interrupt(binary.NativeEndian.Uint64(body))
	case fuseRead, fuseWrite, fuseFsync:
		stop := make(chan struct{})
		s.mu.Lock()
		s.flights[h.unique] = stop
		s.mu.Unlock()
		s.wg.Go(func() { s.transfer(h, body, stop) })
	case fuseInit:
		out := make([]byte, 64)
		binary.NativeEndian.PutUint32(out, 7)
		binary.NativeEndian.PutUint32(out[4:], 31)
		binary.NativeEndian.PutUint32(out[12:], 1|1<<5) // ASYNC_READ, BIG_WRITES; no ASYNC_DIO, so that workers wait
		binary.NativeEndian.PutUint32(out[20:], fuseMaxWrite)
		s.reply(h, 0, out)
	case fuseGetattr, fuseSetattr:
		s.reply(h, 0, s.attr())
	case fuseOpen:
		s.reply(h, 0, make([]byte, 16))
	case fuseStatfs:
		s.reply(h, 0, make([]byte, 80))
	case fuseRelease, fuseFlush:
		s.reply(h, 0, nil)
	default:
		s.reply(h, unix.ENOSYS, nil)
	}
}

// attr is a fuse_attr_out.
func (s *slowDisk) attr() []byte {
	out := make([]byte, 104)
	binary.NativeEndian.PutUint64(out[16:], 1) // inode
	binary.NativeEndian.PutUint64(out[24:], uint64(len(s.data)))
	binary.NativeEndian.PutUint32(out[76:], unix.S_IFREG|0o600)
	binary.NativeEndian.PutUint32(out[80:], 1)    // links
	binary.NativeEndian.PutUint32(out[96:], 4096) // block size
	return out
}

func (s *slowDisk) interrupt(unique uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if stop := s.flights[unique]; stop != nil {
		close(stop)
		delete(s.flights, unique)
	}
}

// transfer answers a read, a write or a flush.
func (s *slowDisk) transfer(h *fuseInHeader, body []byte, stop chan struct{}) {
	call := fuseCall{op: h.opcode, interrupted: stop}
	if h.opcode != fuseFsync {
		call.off = int64(binary.NativeEndian.Uint64(body[8:]))
		call.n = int(binary.NativeEndian.Uint32(body[16:]))
	}
	s.mu.Lock()
	answer := s.answer
	s.mu.Unlock()
	errno := unix.Errno(0)
	if answer != nil {
		errno = answer(call)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.flights, h.unique)
	var out []byte
	switch {
	case errno != 0:
	case h.opcode == fuseRead:
		end := min(int(call.off)+call.n, len(s.data))
		out = s.data[min(int(call.off), end):end]
	case h.opcode == fuseWrite:
		copy(s.data[call.off:], body[40:40+call.n])
		out = binary.NativeEndian.AppendUint64(nil, uint64(call.n))
	}
	s.reply(h, errno, out)
}

func (s *slowDisk) reply(h *fuseInHeader, errno unix.Errno, body []byte) {
	msg := binary.NativeEndian.AppendUint32(nil, uint32(16+len(body)))
	msg = binary.NativeEndian.AppendUint32(msg, uint32(-int32(errno)))
	msg = binary.NativeEndian.AppendUint64(msg, h.unique)
	_, _ = unix.Write(s.dev, append(msg, body...)) // ENOENT when it was given up
}

// TestSlowDisk checks the test's own means.
func TestSlowDisk(t *testing.T) {
	needRoot(t)
	if !inChild(t, "slow disk", ownMounts) {
		return
	}
	s := newSlowDisk(t, 1<<20)
	for _, cfg := range ways {
		r := newRig(t, s.path, cfg)
		r.echo(r.channel(unioDefault), 5000, 100_000)
		_ = r.dev.Close()
	}
	if err := os.WriteFile(s.path, make([]byte, 1<<20), 0); err != nil {
		t.Error(err)
	}
}
