package evaluation

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/unio-stack/unio"
	"github.com/unio-stack/unio/provider/rdma"
)

// testLab is a lab without servers.
func testLab(t *testing.T) *lab {
	t.Helper()
	l, err := newLab(Config{Dir: t.TempDir(), Time: 20 * time.Millisecond, Size: leastSize, Progress: func(string) {}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := l.close(); err != nil {
			t.Error(err)
		}
	})
	return l
}

func needsConnections(t *testing.T) {
	t.Helper()
	if runtime.GOOS != "linux" {
		t.Skip("connections need Linux")
	}
}

// TestBrokenChecksSayNo: each is tried with what it is about taken away.
func TestBrokenChecksSayNo(t *testing.T) {
	needsConnections(t)
	for name, run := range map[string]func(ctx context.Context) (string, error){
		"wrong key that is right": func(ctx context.Context) (string, error) { return tryKey(ctx, func(*rdma.Key) {}) },
		"revoking that does nothing": func(ctx context.Context) (string, error) {
			return revokedKey(ctx, func(*rdma.Exposure) error { return nil })
		},
		"withdrawing nothing":       func(ctx context.Context) (string, error) { return withdrawn(ctx, func(*served) error { return nil }) },
		"export to write, attached": func(ctx context.Context) (string, error) { return attachToWrite(ctx, false) },
		"export to write, by verbs": func(ctx context.Context) (string, error) { return writeByVerbs(ctx, false) },
		"export for everybody":      func(ctx context.Context) (string, error) { return notAmong(ctx, nil) },
		"system calls": func(ctx context.Context) (string, error) {
			return withPipe(ctx, func(s *subject) (string, error) { return s.quiet(ctx, 1) })
		},
	} {
		t.Run(name, func(t *testing.T) {
			tr := trial{claim: name, run: func(ctx context.Context, _ *lab) (string, error) { return run(ctx) }}
			c := tr.try(t.Context(), nil)
			if c.Answer != No || !c.Broken || c.Reason == "" {
				t.Errorf("the answer is %+v, want no, broken", c)
			}
			t.Log(c.Reason)
		})
	}
}

// withPipe is withSubject on a device that cannot do without system calls.
func withPipe(ctx context.Context, f func(s *subject) (string, error)) (string, error) {
	s, err := serveMemory(ctx, false)
	if err != nil {
		return "", err
	}
	defer s.close()
	return withSubject(ctx, s.url, unio.ChannelConfig{}, f)
}

// TestAnswers: what an error means.
func TestAnswers(t *testing.T) {
	for _, c := range []struct {
		err    error
		answer Answer
		broken bool
	}{
		{nil, Yes, false},
		{fmt.Errorf("%w: no such operation", errNotOffered), No, false},
		{fmt.Errorf("%w: no such disk", errCannotTry), NotRun, false},
		{errors.New("it copies"), No, true},
		{unio.ErrRevoked, No, true},
	} {
		got := trial{run: func(context.Context, *lab) (string, error) { return "figure", c.err }}.try(t.Context(), nil)
		if got.Answer != c.answer || got.Broken != c.broken || got.Figure != "figure" {
			t.Errorf("%v: %+v", c.err, got)
		}
		if c.err != nil && got.Reason != c.err.Error() {
			t.Errorf("%v: the reason is %q", c.err, got.Reason)
		}
	}
}

// TestFailed: what is broken is named, what is missing is not.
func TestFailed(t *testing.T) {
	r := Report{
		Ways:   []Way{{Name: "fine"}, {Name: "absent", Absent: "no disk"}, {Name: "failed", Failure: "disk full"}},
		Checks: []Check{{Claim: "holds", Answer: Yes}, {Claim: "is not offered", Answer: No}, {Claim: "broke", Answer: No, Broken: true}},
	}
	if got := strings.Join(r.Failed(), ","); got != "failed,broke" {
		t.Errorf("failed are %s", got)
	}
}

