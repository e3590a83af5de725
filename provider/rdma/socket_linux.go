package rdma

import (
	"fmt"
	"io"
	"net"
	"os"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// A socket is a connected TCP socket that never waits. One caller at a time.
type socket struct {
	fd  int
	iov [2]unix.Iovec // of read
}

// newSocket takes the descriptor over from a net.Conn, which is closed: the Go runtime's poller would be told of
// everything that comes, also while somebody polls.
func newSocket(c *net.TCPConn, congestion string, silence time.Duration) (*socket, error) {
	raw, err := c.SyscallConn()
	if err != nil {
		return nil, err
	}
	fd := -1
	var sysErr error
	if err := raw.Control(func(from uintptr) { fd, sysErr = unix.FcntlInt(from, unix.F_DUPFD_CLOEXEC, 0) }); err != nil {
		return nil, err
	}
	if sysErr != nil {
		return nil, os.NewSyscallError("fcntl", sysErr)
	}
	s := &socket{fd: fd}
	if err := s.configure(congestion, silence); err != nil {
		_ = unix.Close(fd)
		return nil, err
	}
	_ = c.Close() // of a descriptor that has a copy; nothing is lost with it
	return s, nil
}

func (s *socket) configure(congestion string, silence time.Duration) error {
	if err := unix.SetNonblock(s.fd, true); err != nil {
		return os.NewSyscallError("fcntl", err)
	}
	if err := unix.SetsockoptInt(s.fd, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1); err != nil {
		return os.NewSyscallError("setsockopt TCP_NODELAY", err)
	}
	if silence > 0 { // what is sent and not acknowledged; the rest is keep-alive's
		_ = unix.SetsockoptInt(s.fd, unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, int(silence.Milliseconds()))
	}
	if congestion == "" {
		return nil
	}
	if err := unix.SetsockoptString(s.fd, unix.IPPROTO_TCP, unix.TCP_CONGESTION, congestion); err != nil {
		return fmt.Errorf("congestion control %q: %w; /proc/sys/net/ipv4/tcp_available_congestion_control lists what there is",
			congestion, os.NewSyscallError("setsockopt TCP_CONGESTION", err))
	}
	return nil
}

// segment returns the largest FPDU that fits a segment (RFC 5044 section 4.5).
func (s *socket) segment() int {
	n, err := unix.GetsockoptInt(s.fd, unix.IPPROTO_TCP, unix.TCP_MAXSEG)
	if err != nil {
		return 0
	}
	return n
}

// taken returns what TCP knows of the other end.
func (s *socket) taken() (octets uint64, more bool) {
	i, err := unix.GetsockoptTCPInfo(s.fd, unix.IPPROTO_TCP, unix.TCP_INFO)
	if err != nil {
		return 0, false
	}
	return i.Bytes_acked, i.Unacked > 0 || i.Notsent_bytes > 0
}

func (s *socket) descriptor() int { return s.fd }
func (s *socket) buffered() bool  { return false }

// call is a system call on a socket that never waits. The scheduler is not told: to hand its slot to another thread and get one
// back costs more than most calls take.
func call(trap, a, b, c uintptr) (int, syscall.Errno) {
	n, _, errno := unix.RawSyscall(trap, a, b, c)
	return int(n), errno
}

// read reads into head, then tail. Neither both empty.
func (s *socket) read(head, tail []byte) (int, error) {
	for {
		var n int
		var errno syscall.Errno
		if len(head) == 0 {
			n, errno = call(unix.SYS_READ, uintptr(s.fd), uintptr(unsafe.Pointer(&tail[0])), uintptr(len(tail)))
		} else {
			count := 1
			s.iov[0].Base = &head[0]
			s.iov[0].SetLen(len(head))
			if len(tail) > 0 {
				s.iov[1].Base = &tail[0]
				s.iov[1].SetLen(len(tail))
				count = 2
			}
			n, errno = call(unix.SYS_READV, uintptr(s.fd), uintptr(unsafe.Pointer(&s.iov)), uintptr(count))
			s.iov[0].Base, s.iov[1].Base = nil, nil
		}
		switch {
		case errno == unix.EINTR:
		case errno == unix.EAGAIN:
			return 0, errAgain
		case errno != 0:
			return 0, os.NewSyscallError("read", errno)
		case n == 0:
			return 0, io.EOF
		default:
			return n, nil
		}
	}
}

// write writes what o holds and returns how much of it TCP has taken.
func (s *socket) write(o *outbox) (int, error) {
	pieces := o.batch.Buffers()
	if len(pieces) == 1 {
		return s.push(pieces[0])
	}
	iov := o.iov[:len(pieces)]
	for i, p := range pieces {
		iov[i].Base = &p[0]
		iov[i].SetLen(len(p))
	}
	msg := &o.msg
	msg.Iov = &iov[0]
	msg.SetIovlen(len(iov))
	n, err := s.send(unix.SYS_SENDMSG, unsafe.Pointer(msg), sendFlags, 0)
	clear(iov)
	return n, err
}

// push writes b and returns how much of it TCP has taken.
func (s *socket) push(b []byte) (int, error) {
	return s.send(unix.SYS_SENDTO, unsafe.Pointer(&b[0]), uintptr(len(b)), sendFlags)
}

const sendFlags = unix.MSG_NOSIGNAL | unix.MSG_DONTWAIT

func (s *socket) send(trap uintptr, what unsafe.Pointer, a, b uintptr) (int, error) {
	for {
		n, _, errno := unix.RawSyscall6(trap, uintptr(s.fd), uintptr(what), a, b, 0, 0)
		switch errno {
		case 0:
			return int(n), nil
		case unix.EINTR:
		case unix.EAGAIN:
			return 0, nil
		default:
			return 0, os.NewSyscallError("send", errno)
		}
	}
}

// flush reports whether all that write took has left this process.
func (s *socket) flush() (bool, error) { return true, nil }

// finish says that nothing more will be written.
func (s *socket) finish() { _ = unix.Shutdown(s.fd, unix.SHUT_WR) }

func (s *socket) close() error { return os.NewSyscallError("close", unix.Close(s.fd)) }

// A gather is memory for the pieces of one write.
type gather struct {
	iov [maxPieces]unix.Iovec
	msg unix.Msghdr
}
