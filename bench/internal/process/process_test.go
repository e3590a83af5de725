package process

import (
	"context"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"
)

func shell(script string) Command {
	return Command{Path: "/bin/sh", Args: []string{"-c", script}, CPU: -1}
}

func TestRunMeasuresTheChildNotUs(t *testing.T) {
	r, err := shell("i=0; while [ $i -lt 200000 ]; do i=$((i+1)); done; echo done").Run(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	if string(r.Output) != "done\n" || r.CPU < 10*time.Millisecond {
		t.Errorf("output %q, CPU %v", r.Output, r.CPU)
	}
	idle, err := shell("sleep 0.2").Run(context.Background())
	if err != nil || idle.CPU > 50*time.Millisecond {
		t.Errorf("a sleeping child used %v (%v)", idle.CPU, err)
	}
}

func TestRunSeesThreads(t *testing.T) {
	if _, err := os.Stat("/proc/self/task"); err != nil {
		t.Skip("no /proc to count threads in")
	}
	r, err := shell("sleep 0.1").Run(context.Background())
	if err != nil || r.Threads < 1 {
		t.Errorf("saw %d threads (%v)", r.Threads, err)
	}
}

func TestFailureSaysWhatTheProgramSaid(t *testing.T) {
	_, err := shell("echo no such engine >&2; exit 3").Run(context.Background())
	if err == nil || !strings.Contains(err.Error(), "no such engine") {
		t.Errorf("error is %v", err)
	}
}

func TestPinnedProgramRunsOnOneProcessor(t *testing.T) {
	if !CanPin() {
		t.Skip("no taskset (package util-linux)")
	}
	if _, err := exec.LookPath("nproc"); err != nil {
		t.Skip("no nproc (package coreutils)")
	}
	c := Command{Path: "nproc", CPU: 0}
	if r, err := c.Run(context.Background()); err != nil || strings.TrimSpace(string(r.Output)) != "1" {
		t.Errorf("nproc says %q (%v)", r.Output, err)
	}
}

func TestPerOperationTakesOffTheStartup(t *testing.T) {
	if got := PerOperation(Run{CPU: 3 * time.Microsecond}, time.Microsecond, 4); got != 500 {
		t.Errorf("got %v ns, want 500", got)
	}
	if got := PerOperation(Run{CPU: 1}, 2, 4); got != 0 {
		t.Errorf("less than the startup gives %v, want 0", got)
	}
}