// TestRefused: no error, and an error of another cause, are not a refusal.
func TestRefused(t *testing.T) {
	if _, err := refused("it", nil, unio.ErrAccess); err == nil {
		t.Error("nothing happened, and that is taken for a refusal")
	}
	if _, err := refused("it", unio.ErrMedia, unio.ErrAccess, unio.ErrRevoked); !errors.Is(err, unio.ErrMedia) {
		t.Errorf("another error: %v", err)
	}
	figure, err := refused("it", &unio.OpError{Layer: "ddp", Err: unio.ErrRevoked}, unio.ErrAccess, unio.ErrRevoked)
	if err != nil || figure != "refused by ddp: access revoked" {
		t.Errorf("%q, %v", figure, err)
	}
}

// TestSurvivalIsLookedFor: bytes that are not as they were written are found.
func TestSurvivalIsLookedFor(t *testing.T) {
	l := testLab(t)
	want := make([]byte, blockSize)
	if err := l.holds(t.Context(), aside(7), want); err == nil {
		t.Error("zeroes are found where there are none")
	}
	f, err := os.OpenFile(l.disk, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	_, err = f.WriteAt(want, aside(7))
	if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
		t.Fatal(err)
	}
	if err := l.holds(t.Context(), aside(7), want); err != nil {
		t.Error(err)
	}
}

// TestServersThatDoNotStart: the report is made all the same, and says where
// something is missing; nothing stays behind.
func TestServersThatDoNotStart(t *testing.T) {
	needsConnections(t)
	dir := t.TempDir()
	r, err := Run(t.Context(), Config{
		Dir: dir, Time: 20 * time.Millisecond, Size: leastSize,
		Unio: func(...string) *exec.Cmd { return exec.Command("echo", "not", "a server") },
	})
	if err != nil {
		t.Fatal(err)
	}
	if left, _ := filepath.Glob(filepath.Join(dir, "*")); len(left) > 0 {
		t.Errorf("%v is left behind", left)
	}
	failures := 0
	for _, w := range r.Ways {
		if strings.Contains(w.Name, "through a target") != (w.Failure != "") && !strings.Contains(w.Name, "messages") {
			t.Errorf("%s: %q", w.Name, w.Failure)
		}
		if w.Failure != "" {
			failures++
			if !strings.Contains(w.Failure, "not where it listens") {
				t.Errorf("%s does not say what is wrong: %s", w.Name, w.Failure)
			}
		}
	}
	if failures != 6 {
		t.Errorf("%d ways fail, want 6", failures)
	}
	var text strings.Builder
	if err := r.Markdown(&text, "test"); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(text.String(), "not measured: ") {
		t.Error("the text does not say what was not measured")
	}
	if _, err := json.Marshal(r); err != nil {
		t.Error(err)
	}
}

// TestRunCanBeInterrupted: it ends, and leaves nothing behind.
func TestRunCanBeInterrupted(t *testing.T) {
	dir := t.TempDir()
	ctx, cancel := context.WithCancel(t.Context())
	_, err := Run(ctx, Config{
		Dir: dir, Size: leastSize, Progress: func(string) { cancel() },
		Unio: func(...string) *exec.Cmd { return exec.Command("echo") },
	})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("the error is %v", err)
	}
	if left, _ := filepath.Glob(filepath.Join(dir, "*")); len(left) > 0 {
		t.Errorf("%v is left behind", left)
	}
}

func TestBadConfig(t *testing.T) {
	for _, c := range []Config{{Time: -1}, {Size: 1}, {Size: leastSize + 1}} {
		if _, err := Run(t.Context(), c); !errors.Is(err, unio.ErrInvalid) {
			t.Errorf("%+v: %v", c, err)
		}
	}
}

// TestTablesAreTables: every row has as many cells as the head, whatever is in
// them.
func TestTablesAreTables(t *testing.T) {
	var b strings.Builder
	table(&b, []string{"a", "b", "c"}, [][]string{{"1", "with | in it", "two\nlines"}, {"short"}})
	for line := range strings.Lines(b.String()) {
		if n := strings.Count(strings.ReplaceAll(line, `\|`, ""), "|"); n != 4 {
			t.Errorf("%d bars in %q", n, line)
		}
	}
}
