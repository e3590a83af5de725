// Command testrun runs go test several times, in one or more modules and build
// modes, and sums up: one line for each package, the whole output of what
// failed, which tests were skipped in every run and why, the slowest tests, and
// as its last line
//
//	N passed, N failed, N skipped
//
// A test counts once, however many runs it is in: as failed if any run failed
// it, as skipped if no run carried it out. The exit status is 0 only if tests
// ran and none failed.
//
// Usage, with one argument for each run (a name, the module's directory, and
// what go test is to be given):
//
//	testrun "race .. -race ./..." "plain .. ./..." "bench ../bench ./..."
package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"strings"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	t, err := runAll(ctx, os.Args[1:], os.Stdout)
	if err != nil {
		fmt.Fprintln(os.Stderr, "testrun:", err)
		os.Exit(2)
	}
	t.report(os.Stdout)
	if !t.good() {
		os.Exit(1)
	}
}

// runAll carries out the runs, one after the other.
func runAll(ctx context.Context, args []string, out io.Writer) (*tally, error) {
	if len(args) == 0 {
		return nil, fmt.Errorf("no runs: give at least one, such as \"race .. -race ./...\"")
	}
	t := newTally()
	for _, arg := range args {
		r, err := parseRun(arg)
		if err != nil {
			return nil, err
		}
		if err := r.carryOut(ctx, t, out); err != nil {
			return nil, err
		}
	}
	return t, nil
}

// A run is one go test command.
type run struct {
	name string
	dir  string
	args []string
}

func parseRun(arg string) (run, error) {
	f := strings.Fields(arg)
	if len(f) < 3 {
		return run{}, fmt.Errorf("run %q: want a name, a directory and the arguments of go test", arg)
	}
	return run{f[0], f[1], f[2:]}, nil
}

// carryOut runs go test and adds its events to t.
func (r run) carryOut(ctx context.Context, t *tally, out io.Writer) error {
	cmd := exec.CommandContext(ctx, "go", append([]string{"test", "-json"}, r.args...)...)
	cmd.Dir = r.dir
	cmd.Stderr = os.Stderr
	pipe, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "\n%s: go test %s (in %s)\n", r.name, strings.Join(r.args, " "), r.dir)
	if err := cmd.Start(); err != nil {
		return err
	}
	b := newBook(r.name, t, out)
	if err := b.read(bufio.NewReader(pipe)); err != nil {
		return fmt.Errorf("output of go test: %w", err)
	}
	err = cmd.Wait()
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if err != nil && t.failed() == 0 {
		t.note(id{r.name, "(go test)"}, failed, err.Error())
	}
	return nil
}
