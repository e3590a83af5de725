package serveconfig

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/BurntSushi/toml"
)

// A document is a TOML file, and what is wrong with it.
type document struct {
	name     string
	meta     toml.MetaData
	top      map[string]toml.Primitive // for lines
	mistakes mistakes
}

// parse reads a document. A mistake in the syntax is the only one then.
func parse(name, text string) (*document, *table, error) {
	d := &document{name: name}
	values := map[string]any{}
	_, err := toml.Decode(text, &values)
	if err == nil {
		d.meta, err = toml.Decode(text, &d.top)
	}
	if e := (toml.ParseError{}); errors.As(err, &e) {
		return nil, nil, fmt.Errorf("%s:%d: %s", name, e.Position.Line, e.Message)
	}
	if err != nil {
		return nil, nil, fmt.Errorf("%s: %w", name, err)
	}
	return d, &table{doc: d, values: values}, nil
}

// errHere is how decoding into a place ends: with an error that has the line.
var errHere = errors.New("here")

type place struct{}

// UnmarshalTOML implements toml.Unmarshaler.
func (*place) UnmarshalTOML(any) error { return errHere }

// line returns the line of a key, or of the table it would be in; 0 if there is
// neither.
func (d *document) line(key []string) int {
	at, found := d.top, 0
	for _, name := range key {
		p, ok := at[name]
		if !ok {
			break
		}
		if e := (toml.ParseError{}); errors.As(d.meta.PrimitiveDecode(p, new(place)), &e) {
			found = e.Position.Line
		}
		at = nil
		if d.meta.PrimitiveDecode(p, &at) != nil {
			break // not a table
		}
	}
	return found
}

// at returns "file:line".
func (d *document) at(key []string) string {
	if n := d.line(key); n > 0 {
		return fmt.Sprintf("%s:%d", d.name, n)
	}
	return d.name
}

// wrong notes a mistake.
func (d *document) wrong(key []string, format string, args ...any) {
	d.mistakes.add(d.line(key), "%s: %s: %s", d.at(key), toml.Key(key), fmt.Sprintf(format, args...))
}

// mistakes are what is wrong with a Config.
type mistakes []mistake

type mistake struct {
	line int // in the file; 0 for flags
	text string
}

func (m *mistakes) add(line int, format string, args ...any) {
	*m = append(*m, mistake{line, fmt.Sprintf(format, args...)})
}

// maxMistakes are told of at a time.
const maxMistakes = 10

// err returns them in the order of their lines, or nil if there are none.
func (m mistakes) err() error {
	if len(m) == 0 {
		return nil
	}
	slices.SortStableFunc(m, func(a, b mistake) int { return cmp.Compare(a.line, b.line) })
	var lines []string
	for i, x := range m {
		if i == maxMistakes {
			lines = append(lines, fmt.Sprintf("and %d more", len(m)-i))
			break
		}
		lines = append(lines, x.text)
	}
	return errors.New(strings.Join(lines, "\n"))
}
