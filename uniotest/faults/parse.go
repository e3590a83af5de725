package faults

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/unio-stack/unio"
)

// A SyntaxError says where rules are wrong and what is allowed there.
type SyntaxError struct {
	Line, Column int // from 1; columns count bytes
	Found        string
	Want         string
}

func (e *SyntaxError) Error() string {
	found := "the rule ends"
	if e.Found != "" {
		found = strconv.Quote(e.Found)
	}
	return fmt.Sprintf("rules: line %d, column %d: %s: want %s", e.Line, e.Column, found, e.Want)
}

// Unwrap makes the error one of unio.ErrInvalid.
func (e *SyntaxError) Unwrap() error { return unio.ErrInvalid }

// Parse reads rules, one a line. What is wrong with them is a *SyntaxError.
func Parse(text string) (Rules, error) {
	var rules Rules
	for i, line := range strings.Split(text, "\n") {
		p := &parser{line: i + 1, text: line}
		p.advance()
		if p.word == "" && p.err == nil {
			continue
		}
		if r := p.rule(); p.err == nil {
			rules = append(rules, r)
		}
		if p.err != nil {
			return nil, p.err
		}
	}
	return rules, nil
}

// A parser reads one line, word by word.
type parser struct {
	line   int
	text   string // the line
	next   int    // first byte of text not read
	column int    // of word
	word   string // "" at the end
	quoted bool   // word was a string
	err    error  // the first one
}

// fail notes that the current word is wrong.
func (p *parser) fail(want string) {
	if p.err == nil {
		p.err = &SyntaxError{Line: p.line, Column: p.column, Found: p.word, Want: want}
	}
}

// advance reads the next word.
func (p *parser) advance() {
	for p.next < len(p.text) && (p.text[p.next] == ' ' || p.text[p.next] == '\t' || p.text[p.next] == '\r') {
		p.next++
	}
	rest := p.text[p.next:]
	p.column, p.word, p.quoted = p.next+1, "", false
	if rest == "" || rest[0] == '#' {
		p.next = len(p.text)
		return
	}
	if rest[0] == '"' {
		p.advanceString(rest)
		return
	}
	end := strings.IndexAny(rest, " \t\r#")
	if end < 0 {
		end = len(rest)
	}
	p.word = rest[:end]
	p.next += end
}

func (p *parser) advanceString(rest string) {
	quoted, err := strconv.QuotedPrefix(rest)
	if err != nil {
		p.word, p.next = rest, len(p.text)
		p.fail("a string that ends with a double quote")
		return
	}
	p.word, _ = strconv.Unquote(quoted)
	p.quoted = true
	p.next += len(quoted)
}

// take reads on if the current word is the given one.
func (p *parser) take(word string) bool {
	if p.quoted || p.word != word {
		return false
	}
	p.advance()
	return true
}

func (p *parser) rule() (r Rule) {
	r.Op = p.opcode()
	for p.err == nil && p.filter(&r) {
	}
	p.action(&r)
	if p.err == nil && (p.word != "" || p.quoted) {
		p.fail("nothing more, or # and a comment")
	}
	return r
}

func (p *parser) opcode() unio.Opcode {
	if p.take("any") {
		return 0
	}
	names := make([]string, 0, 8)
	for op := unio.OpRead; unio.AllOps.Has(op); op++ {
		if p.take(op.String()) {
			return op
		}
		names = append(names, op.String())
	}
	p.fail("an operation: any, " + strings.Join(names, ", "))
	return 0
}

// filter reads one filter, if there is one.
func (p *parser) filter(r *Rule) bool {
	switch {
	case !p.quoted && strings.Contains(p.word, "/"):
		p.probability(r)
	case p.word == "after" && p.once(r.After != 0 || r.Nth != 0):
		r.After = p.count()
	case p.word == "nth" && p.once(r.After != 0 || r.Nth != 0):
		r.Nth = p.count()
	case p.word == "at" && p.once(r.To != 0):
		p.byteRange(r)
	case p.word == "region" && p.once(r.OnlyRegion):
		p.region(r)
	case p.word == "unflushed" && p.once(r.Unflushed):
		r.Unflushed = true
	default:
		return false
	}
	return true
}

// once reads the current word, a filter that must not be there already.
func (p *parser) once(already bool) bool {
	if already {
		p.fail("each filter once, and only one of after and nth")
	}
	p.advance()
	return true
}

func (p *parser) probability(r *Rule) {
	one, in, _ := strings.Cut(p.word, "/")
	a, err1 := strconv.ParseInt(one, 10, 64)
	b, err2 := strconv.ParseInt(in, 10, 64)
	if err1 != nil || err2 != nil || a < 1 || b < a || r.In != 0 {
		p.fail("one probability from above 0 to 1, such as 1/100")
		return
	}
	r.One, r.In = a, b
	p.advance()
}

func (p *parser) count() int64 {
	n, err := strconv.ParseInt(p.word, 10, 64)
	if err != nil || n < 1 || p.quoted {
		p.fail("a number from 1")
		return 0
	}
	p.advance()
	return n
}

func (p *parser) byteRange(r *Rule) {
	from, to, ok := strings.Cut(p.word, "..")
	a, ok1 := parseBytes(from)
	b, ok2 := parseBytes(to)
	if !ok || !ok1 || !ok2 || a >= b || p.quoted {
		p.fail("a range of bytes such as 4096..8192 or 1MiB..2MiB")
		return
	}
	r.From, r.To = a, b
	p.advance()
}

func (p *parser) region(r *Rule) {
	if p.word == "" && !p.quoted {
		p.fail(`a name, as a word or in double quotes`)
		return
	}
	r.Region, r.OnlyRegion = p.word, true
	p.advance()
}

func (p *parser) action(r *Rule) {
	if p.err != nil {
		return
	}
	at := *p
	for a := Error; a <= Torn; a++ {
		if p.take(a.String()) {
			r.Action = a
			break
		}
	}
	switch {
	case r.Action == 0:
		p.fail("a filter (1/100, after, nth, at, region, unflushed) or an action (error, delay, short, lost, torn)")
		return
	case r.Op != 0 && !r.Action.Applies(r.Op):
		at.fail("an action that a " + r.Op.String() + " can have")
		p.err = at.err
		return
	case r.Unflushed && r.Action != Lost && r.Action != Torn:
		at.fail("lost or torn, after unflushed")
		p.err = at.err
		return
	}
	p.argument(r)
}

func (p *parser) argument(r *Rule) {
	switch r.Action {
	case Error:
		if r.Cause = causes[p.word]; r.Cause == nil || p.quoted {
			p.fail("a cause: " + strings.Join(causeNames(), ", "))
			return
		}
		p.advance()
	case Delay:
		d, err := time.ParseDuration(p.word)
		if err != nil || d <= 0 || p.quoted {
			p.fail("a time such as 5ms")
			return
		}
		r.Delay = d
		p.advance()
	case Short, Torn:
		n, ok := parseBytes(p.word)
		if !ok || n < 1 || p.quoted {
			p.fail("a number of bytes from 1, such as 512 or 4KiB")
			return
		}
		r.Bytes = n
		p.advance()
	}
}

// parseBytes reads a number of bytes, with or without a unit.
func parseBytes(s string) (int64, bool) {
	shift := 0
	for _, u := range byteUnits {
		if rest, ok := strings.CutSuffix(s, u.suffix); ok {
			s, shift = rest, u.shift
		}
	}
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil || n < 0 || n > math.MaxInt64>>shift {
		return 0, false
	}
	return n << shift, true
}
