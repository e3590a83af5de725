package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os/exec"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"time"
)

// A process is a server beside the demo. Its first line is a JSON object whose
// "event" is "listening", and which says at what "addresses".
type process struct {
	name  string // for people
	addr  string // "host:port"
	cmd   *exec.Cmd
	said  *tail
	ended chan struct{} // closed when it has ended
	err   error         // how it ended; immutable after ended
}

// listening is the first line of a server, as unio serve --json prints it.
type listening struct {
	Event     string   `json:"event"`
	Addresses []string `json:"addresses"`
}

const (
	startPatience = 20 * time.Second
	stopPatience  = 10 * time.Second
)

// startProcess returns when the server listens. It does not outlive the demo,
// however that ends (see attributes); stop it all the same.
func startProcess(ctx context.Context, name, path string, args ...string) (*process, error) {
	p := &process{name: name, cmd: exec.Command(path, args...), said: &tail{}, ended: make(chan struct{})}
	line := make(chan []byte, 1)
	p.cmd.Stdout, p.cmd.Stderr, p.cmd.SysProcAttr = &firstLine{line: line}, p.said, attributes()
	if _, err := p.cmd.StdinPipe(); err != nil { // open until the process has ended, or the demo
		return nil, err
	}
	started := make(chan error)
	go p.attend(started)
	if err := <-started; err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	if err := p.awaitListening(ctx, line); err != nil {
		return nil, errors.Join(p.fail(err), p.kill())
	}
	return p, nil
}

// attend keeps the thread that started the process, which the kernel holds for
// its parent, until the process has ended.
func (p *process) attend(started chan<- error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	err := p.cmd.Start()
	started <- err
	if err == nil {
		p.err = p.cmd.Wait()
		close(p.ended)
	}
}

func (p *process) awaitListening(ctx context.Context, line <-chan []byte) error {
	ctx, cancel := context.WithTimeout(ctx, startPatience)
	defer cancel()
	select {
	case text := <-line:
		var said listening
		if err := json.Unmarshal(text, &said); err != nil || said.Event != "listening" || len(said.Addresses) == 0 {
			return fmt.Errorf("it says %q, not where it listens", text)
		}
		p.addr = said.Addresses[0]
		return nil
	case <-p.ended:
		return errors.New("it does not listen")
	case <-ctx.Done():
		return ctx.Err()
	}
}

// pid is the process's number.
func (p *process) pid() int { return p.cmd.Process.Pid }

// stop asks the process to end, and returns when it has. It may be called again.
func (p *process) stop() error {
	_ = p.cmd.Process.Signal(syscall.SIGTERM) // unless it has ended already
	select {
	case <-p.ended:
	case <-time.After(stopPatience):
		return errors.Join(p.fail(fmt.Errorf("it does not end within %v of SIGTERM", stopPatience)), p.kill())
	}
	if p.err != nil {
		return p.fail(p.err)
	}
	return nil
}

// kill is kill -9. It returns when the process is gone.
func (p *process) kill() error {
	_ = p.cmd.Process.Kill() // unless it has ended already
	<-p.ended
	return nil
}

// fail says that err is about the process.
func (p *process) fail(err error) error { return fmt.Errorf("%s: %w", p.name, p.explain(err)) }

// explain adds to an error what the process has said, and how it ended, if it
// has.
func (p *process) explain(err error) error {
	if said := p.said.String(); said != "" {
		err = fmt.Errorf("%w (%s said: %s)", err, p.name, said)
	}
	select {
	case <-p.ended:
		return fmt.Errorf("%w (%s has ended: %v)", err, p.name, p.cmd.ProcessState)
	default:
		return err
	}
}

// firstLine keeps the first line that is written to it, and drops the rest.
type firstLine struct {
	text []byte
	line chan []byte
}

func (f *firstLine) Write(b []byte) (int, error) {
	if f.line == nil {
		return len(b), nil
	}
	f.text = append(f.text, b...)
	if i := bytes.IndexByte(f.text, '\n'); i >= 0 {
		f.line <- f.text[:i]
		f.line = nil
	}
	return len(b), nil
}

// tail keeps the end of what is written to it.
type tail struct {
	mu   sync.Mutex
	text []byte // guarded by mu
}

const tailSize = 1 << 10

func (t *tail) Write(b []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.text = append(t.text, b...)
	t.text = t.text[max(0, len(t.text)-tailSize):]
	return len(b), nil
}

// String returns it as one line.
func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return strings.ReplaceAll(strings.TrimSpace(string(t.text)), "\n", "; ")
}
