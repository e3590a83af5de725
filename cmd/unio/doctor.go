package main

import (
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"
	"github.com/unio-stack/unio/internal/console"
	"github.com/unio-stack/unio/internal/diagnose"
)

const doctorLong = `doctor looks at everything that decides how fast unio can be here: the kernel
and what it offers of io_uring, who forbids it, limits on locked memory and
files, direct I/O and its alignment where files are kept, persistent memory,
and settings that make latencies unsteady. What is not right comes with its fix.

PATH is a directory, a file, a device or a URL to try; without one, the working
directory and the directory for temporary files. In a directory, a hidden file
is made for a moment.

Exit status: 1 if a fast path is not available (fail), otherwise 0, also with
warnings.`

func newDoctor(sh *shell) *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use: "doctor [PATH...]", Short: "Say why the fast paths are or are not available, and how to get them",
		Long: doctorLong, Example: `  unio doctor
  unio doctor /var/lib/database /dev/nvme0n1
  unio doctor --json | jq '.findings[] | select(.status != "ok")'`,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				args = []string{".", os.TempDir()}
			}
			all := diagnose.Examine(cmd.Context(), diagnose.ThisHost(args...))
			worst := diagnose.Worst(all)
			if asJSON {
				if err := printJSON(sh.out, doctorReport{worst, all}); err != nil {
					return err
				}
			} else {
				printFindings(sh.out, sh.outStyle, all, console.Width(sh.out, 100))
			}
			if worst == diagnose.Fail {
				return &exitError{status: exitFailed}
			}
			return nil
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print one JSON object")
	return cmd
}

// A doctorReport is what doctor --json prints.
type doctorReport struct {
	Status   diagnose.Status    `json:"status"` // the worst
	Findings []diagnose.Finding `json:"findings"`
}

// printFindings prints a line for each finding, its fix beneath it.
func printFindings(w io.Writer, st console.Style, all []diagnose.Finding, width int) {
	counts := map[diagnose.Status]int{}
	for _, f := range all {
		counts[f.Status]++
		printWrapped(w, mark(st, f.Status)+"  "+st.Bold(f.Topic)+": ", len(f.Topic)+8, f.Detail, width)
		if f.Fix != "" {
			printWrapped(w, "      "+st.Yellow("fix:")+" ", 11, f.Fix, width)
		}
	}
	fmt.Fprintf(w, "\n%d ok, %d to mend, %d in the way of speed\n", counts[diagnose.OK], counts[diagnose.Warn], counts[diagnose.Fail])
}

func mark(st console.Style, s diagnose.Status) string {
	switch s {
	case diagnose.Fail:
		return st.Red("fail")
	case diagnose.Warn:
		return st.Yellow("warn")
	}
	return st.Green("ok  ")
}

// printWrapped prints text after a head of so many visible characters, further
// lines indented.
func printWrapped(w io.Writer, head string, visible int, text string, width int) {
	const indent = 6
	lines := console.Wrap(strings.Repeat("x", max(visible-indent-1, 1))+" "+text, max(width-indent, 20))
	lines[0] = strings.TrimLeft(strings.TrimLeft(lines[0], "x"), " ")
	fmt.Fprintf(w, "%s%s\n", head, lines[0])
	for _, l := range lines[1:] {
		fmt.Fprintf(w, "%s%s\n", strings.Repeat(" ", indent), l)
	}
}
