package main

import (
	"encoding/json"
	"io"
	"os"

	"github.com/unio-stack/unio/internal/console"
)

// A shell is what the command meets around it.
type shell struct {
	in, out, err *os.File
	outStyle     console.Style
	errStyle     console.Style
}

// newShell looks at the terminal, and at NO_COLOR and TERM.
func newShell(in, out, err *os.File) *shell {
	noColor, term := os.Getenv("NO_COLOR"), os.Getenv("TERM")
	return &shell{
		in: in, out: out, err: err,
		outStyle: console.NewStyle(out, noColor, term),
		errStyle: console.NewStyle(err, noColor, term),
	}
}

// printJSON writes v for programs, indented for those who look anyway.
func printJSON(w io.Writer, v any) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	e.SetEscapeHTML(false)
	return e.Encode(v)
}

// live starts a line on standard error, if that is a terminal; otherwise it
// returns nil, which can be stopped, too.
func (s *shell) live(render func(width int) string) *console.Live {
	if !console.IsTerminal(s.err) {
		return nil
	}
	return console.StartLive(s.err, func() int { return console.Width(s.err, 80) }, render)
}
