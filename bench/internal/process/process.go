// Package process runs the programs that are measured, all in the same way:
// the CPU time of a run is what the kernel accounts to the process and its
// children from start to exit (wait4's rusage, which has the kernel's own
// workers for the process in it), less what the program takes to start and
// stop with next to nothing to do. Of a server that goes on running it is what
// the process's CPU clock advances by while a client runs.
package process

import (
	"bytes"
	"context"
	"fmt"
	"os/exec"
	"strconv"
	"strings"
	"time"
)

// A Command is a program to be run.
type Command struct {
	Path string
	Args []string
	// CPU is the one processor that it may run on, or -1 for all.
	CPU int
	// Env is added to this program's environment.
	Env []string
}

// A Run is how a command went.
type Run struct {
	Output  []byte        // standard output
	CPU     time.Duration // user and system time
	Threads int           // most OS threads seen at a time
}

// Run runs the command to its end. Its standard error becomes the error's text.
func (c Command) Run(ctx context.Context) (Run, error) {
	cmd := c.command(ctx)
	var out, said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &said
	if err := cmd.Start(); err != nil {
		return Run{}, err
	}
	threads := watchThreads(cmd.Process.Pid)
	err := cmd.Wait()
	r := Run{Output: out.Bytes(), Threads: threads()}
	if err != nil {
		return r, fmt.Errorf("%s: %w: %s", strings.Join(cmd.Args, " "), err, lastLines(said.String()+out.String()))
	}
	r.CPU = cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()
	return r, nil
}

// command pins the program with taskset, which replaces itself by it.
func (c Command) command(ctx context.Context) *exec.Cmd {
	path, args := c.Path, c.Args
	if c.CPU >= 0 && CanPin() {
		path, args = "taskset", append([]string{"-c", strconv.Itoa(c.CPU), c.Path}, c.Args...)
	}
	cmd := exec.CommandContext(ctx, path, args...)
	if len(c.Env) > 0 {
		cmd.Env = append(cmd.Environ(), c.Env...)
	}
	return cmd
}

// CanPin reports whether taskset is there to pin a program to a processor.
func CanPin() bool {
	_, err := exec.LookPath("taskset")
	return err == nil
}

// lastLines returns the end of what a program said.
func lastLines(text string) string {
	lines := strings.Split(strings.TrimSpace(text), "\n")
	return strings.Join(lines[max(0, len(lines)-5):], "; ")
}

// startups is how often a startup is measured; the shortest counts.
const startups = 3

// Startup measures the CPU time of a command that has next to nothing to do.
func (c Command) Startup(ctx context.Context) (time.Duration, error) {
	least := time.Duration(-1)
	for range startups {
		r, err := c.Run(ctx)
		if err != nil {
			return 0, err
		}
		if least < 0 || r.CPU < least {
			least = r.CPU
		}
	}
	return least, nil
}

// PerOperation returns the CPU time of each of n operations in nanoseconds.
func PerOperation(r Run, startup time.Duration, n float64) float64 {
	return float64(max(r.CPU-startup, 0)) / max(n, 1)
}
