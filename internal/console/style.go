// Package console writes for people at terminals: colour, bars, and a line
// that is drawn again and again.
package console

import (
	"os"
	"strings"
	"unicode/utf8"

	"golang.org/x/term"
)

// A Style colours text, or leaves it as it is. The zero value leaves it.
type Style struct{ on bool }

// NewStyle colours if f is a terminal that can, and the reader has not asked
// for none: noColor is the value of NO_COLOR (https://no-color.org), termName
// that of TERM.
func NewStyle(f *os.File, noColor, termName string) Style {
	return Style{IsTerminal(f) && noColor == "" && termName != "dumb"}
}

// IsTerminal reports whether f is a terminal.
func IsTerminal(f *os.File) bool { return term.IsTerminal(int(f.Fd())) }

func (s Style) paint(code, text string) string {
	if !s.on {
		return text
	}
	return "\x1b[" + code + "m" + text + "\x1b[0m"
}

// Bold returns the text in bold.
func (s Style) Bold(text string) string { return s.paint("1", text) }

// Dim returns the text so that it stands back.
func (s Style) Dim(text string) string { return s.paint("2", text) }

// Red returns the text in red: what is wrong.
func (s Style) Red(text string) string { return s.paint("31", text) }

// Green returns the text in green: what is right.
func (s Style) Green(text string) string { return s.paint("32", text) }

// Yellow returns the text in yellow: what could be better.
func (s Style) Yellow(text string) string { return s.paint("33", text) }

// Bar draws a bar of width characters, of which fraction (0 to 1) is full.
func Bar(fraction float64, width int) string {
	full := int(min(max(fraction, 0), 1)*float64(width) + 0.5)
	return strings.Repeat("█", full) + strings.Repeat("░", max(width-full, 0))
}

// Wrap breaks text into lines of at most width characters, at spaces. A longer
// word gets a line of its own.
func Wrap(text string, width int) []string {
	var lines []string
	line := ""
	for word := range strings.FieldsSeq(text) {
		switch {
		case line == "":
			line = word
		case utf8.RuneCountInString(line)+1+utf8.RuneCountInString(word) <= width:
			line += " " + word
		default:
			lines = append(lines, line)
			line = word
		}
	}
	if line != "" {
		lines = append(lines, line)
	}
	return lines
}

// Width returns how many characters a line of the terminal f has, or def if it
// is none.
func Width(f *os.File, def int) int {
	if w, _, err := term.GetSize(int(f.Fd())); err == nil && w > 0 {
		return w
	}
	return def
}
