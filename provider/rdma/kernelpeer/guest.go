//go:build kernel

package kernelpeer

import (
	"bufio"
	"bytes"
	"crypto/rand"
	"fmt"
	"net"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// Host is how the guest reaches this machine's loopback.
const Host = "10.0.2.2"

const (
	runnerPort  = 1 // guest/runner listens there
	firstServer = 7001
	servers     = 48 // forwarded ports, from firstServer on
	bootLimit   = 2 * time.Minute
	guestLimit  = 10 * time.Minute // whatever becomes of the test
	portTries   = 5
)

// A Guest is a running kernel. Its methods may be called by any test that ends before the one that started it.
type Guest struct {
	token string         // immutable
	host  map[int]string // address here by port there; immutable

	mu   sync.Mutex
	next int // server port to hand out; guarded by mu
}

// Start boots a guest, which takes about 4 seconds, and ends it with the test. dir is this package's folder as the test sees it. The
// image must have been built: dir/build.
func Start(t testing.TB, dir string) *Guest {
	t.Helper()
	dir, err := filepath.Abs(dir)
	if err != nil {
		t.Fatal(err)
	}
	for try := 1; ; try++ {
		g := &Guest{token: rand.Text(), next: firstServer}
		diagnosis, err := g.boot(t, dir)
		if err == nil {
			return g
		}
		if try == portTries || !strings.Contains(diagnosis, "host forwarding") { // somebody else has taken a port meanwhile
			t.Fatalf("the guest did not boot: %v\n%s", err, diagnosis)
		}
		t.Logf("once more, with other ports: %s", diagnosis)
	}
}

// boot starts the emulator. On failure it returns what that has said.
func (g *Guest) boot(t testing.TB, dir string) (diagnosis string, err error) {
	t.Helper()
	args := []string{"-t", strconv.Itoa(int(guestLimit.Seconds()))}
	args = append(args, g.forward(t)...)
	args = append(args, filepath.Join(dir, "guest/runner"))
	cmd := exec.Command(filepath.Join(dir, "run"), args...)
	cmd.Env = append(cmd.Environ(), "KERNEL_PEER_TOKEN="+g.token)
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGTERM} // run ends qemu
	var said bytes.Buffer
	cmd.Stderr = &said
	out, err := cmd.StdoutPipe()
	if err != nil {
		return "", err
	}
	if err := cmd.Start(); err != nil {
		return "", err
	}
	stop := func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		_ = cmd.Wait() // the status of a guest that was stopped says nothing
	}
	timer := time.AfterFunc(bootLimit, func() { _ = cmd.Process.Signal(syscall.SIGTERM) })
	line, err := bufio.NewReader(out).ReadString('\n')
	timer.Stop()
	if line != "listening\n" {
		stop()
		return said.String(), fmt.Errorf("%q, %v", line, err)
	}
	t.Cleanup(stop)
	return "", nil
}

// forward chooses ports of this machine for the runner and the servers, and returns run's options for them.
func (g *Guest) forward(t testing.TB) []string {
	t.Helper()
	g.host = map[int]string{}
	var options []string
	for i := -1; i < servers; i++ {
		l, err := net.Listen("tcp4", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close() // once all are chosen, so that they differ
		port := firstServer + i
		if i < 0 {
			port = runnerPort
		}
		g.host[port] = l.Addr().String()
		options = append(options, "-p", fmt.Sprintf("%d:%d", l.Addr().(*net.TCPAddr).Port, port))
	}
	return options
}

// Port returns a port on which a server in the guest may listen, and the address at which it is reached from here. It is a new
// one each time. Connect only once the server listens: before, a connection succeeds and is reset.
func (g *Guest) Port(t testing.TB) (port int, addr string) {
	t.Helper()
	g.mu.Lock()
	defer g.mu.Unlock()
	port = g.next
	g.next++
	if g.host[port] == "" {
		t.Fatalf("all %d ports of the guest have been used", servers)
	}
	return port, g.host[port]
}
