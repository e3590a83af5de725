package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// command is the path of the unio command.
var command string

// TestMain is also what the servers of the demo begin with: they are this
// program again.
func TestMain(m *testing.M) {
	asked, err := serveInstead(os.Args[1:])
	if !asked {
		err = build(m)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// build runs the tests once the command is built.
func build(m *testing.M) error {
	dir, err := os.MkdirTemp("", "unio-demo-test-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	if command, err = buildUnio(context.Background(), dir, os.Stderr); err != nil {
		return err
	}
	if code := m.Run(); code != 0 {
		return fmt.Errorf("status %d", code)
	}
	return nil
}

func small(t *testing.T) options {
	return options{
		dir: t.TempDir(), unio: command, size: 1 << 20, depth: 8, time: 20 * time.Millisecond, limit: time.Minute, crashes: 1,
	}
}

// checkNothingLeft fails the test if there are files, or processes.
func checkNothingLeft(t *testing.T, o options) {
	t.Helper()
	if left, err := os.ReadDir(o.dir); err != nil || len(left) != 0 {
		t.Errorf("left behind: %v (%v)", left, err)
	}
	stats, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range stats {
		text, _ := os.ReadFile(s) // it may have gone
		_, after, _ := strings.Cut(string(text), ") ")
		if f := strings.Fields(after); len(f) > 1 && f[1] == strconv.Itoa(os.Getpid()) {
			t.Errorf("a process is left: %s", text)
		}
	}
}

func onLinux(t *testing.T) {
	t.Helper()
	if runtime.GOOS != "linux" {
		t.Skip("connections need Linux")
	}
}

func TestDemoPassesAndLeavesNothingBehind(t *testing.T) {
	onLinux(t)
	o := small(t)
	o.crashes = 2
	var out bytes.Buffer
	if err := run(context.Background(), o, &out); err != nil {
		t.Fatalf("%v\n%s", err, out.String())
	}
	for _, want := range []string{
		"Every check passed", "unio mem: DRAM", "unio rdma: target", "unio rdma: peer", "unio Send and Recv", "net/rpc",
		"adds add up", "all found after reopening", "fail with ErrDisconnected", "every one holds what was written to it last",
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %q in:\n%s", want, out.String())
		}
	}
	if t.Failed() {
		return
	}
	_, table, _ := strings.Cut(out.String(), "CPU/IO")
	for line := range strings.Lines(table) {
		if len(line) > 101 {
			t.Errorf("a line of the table has %d columns: %s", len(line)-1, line)
		}
	}
	checkNothingLeft(t, o)
}

func TestDemoFailsOnACorruptByte(t *testing.T) {
	onLinux(t)
	o := small(t)
	o.corrupt = true
	var out bytes.Buffer
	err := run(context.Background(), o, &out)
	if err == nil {
		t.Errorf("no error, output:\n%s", out.String())
	}
	// The two of net/rpc and os.File are not counted, nor the engines that are not here.
	for _, name := range []string{"unio file: posix", "unio rdma: target", "unio dax: mapped file", "the file, target stopped"} {
		_, after, _ := strings.Cut(out.String(), name)
		_, verdict, _ := strings.Cut(after, "\n")
		if first, _, _ := strings.Cut(verdict, "\n"); !strings.Contains(first, "checksum does not match") {
			t.Errorf("%s: %q, output:\n%s", name, first, out.String())
		}
	}
	checkNothingLeft(t, o)
}

// A stopper ends a run when it says something.
type stopper struct {
	bytes.Buffer
	at   string
	stop func()
	once sync.Once
}

func (s *stopper) Write(b []byte) (int, error) {
	n, err := s.Buffer.Write(b)
	if strings.Contains(s.String(), s.at) {
		s.once.Do(s.stop)
	}
	return n, err
}

func TestDemoEndsWhenInterrupted(t *testing.T) {
	onLinux(t)
	for i, at := range []string{
		"Random reads", "Running beside", "unio file: posix", "Disk.ReadAt", "rdma: target", "unio Send and Recv", "A crash", "kill -9", "again after",
	} {
		t.Run(strconv.Itoa(i), func(t *testing.T) {
			o := small(t)
			o.crashes = 1000
			ctx, cancel := context.WithCancel(context.Background())
			defer cancel()
			out := &stopper{at: at, stop: cancel}
			if err := run(ctx, o, out); err == nil || !strings.Contains(err.Error(), "interrupted") {
				t.Errorf("at %q: error %v, output:\n%s", at, err, out.String())
			}
			checkNothingLeft(t, o)
		})
	}
}

func TestDemoEndsInTime(t *testing.T) {
	onLinux(t)
	o := small(t)
	o.time, o.limit = time.Minute, 500*time.Millisecond
	if err := run(context.Background(), o, new(bytes.Buffer)); err == nil || !strings.Contains(err.Error(), "not done within") {
		t.Errorf("error %v", err)
	}
	checkNothingLeft(t, o)
}

func TestDemoRefusesBadOptions(t *testing.T) {
	for _, o := range []options{
		{size: 1 << 20, depth: 0, time: 1},
		{size: 0, depth: 2, time: 1},
		{size: 1 << 20, depth: 2, time: 0},
		{size: 1 << 20, depth: 2, time: 1, crashes: -1},
	} {
		if err := run(context.Background(), o, new(bytes.Buffer)); err == nil {
			t.Errorf("%+v is accepted", o)
		}
	}
}

func TestProcessThatDoesNotListen(t *testing.T) {
	for _, c := range []struct{ script, want string }{
		{"echo no such export >&2; exit 3", "no such export"},
		{"echo hello; exec sleep 100", "hello"},
		{`echo '{"event":"goodbye"}'; exec sleep 100`, "goodbye"},
	} {
		p, err := startProcess(context.Background(), "server", "/bin/sh", "-c", c.script)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", c.script, err)
		}
		if p != nil {
			t.Errorf("%s: process %d is left", c.script, p.pid())
		}
	}
	if _, err := startProcess(context.Background(), "server", "/no/such/command"); err == nil {
		t.Error("a command that does not exist was started")
	}
}

