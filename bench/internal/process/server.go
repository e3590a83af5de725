package process

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"time"
)

// A Server is a program that runs until it is stopped. Its methods may be
// called from any goroutine.
type Server struct {
	cmd   *exec.Cmd
	said  *tail
	lines *lines
	ended chan struct{} // closed when the program has ended
	err   error         // why; immutable after ended
}

// Start starts the command as a server. It ends when ctx does. Stop it, in any
// case.
func (c Command) Start(ctx context.Context) (*Server, error) {
	s := &Server{cmd: c.command(ctx), said: &tail{}, lines: newLines(), ended: make(chan struct{})}
	s.cmd.Stdout, s.cmd.Stderr = s.lines, s.said
	s.cmd.WaitDelay = time.Second // for what a child of the program keeps open
	if err := s.cmd.Start(); err != nil {
		return nil, err
	}
	go func() {
		s.err = s.cmd.Wait()
		close(s.ended)
	}()
	return s, nil
}

// stopPatience is how long a server may take to end when it is asked to.
const stopPatience = 5 * time.Second

// Stop asks the server to end, makes it end, and returns when it has. How it
// ends is no error.
func (s *Server) Stop() {
	_ = s.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-s.ended:
	case <-time.After(stopPatience):
		_ = s.cmd.Process.Kill()
		<-s.ended
	}
}

// Signal sends the server a signal.
func (s *Server) Signal(sig os.Signal) error { return s.cmd.Process.Signal(sig) }

// Line returns the next line that the server printed, waiting for it.
func (s *Server) Line(ctx context.Context) (string, error) {
	select {
	case l := <-s.lines.out:
		return l, nil
	case <-s.ended:
		select {
		case l := <-s.lines.out:
			return l, nil
		default:
			return "", s.failure(errors.New("it ended"))
		}
	case <-ctx.Done():
		return "", s.failure(ctx.Err())
	}
}

// failure adds what the server said to an error.
func (s *Server) failure(err error) error {
	return fmt.Errorf("%s: %w: %s", strings.Join(s.cmd.Args, " "), err, lastLines(s.said.String()))
}

// WaitListening returns when something listens on the TCP port, without
// connecting to it, since some servers serve one connection only.
func (s *Server) WaitListening(ctx context.Context, port int) error {
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		if ok, err := listening(port); err != nil || ok {
			return err
		}
		select {
		case <-tick.C:
		case <-s.ended:
			return s.failure(fmt.Errorf("it ended before it listened: %w", errors.Join(s.err, ctx.Err())))
		case <-ctx.Done():
			return s.failure(ctx.Err())
		}
	}
}

// tail keeps the end of what is written to it.
type tail struct {
	mu   sync.Mutex
	text []byte // guarded by mu
}

const tailSize = 4096

func (t *tail) Write(b []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.text = append(t.text, b...)
	t.text = t.text[max(0, len(t.text)-tailSize):]
	return len(b), nil
}

func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return string(t.text)
}

// lines cuts what is written to it. Lines that nobody takes are dropped in the
// end, so that the program never waits.
type lines struct {
	rest []byte // of a line; owned by the one who writes
	out  chan string
}

const linesKept = 256

func newLines() *lines { return &lines{out: make(chan string, linesKept)} }

func (l *lines) Write(b []byte) (int, error) {
	l.rest = append(l.rest, b...)
	for {
		line, rest, found := bytes.Cut(l.rest, []byte("\n"))
		if !found {
			return len(b), nil
		}
		select {
		case l.out <- string(line):
		default:
		}
		l.rest = rest
	}
}
