package evaluation

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os/exec"
	"runtime"
	"strings"
	"syscall"
	"time"
)

// A server is another process of unio, which says on its first line where it
// listens.
type server struct {
	address string // "host:port"
	cmd     *exec.Cmd
	said    bytes.Buffer  // on standard error; to be read when ended is closed
	ended   chan struct{} // closed when the process is gone
}

const (
	startPatience = 20 * time.Second
	stopPatience  = 5 * time.Second
)

// announcement is the first line of serve --json and of peer --json.
type announcement struct {
	Event     string   `json:"event"`
	Address   string   `json:"address"`
	Addresses []string `json:"addresses"`
}

// startServer returns when the server listens. It does not outlive this
// process, however that ends (see attributes).
func startServer(ctx context.Context, cmd *exec.Cmd) (*server, error) {
	s := &server{cmd: cmd, ended: make(chan struct{})}
	cmd.Stderr, cmd.SysProcAttr = &s.said, attributes()
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	started, first := make(chan error, 1), make(chan []byte, 1)
	go s.attend(out, started, first)
	if err := <-started; err != nil {
		return nil, err
	}
	select {
	case line := <-first:
		var a announcement
		if err := json.Unmarshal(line, &a); err != nil || a.Event != "listening" {
			s.stop()
			return nil, fmt.Errorf("%q says %q, not where it listens; %s", cmd.Args, line, strings.TrimSpace(s.said.String()))
		}
		s.address = strings.Join(append(a.Addresses, a.Address)[:1], "")
		return s, nil
	case <-ctx.Done():
		s.stop()
		return nil, context.Cause(ctx)
	case <-time.After(startPatience):
		s.stop()
		return nil, fmt.Errorf("%q does not say where it listens", cmd.Args)
	}
}

// attend keeps the thread that started the process, which the kernel holds for
// its parent, until the process has ended.
func (s *server) attend(out io.Reader, started chan<- error, first chan<- []byte) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	err := s.cmd.Start()
	started <- err
	if err != nil {
		return
	}
	r := bufio.NewReader(out)
	line, _ := r.ReadBytes('\n') // none if it ended: the announcement is not one then
	first <- line
	_, _ = io.Copy(io.Discard, r) // its report at the end
	_ = s.cmd.Wait()              // it is made to end, by a signal
	close(s.ended)
}

// stop ends the process; it may be called again.
func (s *server) stop() {
	_ = s.cmd.Process.Signal(syscall.SIGTERM) // it may have ended
	select {
	case <-s.ended:
	case <-time.After(stopPatience):
		s.kill()
	}
}

// kill ends the process at once.
func (s *server) kill() {
	_ = s.cmd.Process.Kill() // it may have ended
	<-s.ended
}

func (s *server) pid() int { return s.cmd.Process.Pid }
