package process

import (
	"context"
	"net"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"
)

// start starts a shell script as a server and stops it in the end.
func start(t *testing.T, script string) *Server {
	t.Helper()
	if _, err := os.Stat("/proc/net/tcp"); err != nil {
		t.Skip("no /proc/net/tcp: servers are watched on Linux only")
	}
	s, err := shell(script).Start(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Stop)
	return s
}

func TestServerAnswersSignalsInLines(t *testing.T) {
	s := start(t, "trap 'echo usr1' USR1; echo ready; while :; do sleep 0.01; done")
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if l, err := s.Line(ctx); err != nil || l != "ready" {
		t.Fatalf("first line %q (%v)", l, err)
	}
	if err := s.Signal(syscall.SIGUSR1); err != nil {
		t.Fatal(err)
	}
	if l, err := s.Line(ctx); err != nil || l != "usr1" {
		t.Errorf("second line %q (%v)", l, err)
	}
}

func TestServerIsAccounted(t *testing.T) {
	s := start(t, "i=0; while [ $i -lt 200000 ]; do i=$((i+1)); done; echo done; exec sleep 60")
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if _, err := s.Line(ctx); err != nil {
		t.Fatal(err)
	}
	cpu, err := s.CPU()
	if err != nil || cpu < 10*time.Millisecond || cpu > time.Minute {
		t.Errorf("CPU time %v (%v)", cpu, err)
	}
	if n, err := s.Descriptors(); err != nil || n < 3 {
		t.Errorf("%d descriptors (%v)", n, err)
	}
	if n, err := s.Resident(); err != nil || n < 1<<10 {
		t.Errorf("%d bytes (%v)", n, err)
	}
}

func TestServerThatEndsSaysWhy(t *testing.T) {
	s := start(t, "echo no such volume >&2; exit 4")
	err := s.WaitListening(context.Background(), 1)
	if err == nil || !strings.Contains(err.Error(), "no such volume") || !strings.Contains(err.Error(), "4") {
		t.Errorf("error is %v", err)
	}
}

func TestStopEndsAServer(t *testing.T) {
	s := start(t, "exec sleep 60")
	s.Stop()
	s.Stop() // twice is fine
	if _, err := s.Line(context.Background()); err == nil {
		t.Error("a line of a server that has ended")
	}
}

func TestServerThatHasEndedIsAccounted(t *testing.T) {
	s := start(t, "i=0; while [ $i -lt 200000 ]; do i=$((i+1)); done")
	<-s.ended
	if cpu, err := s.CPU(); err != nil || cpu < 10*time.Millisecond {
		t.Errorf("CPU time %v (%v)", cpu, err)
	}
}

func TestListening(t *testing.T) {
	s := start(t, "exec sleep 60")
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	port := l.Addr().(*net.TCPAddr).Port
	if err := s.WaitListening(context.Background(), port); err != nil {
		t.Error(err)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Millisecond)
	defer cancel()
	if err := s.WaitListening(ctx, port); err == nil {
		t.Errorf("port %d is said to be listened on, and is not", port)
	}
}

func TestEnvironmentIsAdded(t *testing.T) {
	c := shell("echo $FLAVOUR $HOME")
	c.Env = []string{"FLAVOUR=sour"}
	t.Setenv("HOME", "/there")
	if r, err := c.Run(context.Background()); err != nil || string(r.Output) != "sour /there\n" {
		t.Errorf("output %q (%v)", r.Output, err)
	}
}

func TestLinesAreCutAndNeverBlock(t *testing.T) {
	l := newLines()
	for _, b := range []string{"on", "e\ntw", "o\n\nthree"} {
		_, _ = l.Write([]byte(b))
	}
	for _, want := range []string{"one", "two", ""} {
		if got := <-l.out; got != want {
			t.Errorf("line %q, want %q", got, want)
		}
	}
	for range 2 * linesKept {
		_, _ = l.Write([]byte("more\n"))
	}
	if len(l.out) != linesKept {
		t.Errorf("%d lines kept", len(l.out))
	}
}
