//go:build kernel

package kernelpeer

import (
	"bufio"
	"fmt"
	"net"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"
)

// scriptLimit is how long a script may take.
const scriptLimit = 30 * time.Second

// A Script is a shell script that runs in a guest. It is for the test's own goroutine. It and all that it started is killed when
// it ends, or when the test does.
type Script struct {
	t      testing.TB
	conn   net.Conn
	in     *bufio.Reader
	output strings.Builder // what has been read, without the mark at its end
	over   bool
	status int // valid once over
}

// Start runs a script, for busybox's shell. Its standard error goes where its standard output goes. What it prints is logged when
// the test has failed.
func (g *Guest) Start(t testing.TB, format string, args ...any) *Script {
	t.Helper()
	script := fmt.Sprintf(format, args...)
	conn, err := net.Dial("tcp4", g.host[runnerPort])
	if err != nil {
		t.Fatal(err)
	}
	s := &Script{t: t, conn: conn, in: bufio.NewReader(conn)}
	t.Cleanup(func() {
		if t.Failed() {
			_ = conn.SetDeadline(time.Now().Add(time.Second))
			s.readAll()
			t.Logf("in the guest: %s\n%s(over %v, status %d)", script, s.output.String(), s.over, s.status)
		}
		_ = conn.Close()
	})
	if err := conn.SetDeadline(time.Now().Add(scriptLimit)); err != nil {
		t.Fatal(err)
	}
	if _, err := fmt.Fprintf(conn, "%s %d\n%s", g.token, len(script), script); err != nil {
		t.Fatal(err)
	}
	return s
}

// Run runs a script to its end and returns what it printed. The test fails if its status is not 0.
func (g *Guest) Run(t testing.TB, format string, args ...any) string {
	t.Helper()
	return g.Start(t, format, args...).Success()
}

// Line waits until the script prints a line that contains text, and returns that line.
func (s *Script) Line(text string) string {
	s.t.Helper()
	for {
		line, err := s.read()
		switch {
		case strings.Contains(line, text):
			return line
		case s.over:
			s.t.Fatalf("the script ended, with status %d, without printing %q", s.status, text)
		case err != nil:
			s.t.Fatalf("waiting for the script to print %q: %v", text, err)
		}
	}
}

// Success waits for the end of the script and returns all that it printed. The test fails if its status is not 0.
func (s *Script) Success() string {
	s.t.Helper()
	output, status := s.End()
	if status != 0 {
		s.t.Fatalf("the script ended with status %d", status)
	}
	return output
}

// End waits for the end of the script and returns all that it printed, and its status.
func (s *Script) End() (output string, status int) {
	s.t.Helper()
	if err := s.readAll(); err != nil {
		s.t.Fatalf("waiting for the end of the script: %v", err)
	}
	return s.output.String(), s.status
}

func (s *Script) readAll() error {
	for !s.over {
		if _, err := s.read(); err != nil {
			return err
		}
	}
	return nil
}

var endMark = regexp.MustCompile(`@@exit (\d+)@@\n$`)

// read takes the next line.
func (s *Script) read() (string, error) {
	if s.over {
		return "", nil
	}
	line, err := s.in.ReadString('\n')
	if m := endMark.FindStringSubmatchIndex(line); m != nil {
		s.over = true
		s.status, _ = strconv.Atoi(line[m[2]:m[3]])
		line = line[:m[0]]
	}
	s.output.WriteString(line)
	return line, err
}
