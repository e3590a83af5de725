//go:build !linux

package rdma

import (
	"fmt"
	"net"
	"time"

	"github.com/unio-stack/unio"
)

// gather is for writing with one system call, which is not done here.
type gather struct{}

// A socket is what there is none of on this system.
type socket struct{}

// newSocket says that this system is not supported.
func newSocket(*net.TCPConn, string, time.Duration) (*socket, error) {
	return nil, fmt.Errorf("%w: connections need Linux", unio.ErrUnsupported)
}

func (*socket) read(_, _ []byte) (int, error) { return 0, unio.ErrUnsupported }
func (*socket) write(*outbox) (int, error)    { return 0, unio.ErrUnsupported }
func (*socket) push([]byte) (int, error)      { return 0, unio.ErrUnsupported }
func (*socket) flush() (bool, error)          { return true, nil }
func (*socket) buffered() bool                { return false }
func (*socket) taken() (uint64, bool)         { return 0, false }
func (*socket) descriptor() int               { return -1 }
func (*socket) segment() int                  { return 0 }
func (*socket) finish()                       {}
func (*socket) close() error                  { return nil }
