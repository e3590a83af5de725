package main

import (
	"bufio"
	"bytes"
	"context"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func follow(t *testing.T, tl *tally, events string) string {
	t.Helper()
	var out bytes.Buffer
	if err := newBook("run", tl, &out).read(bufio.NewReader(strings.NewReader(events))); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

func TestLastLineCountsEachTestOnce(t *testing.T) {
	tl := newTally()
	follow(t, tl, `{"Action":"pass","Package":"p","Test":"A"}
{"Action":"skip","Package":"p","Test":"B"}
{"Action":"skip","Package":"p","Test":"C"}
`)
	follow(t, tl, `{"Action":"pass","Package":"p","Test":"A"}
{"Action":"pass","Package":"p","Test":"B"}
{"Action":"output","Package":"p","Test":"C","Output":"    c_test.go:7: kernel 5.4 is older than 6.0\n"}
{"Action":"skip","Package":"p","Test":"C"}
`)
	var out bytes.Buffer
	tl.report(&out)
	lines := strings.Split(strings.TrimRight(out.String(), "\n"), "\n")
	if got := lines[len(lines)-1]; got != "2 passed, 0 failed, 1 skipped" {
		t.Errorf("last line is %q", got)
	}
	if !strings.Contains(out.String(), "p C: kernel 5.4 is older than 6.0") {
		t.Errorf("no reason for the skip in:\n%s", out.String())
	}
	if !tl.good() {
		t.Error("not good, although nothing failed")
	}
}

func TestAFailureInOneRunFails(t *testing.T) {
	tl := newTally()
	follow(t, tl, `{"Action":"fail","Package":"p","Test":"A"}`+"\n")
	follow(t, tl, `{"Action":"pass","Package":"p","Test":"A"}`+"\n")
	if tl.good() || tl.failed() != 1 {
		t.Errorf("failed() = %d", tl.failed())
	}
}

func TestAPackageThatFailsWithoutATestFails(t *testing.T) {
	for name, events := range map[string]string{
		"panic in TestMain": `{"Action":"fail","Package":"p"}`,
		"does not build":    `{"ImportPath":"p","Action":"build-fail"}`,
	} {
		tl := newTally()
		follow(t, tl, `{"Action":"pass","Package":"q","Test":"A"}`+"\n"+events+"\n")
		if tl.good() {
			t.Errorf("%s: good", name)
		}
	}
}

func TestNothingRunIsNotGood(t *testing.T) {
	if newTally().good() {
		t.Error("a run of no tests is good")
	}
}

func TestFailedOutputIsPrinted(t *testing.T) {
	out := follow(t, newTally(), `{"Action":"output","Package":"p","Test":"A","Output":"    a_test.go:1: it broke\n"}
{"Action":"fail","Package":"p","Test":"A"}
`)
	if !strings.Contains(out, "it broke") {
		t.Errorf("output is %q", out)
	}
}

func TestLongOutputIsShortened(t *testing.T) {
	text := strings.Repeat("line\n", 10000) + "the end\n"
	short := shorten(text)
	if n := strings.Count(short, "\n"); n > headLines+tailLines+2 || !strings.HasSuffix(short, "the end\n") || !strings.Contains(short, "left out") {
		t.Errorf("%d lines are left, ending in %q", n, short[len(short)-20:])
	}
	if got := shorten("a\nb\n"); got != "a\nb\n" {
		t.Errorf("a short text became %q", got)
	}
}

func TestParseRunRefusesWhatIsIncomplete(t *testing.T) {
	for _, arg := range []string{"", "race", "race .."} {
		if _, err := parseRun(arg); err == nil {
			t.Errorf("parseRun(%q) succeeds", arg)
		}
	}
}

// TestRealGoTest runs go test on a module made for it.
func TestRealGoTest(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{
		"go.mod":    "module sample\n\ngo 1.26\n",
		"s_test.go": "package sample\n\nimport \"testing\"\n\nfunc TestGood(*testing.T) {}\n\nfunc TestSkipped(t *testing.T) { t.Skip(\"because\") }\n",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	tl, err := runAll(context.Background(), []string{"plain " + dir + " ./..."}, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	tl.report(&out)
	if !strings.HasSuffix(out.String(), "\n1 passed, 0 failed, 1 skipped\n") || !strings.Contains(out.String(), "TestSkipped: because") {
		t.Errorf("report:\n%s", out.String())
	}
}