// TestServerEndsWithTheDemo: a server does not outlive the demo, even if that
// has no time to stop it.
func TestServerEndsWithTheDemo(t *testing.T) {
	onLinux(t)
	parent := exec.Command(os.Args[0], roleRPC, "/dev/zero", "4096")
	stdin, err := parent.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := parent.Start(); err != nil {
		t.Fatal(err)
	}
	_ = stdin.Close() // as when the demo ends
	ended := make(chan error, 1)
	go func() { ended <- parent.Wait() }()
	select {
	case <-ended:
	case <-time.After(20 * time.Second):
		_ = parent.Process.Signal(syscall.SIGKILL)
		t.Error("a server waits although the demo has ended")
	}
}

// stamped returns a block as the ledger makes it.
func stamped(l *ledger, j job) []byte {
	b := make([]byte, blockSize)
	l.stamp(j, b)
	return b
}

func TestLedgerFindsEveryKindOfDamage(t *testing.T) {
	l := newLedger(64*blockSize, 4)
	j := job{block: 5, write: true}
	old := stamped(l, j)
	l.written(j)
	if err := l.check(j, old); err != nil {
		t.Fatalf("undamaged: %v", err)
	}
	buf := stamped(l, j)
	l.written(j)
	for name, damaged := range map[string][]byte{
		"an old generation": old,
		"another block":     stamped(l, job{block: 6}),
		"a flipped bit":     func() []byte { b := bytes.Clone(buf); b[4000] ^= 1; return b }(),
		"a torn block":      append(bytes.Clone(old[:2048]), make([]byte, 2048)...),
		"half a block":      buf[:2048],
	} {
		if l.check(j, damaged) == nil {
			t.Errorf("%s is not noticed", name)
		}
	}
}

func TestLedgerAfterACrash(t *testing.T) {
	l := newLedger(4*blockSize, 1)
	var versions [4][]byte // of block 2
	j := job{block: 2, write: true}
	for i := range versions {
		versions[i] = stamped(l, j)
		if i < 3 {
			l.written(j) // the last one was in flight
		}
		if i == 1 {
			l.flushed()
		}
	}
	for i, want := range []string{"lost", "old", "old", "new"} {
		l.crashed()
		err := l.check(j, versions[i])
		stable, renewed, old := l.survived()
		switch got := fmt.Sprint(stable, renewed, old); {
		case (want == "lost") != (err != nil):
			t.Errorf("version %d: %v", i+1, err)
		case want == "old" && got != "3 0 1", want == "new" && got != "3 1 0":
			t.Errorf("version %d counts as %s", i+1, got)
		}
	}
	if err := l.check(j, versions[1]); err == nil {
		t.Error("a block may become older again")
	}
	p := l.redo()
	if again, ok := p(0); !ok || again != j {
		t.Errorf("what was not flushed is written again as %+v, %v", again, ok)
	}
	if _, ok := p(0); ok {
		t.Error("what was flushed is written again, too")
	}
}

func TestPlansCoverEveryBlockOnce(t *testing.T) {
	l := newLedger(101*blockSize, 4)
	seen := make([]int, l.blocks)
	p, end := l.fill(time.Minute)
	for s := range 4 {
		for j, ok := p(s); ok; j, ok = p(s) {
			seen[j.block]++
			if !j.write || j.block%4 != int64(s) {
				t.Fatalf("slot %d does %+v", s, j)
			}
		}
	}
	end()
	for b, n := range seen {
		if n != 1 {
			t.Errorf("block %d is written %d times", b, n)
		}
	}
	if l.blocks != 100 {
		t.Errorf("%d blocks are left", l.blocks)
	}
}

func TestFillEndsInTime(t *testing.T) {
	l := newLedger(100*blockSize, 4)
	p, end := l.fill(0)
	for s, want := range []int{5, 3, 4, 7} {
		for range want {
			p(s)
		}
	}
	end()
	if l.blocks%4 != 0 || l.blocks < 4 || l.blocks > 12 {
		t.Errorf("%d blocks are filled", l.blocks)
	}
}
