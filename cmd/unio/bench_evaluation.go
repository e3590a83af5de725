package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync/atomic"

	"github.com/unio-stack/unio/internal/evaluation"
)

// An evaluationReport is what bench --report --json prints.
type evaluationReport struct {
	Unio build `json:"unio"`
	*evaluation.Report
}

// runReport evaluates unio on this machine, and writes the report to the file
// that is named, or to standard output.
func runReport(ctx context.Context, sh *shell, args []string, f benchFlags) error {
	if err := f.checkReport(); err != nil {
		return err
	}
	if len(args) > 0 {
		if err := checkWritable(args[0]); err != nil {
			return err
		}
	}
	r, err := evaluate(ctx, sh, f)
	if err != nil {
		return err
	}
	out := sh.out
	if len(args) > 0 {
		if out, err = os.Create(args[0]); err != nil {
			return err
		}
	}
	if f.json {
		err = printJSON(out, evaluationReport{thisBuild(), r})
	} else {
		err = r.Markdown(out, thisBuild().title())
	}
	if len(args) > 0 {
		err = errors.Join(err, out.Close())
	}
	if failed := r.Failed(); err == nil && len(failed) > 0 {
		err = fmt.Errorf("%d parts of the report failed: %s", len(failed), strings.Join(failed, "; "))
	}
	return err
}

// checkWritable looks, before time is spent, whether a report can be written.
// One that is there already stays until then.
func checkWritable(path string) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE, 0o666)
	if err != nil {
		return err
	}
	return f.Close()
}

// checkReport refuses flags that would have no effect.
func (f *benchFlags) checkReport() error {
	if f.given("time") && f.time <= 0 {
		return usage("--time must be positive, as in 5s")
	}
	if f.given("size") && (f.size < 1<<20 || f.size%4096 != 0) {
		return usage("--size of a report is a multiple of 4 KiB, at least 1 MiB")
	}
	return f.refuse("--report", "op", "rwmix", "bs", "depth", "channels", "ramp", "verify", "durable", "fsync",
		"idle", "dials", "pin", "batch", "spin", "seed", "force", "plot")
}

func evaluate(ctx context.Context, sh *shell, f benchFlags) (*evaluation.Report, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	cfg := evaluation.Config{Dir: os.TempDir(), Size: f.size, Unio: func(args ...string) *exec.Cmd {
		return &exec.Cmd{Path: self, Args: append([]string{os.Args[0]}, args...)}
	}}
	if f.given("time") {
		cfg.Time = f.time
	}
	var now atomic.Value // string: what is being done
	now.Store("opening")
	cfg.Progress = func(what string) { now.Store(what) }
	live := sh.live(func(int) string { return now.Load().(string) })
	defer live.Stop()
	return evaluation.Run(ctx, cfg)
}
