package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
)

// An event is what go test -json prints; see go doc cmd/test2json.
type event struct {
	Action     string
	Package    string
	ImportPath string // of build-output and build-fail
	Test       string
	Elapsed    float64 // seconds
	Output     string
}

// A book follows the events of one run and prints its packages as they end.
type book struct {
	run    string
	tally  *tally
	out    io.Writer
	output map[id]*strings.Builder // of tests and packages that have not ended
	count  map[string]*[3]int      // by package, then by outcome
}

func newBook(run string, t *tally, out io.Writer) *book {
	return &book{run, t, out, map[id]*strings.Builder{}, map[string]*[3]int{}}
}

// read follows events to the end. What is not an event is printed as it is.
func (b *book) read(r *bufio.Reader) error {
	for {
		line, err := r.ReadBytes('\n')
		if len(line) > 0 {
			var e event
			if json.Unmarshal(line, &e) != nil || e.Action == "" {
				fmt.Fprintf(b.out, "%s", line)
			} else {
				b.add(e)
			}
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

func (b *book) add(e event) {
	key := id{e.Package, e.Test}
	switch e.Action {
	case "output":
		b.outputOf(key).WriteString(e.Output)
	case "build-output":
		fmt.Fprint(b.out, e.Output)
	case "build-fail":
		b.tally.note(id{e.ImportPath, "(build)"}, failed, "")
	case "pass", "fail", "skip":
		b.end(key, outcomeOf(e.Action), e.Elapsed)
	}
}

func (b *book) outputOf(key id) *strings.Builder {
	o := b.output[key]
	if o == nil {
		o = new(strings.Builder)
		b.output[key] = o
	}
	return o
}

// end notes how a test or, with no test's name, a package ended.
func (b *book) end(key id, how outcome, seconds float64) {
	text := b.outputOf(key).String()
	delete(b.output, key)
	if key.test == "" {
		b.endPackage(key, how, seconds, text)
		return
	}
	n := b.count[key.pkg]
	if n == nil {
		n = new([3]int)
		b.count[key.pkg] = n
	}
	n[how]++
	why := ""
	switch how {
	case failed:
		fmt.Fprintf(b.out, "\n%s\n", shorten(text))
	case skipped:
		why = reason(text)
	}
	b.tally.note(key, how, why)
	b.tally.took(key, b.run, seconds)
}

func (b *book) endPackage(key id, how outcome, seconds float64, text string) {
	n := b.count[key.pkg]
	if n == nil {
		n = new([3]int)
	}
	if how == failed {
		fmt.Fprintf(b.out, "%s", shorten(text))
		if n[failed] == 0 {
			b.tally.note(id{key.pkg, "(package)"}, failed, "")
		}
	}
	if how == skipped || n[passed]+n[failed]+n[skipped] == 0 && how == passed {
		return // no test files
	}
	word := map[outcome]string{passed: "ok  ", failed: "FAIL"}[how]
	fmt.Fprintf(b.out, "%s  %-60s %6.1fs  %d passed, %d failed, %d skipped\n",
		word, key.pkg, seconds, n[passed], n[failed], n[skipped])
}

// A failure's output is printed up to headLines from its start and tailLines
// from its end: the first race or stack says most, and the last lines why the
// test gave up.
const (
	headLines = 200
	tailLines = 50
)

func shorten(text string) string {
	lines := strings.SplitAfter(text, "\n")
	left := len(lines) - headLines - tailLines
	if left <= 0 {
		return text
	}
	return strings.Join(lines[:headLines], "") + fmt.Sprintf("… %d lines left out …\n", left) +
		strings.Join(lines[len(lines)-tailLines:], "")
}

// reason finds what a skipped test said: the lines between its frame lines,
// without the source position.
func reason(text string) string {
	var said []string
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "===") || strings.HasPrefix(line, "---") {
			continue
		}
		said = append(said, line)
	}
	if len(said) == 0 {
		return "gave no reason"
	}
	last := said[len(said)-1]
	if _, rest, ok := strings.Cut(last, ".go:"); ok {
		if _, what, ok := strings.Cut(rest, ": "); ok {
			return what
		}
	}
	return last
}
