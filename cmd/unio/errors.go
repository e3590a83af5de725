package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"regexp"
	"strings"
	"syscall"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"github.com/unio-stack/unio"
)

// The exit statuses.
const (
	exitDone        = 0
	exitFailed      = 1
	exitUsage       = 2
	exitMismatch    = 3
	exitInterrupted = 130 // as shells report SIGINT
)

// An exitError ends the command with a status. Its message, if any, is printed
// before, and its hint after that.
type exitError struct {
	status int
	hint   string
	err    error // nil: everything has been said
}

func (e *exitError) Error() string {
	if e.err == nil {
		return fmt.Sprintf("exit status %d", e.status)
	}
	return e.err.Error()
}

func (e *exitError) Unwrap() error { return e.err }

// usage is an error in the command line.
func usage(format string, args ...any) error {
	return &exitError{status: exitUsage, err: fmt.Errorf(format, args...)}
}

// hinted adds what to do about an error.
func hinted(err error, format string, args ...any) error {
	return &exitError{status: statusOf(err), hint: fmt.Sprintf(format, args...), err: err}
}

// finish prints an error and returns the exit status.
func finish(root *cobra.Command, err error) int {
	if err == nil {
		return exitDone
	}
	var e *exitError
	if errors.As(err, &e) && e.err == nil {
		return e.status
	}
	w := root.ErrOrStderr()
	if e == nil && errors.Is(err, context.Canceled) {
		fmt.Fprintln(w, "unio: interrupted")
		return exitInterrupted
	}
	fmt.Fprintf(w, "unio: %s\n", strings.TrimSpace(err.Error()))
	if h := hint(err); h != "" {
		fmt.Fprintf(w, "hint: %s\n", h)
	}
	return statusOf(err)
}

func statusOf(err error) int {
	var e *exitError
	switch {
	case errors.As(err, &e):
		return e.status
	case errors.Is(err, context.Canceled):
		return exitInterrupted
	case errors.Is(err, unio.ErrChecksum):
		return exitMismatch
	case strings.HasPrefix(err.Error(), "unknown command"): // cobra has no type for it
		return exitUsage
	}
	return exitFailed
}

// hint says what to do about an error, if there is something to say.
func hint(err error) string {
	var e *exitError
	if errors.As(err, &e) && e.hint != "" {
		return e.hint
	}
	switch {
	case e != nil && e.status == exitUsage, strings.HasPrefix(err.Error(), "unknown command"):
		return `"unio --help" and "unio COMMAND --help" show what there is, with examples`
	case errors.Is(err, syscall.EMFILE):
		return "too many descriptors are open: raise the limit with ulimit -n"
	case errors.Is(err, syscall.ENOMEM):
		return "memory could not be had or locked: see ulimit -l, or use a smaller depth or block size"
	}
	if h, ok := networkHint(err); ok {
		return h
	}
	switch {
	case errors.Is(err, fs.ErrPermission), errors.Is(err, unio.ErrAccess):
		return "check who may read and write it (ls -l); block devices need root or the group disk (id -nG), or readonly=1 for reading"
	case errors.Is(err, fs.ErrNotExist):
		return "is the path right? A file is made with ?size=1GiB&create=1 in its URL"
	case errors.Is(err, unio.ErrUnsupported):
		return `"unio devices URL" shows what the device can do, and why not more`
	case errors.Is(err, unio.ErrNoSpace):
		return "choose a smaller size, or make room (df -h)"
	case errors.Is(err, os.ErrDeadlineExceeded), errors.Is(err, unio.ErrTimeout):
		return "the device did not answer in time; dmesg may say why"
	case errors.Is(err, unio.ErrMedia):
		return "the medium itself failed: dmesg and smartctl say more; copy what is still readable"
	}
	return ""
}

var unknownFlag = regexp.MustCompile(`^unknown (?:shorthand )?flag: (?:'.' in )?--?(\S+)`)

// flagError explains a flag that is wrong, and guesses what was meant.
func flagError(cmd *cobra.Command, err error) error {
	e := &exitError{status: exitUsage, err: err}
	m := unknownFlag.FindStringSubmatch(err.Error())
	if m == nil {
		return e
	}
	if near := nearestFlag(cmd, m[1]); near != "" {
		e.hint = fmt.Sprintf("did you mean --%s? %q lists all flags", near, cmd.CommandPath()+" --help")
	} else {
		e.hint = fmt.Sprintf("%q lists all flags", cmd.CommandPath()+" --help")
	}
	return e
}

// nearestFlag returns the flag whose name is most like name, if any is.
func nearestFlag(cmd *cobra.Command, name string) string {
	best, least := "", len(name)/2+1
	cmd.Flags().VisitAll(func(f *pflag.Flag) {
		if d := distance(name, f.Name); d < least && !f.Hidden {
			best, least = f.Name, d
		}
	})
	return best
}

// distance is how many letters must be changed, added or removed to make b of
// a (Levenshtein).
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			change := diagonal
			if a[i] != b[j] {
				change++
			}
			diagonal = row[j+1]
			row[j+1] = min(change, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}
