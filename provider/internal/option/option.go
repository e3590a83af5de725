// Package option reads the options in the query of a device URL, such as
// size and create in file:///d.img?size=1GiB&create=1.
//
// A provider asks for each option it knows by name, with its default, and then
// calls [Set.Err], which reports the first thing that is wrong: a value of the
// wrong form, an option given twice, or one the provider did not ask for.
package option

import (
	"fmt"
	"math"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/unio-stack/unio"
	"github.com/unio-stack/unio/internal/bytesize"
)

// A Set is the options of one URL. It belongs to one goroutine.
type Set struct {
	url    string
	values url.Values
	known  []string // asked for so far
	err    error    // the first bad value
}

// New reads the query of u, of which it keeps nothing that changes with u.
// What is wrong with it, [Set.Err] says.
func New(u *url.URL) *Set {
	s := &Set{url: u.Redacted()}
	values, err := url.ParseQuery(u.RawQuery)
	if err != nil {
		s.err = fmt.Errorf("%s: %w: query: %w", s.url, unio.ErrInvalid, err)
	}
	s.values = values
	return s
}

// Size returns a size in bytes: 4096, 4k, 4KiB, 1GiB (powers of 1024), 10MB
// (powers of 1000).
func (s *Set) Size(name string, def int64) int64 {
	v, ok := s.value(name)
	if !ok {
		return def
	}
	n, err := bytesize.Parse(v)
	if err != nil {
		s.bad(name, v, err.Error())
		return def
	}
	return n
}

// Int returns a whole number in decimal.
func (s *Set) Int(name string, def int) int {
	v, ok := s.value(name)
	if !ok {
		return def
	}
	n, err := strconv.Atoi(v)
	if err != nil {
		s.bad(name, v, "want a whole number of at most "+strconv.Itoa(math.MaxInt))
		return def
	}
	return n
}

// Bool returns a switch: 1, true, yes and on, or 0, false, no and off. The name
// alone, as in ?create, is on.
func (s *Set) Bool(name string, def bool) bool {
	v, ok := s.value(name)
	if !ok {
		return def
	}
	switch strings.ToLower(v) {
	case "", "1", "true", "yes", "on":
		return true
	case "0", "false", "no", "off":
		return false
	}
	s.bad(name, v, "want 1 or 0 (or true, yes, on; false, no, off)")
	return def
}

// Duration returns a length of time with its unit, as in 250ms or 1m30s.
func (s *Set) Duration(name string, def time.Duration) time.Duration {
	v, ok := s.value(name)
	if !ok {
		return def
	}
	d, err := time.ParseDuration(v)
	if err != nil || d < 0 {
		s.bad(name, v, "want a length of time with its unit, as in 250ms, 5s or 1m30s")
		return def
	}
	return d
}

// Choice returns one of choices.
func (s *Set) Choice(name, def string, choices ...string) string {
	v, ok := s.value(name)
	if !ok {
		return def
	}
	if !slices.Contains(choices, v) {
		s.bad(name, v, "want one of "+strings.Join(choices, ", "))
		return def
	}
	return v
}

// String returns the text as it is given, which may be empty.
func (s *Set) String(name, def string) string {
	if v, ok := s.value(name); ok {
		return v
	}
	return def
}

// Err returns the first bad value in the order they were asked for, or else an
// option that is given twice or was not asked for, with a list of those that
// were. It wraps [unio.ErrInvalid]. Call it last.
func (s *Set) Err() error {
	if s.err != nil {
		return s.err
	}
	given := make([]string, 0, len(s.values))
	for name := range s.values {
		given = append(given, name)
	}
	slices.Sort(given)
	for _, name := range given {
		if !slices.Contains(s.known, name) {
			return fmt.Errorf("%s: %w: unknown option %q: %s", s.url, unio.ErrInvalid, name, s.listKnown())
		}
		if n := len(s.values[name]); n > 1 {
			return fmt.Errorf("%s: %w: option %q is given %d times", s.url, unio.ErrInvalid, name, n)
		}
	}
	return nil
}

// value notes that the option is known, and returns it if it is given.
func (s *Set) value(name string) (string, bool) {
	if !slices.Contains(s.known, name) {
		s.known = append(s.known, name)
	}
	v, ok := s.values[name]
	if !ok || len(v) == 0 {
		return "", false
	}
	return v[0], true
}

func (s *Set) bad(name, value, want string) {
	if s.err == nil {
		s.err = fmt.Errorf("%s: %w: option %s=%q: %s", s.url, unio.ErrInvalid, name, value, want)
	}
}

func (s *Set) listKnown() string {
	if len(s.known) == 0 {
		return "there are none here"
	}
	known := slices.Sorted(slices.Values(s.known))
	return "the options here are " + strings.Join(known, ", ")
}
