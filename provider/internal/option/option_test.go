package option

import (
	"errors"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/unio-stack/unio"
)

func open(t testing.TB, raw string) *Set {
	t.Helper()
	u, err := url.Parse(raw)
	if err != nil {
		t.Fatal(err)
	}
	return New(u)
}

func TestValues(t *testing.T) {
	s := open(t, "file:///p?size=1GiB&depth=-3&create&direct=off&wait=1m30s&engine=posix&label=a%20b")
	got := []any{
		s.Size("size", 1), s.Int("depth", 1), s.Bool("create", false), s.Bool("direct", true),
		s.Duration("wait", 0), s.Choice("engine", "auto", "auto", "posix"), s.String("label", ""),
	}
	want := []any{int64(1 << 30), -3, true, false, 90 * time.Second, "posix", "a b"}
	for i := range want {
		if got[i] != want[i] {
			t.Errorf("value %d is %v, want %v", i, got[i], want[i])
		}
	}
	if err := s.Err(); err != nil {
		t.Error(err)
	}
}

func TestDefaults(t *testing.T) {
	s := open(t, "mem:")
	got := []any{
		s.Size("size", 7), s.Int("depth", 8), s.Bool("create", true),
		s.Duration("wait", time.Second), s.Choice("engine", "auto", "posix"), s.String("label", "x"),
	}
	want := []any{int64(7), 8, true, time.Second, "auto", "x"}
	for i := range want {
		if got[i] != want[i] {
			t.Errorf("default %d is %v, want %v", i, got[i], want[i])
		}
	}
	if err := s.Err(); err != nil {
		t.Error(err)
	}
}

func TestErrors(t *testing.T) {
	ask := func(s *Set) {
		s.Size("size", 1)
		s.Int("depth", 1)
		s.Bool("create", false)
		s.Duration("wait", 0)
		s.Choice("engine", "auto", "auto", "posix")
	}
	for _, c := range []struct{ name, query, want string }{
		{"bad size", "size=1.5G", `option size="1.5G": a size is a whole number`},
		{"negative size", "size=-4k", "not negative"},
		{"overflow", "size=9E", "larger than any"},
		{"empty size", "size=", "want a number of bytes"},
		{"bad int", "depth=4k", `option depth="4k": want a whole number`},
		{"huge int", "depth=99999999999999999999", "want a whole number of at most"},
		{"bad bool", "create=maybe", "want 1 or 0"},
		{"bad duration", "wait=5", "with its unit"},
		{"negative duration", "wait=-5s", "with its unit"},
		{"bad choice", "engine=uring", "want one of auto, posix"},
		{"empty choice", "engine=", "want one of auto, posix"},
		{"unknown", "sise=1G", `unknown option "sise": the options here are create, depth, engine, size, wait`},
		{"twice", "depth=1&depth=2", `option "depth" is given 2 times`},
		{"first asked wins", "engine=x&size=y", "option size"},
		{"malformed", "size=%zz", "query"},
		{"semicolon", "size=1;depth=2", "semicolon"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := open(t, "mem:?"+c.query)
			ask(s)
			err := s.Err()
			if !errors.Is(err, unio.ErrInvalid) || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error is %v, want ErrInvalid with %q", err, c.want)
			}
		})
	}
}

func TestNoOptionsKnown(t *testing.T) {
	err := open(t, "mem:?a=1").Err()
	if err == nil || !strings.Contains(err.Error(), "there are none here") {
		t.Error(err)
	}
}

func TestPasswordsStayOut(t *testing.T) {
	err := open(t, "x://user:secret@host/?a=1").Err()
	if strings.Contains(err.Error(), "secret") {
		t.Error(err)
	}
}

// FuzzSet holds that any query gives either values in their ranges or an
// error that wraps ErrInvalid.
func FuzzSet(f *testing.F) {
	for _, q := range []string{"size=1GiB&on", "size=-1", "a=1&a=2", "%", "wait=1s&n=3", ";"} {
		f.Add(q)
	}
	f.Fuzz(func(t *testing.T, q string) {
		s := New(&url.URL{Scheme: "mem", RawQuery: q})
		if n := s.Size("size", 5); n < 0 {
			t.Fatalf("size %d", n)
		}
		if d := s.Duration("wait", 5); d < 0 {
			t.Fatalf("duration %d", d)
		}
		s.Int("n", 1)
		s.Bool("on", true)
		if c := s.Choice("c", "x", "x", "y"); c != "x" && c != "y" {
			t.Fatalf("choice %q", c)
		}
		s.String("s", "")
		if err := s.Err(); err != nil && !errors.Is(err, unio.ErrInvalid) {
			t.Fatalf("%v does not wrap ErrInvalid", err)
		}
	})
}
