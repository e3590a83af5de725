package serveconfig

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/unio-stack/unio/internal/bytesize"
)

// A table is a table of a document. Settings are asked for by name, with where
// their value goes; what is not in the document stays as it is. Then end finds
// those that nobody has asked for.
type table struct {
	doc    *document
	path   []string
	values map[string]any
	known  []string // asked for
}

func (t *table) key(name string) []string { return append(slices.Clone(t.path), name) }

func (t *table) wrong(name, format string, args ...any) {
	t.doc.wrong(t.key(name), format, args...)
}

// read hands a value to take, which reports whether it is of the right type.
func (t *table) read(name, want string, take func(v any) bool) {
	t.known = append(t.known, name)
	if v, ok := t.values[name]; ok && !take(v) {
		t.wrong(name, "%s: want %s", describe(v), want)
	}
}

// describe says what a value is, for people.
func describe(v any) string {
	switch v := v.(type) {
	case string:
		return fmt.Sprintf("%q", v)
	case map[string]any:
		return "a table"
	case []any, []map[string]any:
		return "a list"
	case time.Time:
		return "a date"
	}
	return fmt.Sprint(v)
}

func (t *table) text(name string, p *string) {
	t.read(name, "a text, in quotes", func(v any) (ok bool) {
		return set(v, p)
	})
}

// set assigns v if it is a T.
func set[T any](v any, p *T) bool {
	x, ok := v.(T)
	if ok {
		*p = x
	}
	return ok
}

func (t *table) flag(name string, p *bool) {
	t.read(name, "true or false", func(v any) bool { return set(v, p) })
}

func (t *table) number(name string, p *int) {
	t.read(name, "a whole number", func(v any) bool {
		var n int64
		ok := set(v, &n) && int64(int(n)) == n
		if ok {
			*p = int(n)
		}
		return ok
	})
}

// texts reads a list; a text alone is a list of one.
func (t *table) texts(name string, p *[]string) {
	t.read(name, `texts, as in ["a", "b"]`, func(v any) bool {
		if s, ok := v.(string); ok {
			*p = []string{s}
			return true
		}
		list, ok := v.([]any)
		texts := make([]string, len(list))
		for i, v := range list {
			ok = ok && set(v, &texts[i])
		}
		if ok {
			*p = texts
		}
		return ok
	})
}

// size reads a number of bytes.
func (t *table) size(name string, p *int64) {
	t.read(name, `a size, as "256MiB"`, func(v any) bool {
		s, ok := v.(string)
		if !ok {
			return set(v, p)
		}
		n, err := bytesize.Parse(s)
		if err == nil {
			*p = n
		}
		return err == nil
	})
}

func (t *table) duration(name string, p *time.Duration) {
	t.read(name, `a time, as "10s" or "1m30s"`, func(v any) bool {
		s, ok := v.(string)
		d, err := time.ParseDuration(s)
		if ok = ok && err == nil && d >= 0; ok {
			*p = d
		}
		return ok
	})
}

// word reads a text that parse knows; the known ones are for people.
func (t *table) word(name, known string, parse func(string) bool) {
	t.read(name, known, func(v any) bool {
		s, ok := v.(string)
		return ok && parse(s)
	})
}

// table returns the table of that name, which may be empty.
func (t *table) table(name string) *table {
	sub := &table{doc: t.doc, path: t.key(name)}
	t.read(name, "a table, ["+strings.Join(sub.path, ".")+"]", func(v any) bool { return set(v, &sub.values) })
	return sub
}

// tables returns the tables in this one, by name.
func (t *table) tables() (all []*table) {
	for _, name := range slices.Sorted(maps.Keys(t.values)) {
		all = append(all, t.table(name))
	}
	return all
}

// end notes each setting that nobody has asked for.
func (t *table) end() {
	for _, name := range slices.Sorted(maps.Keys(t.values)) {
		if !slices.Contains(t.known, name) {
			t.wrong(name, "there is no such setting; those here are %s", strings.Join(t.known, ", "))
		}
	}
}
