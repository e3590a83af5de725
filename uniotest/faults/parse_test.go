package faults

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"

	"github.com/unio-stack/unio"
)

var sameCause = cmpopts.EquateErrors()

func TestParse(t *testing.T) {
	for _, c := range []struct {
		text string
		want Rules
	}{
		{"", nil},
		{"# nothing\n\n   \t# at all", nil},
		{"write 1/100 error media", Rules{{Op: unio.OpWrite, One: 1, In: 100, Action: Error, Cause: unio.ErrMedia}}},
		{"read after 3 short 512", Rules{{Op: unio.OpRead, After: 3, Action: Short, Bytes: 512}}},
		{"any at 4096..8192 delay 5ms", Rules{{From: 4096, To: 8192, Action: Delay, Delay: 5 * time.Millisecond}}},
		{"any at 0..1GiB delay 1.5s", Rules{{To: 1 << 30, Action: Delay, Delay: 1500 * time.Millisecond}}},
		{"flush lost", Rules{{Op: unio.OpFlush, Action: Lost}}},
		{"write unflushed torn 512", Rules{{Op: unio.OpWrite, Unflushed: true, Action: Torn, Bytes: 512}}},
		{"read nth 7 error nospace # the 7th", Rules{{Op: unio.OpRead, Nth: 7, Action: Error, Cause: unio.ErrNoSpace}}},
		{"compare-swap region vol1 error revoked", Rules{{Op: unio.OpCompareSwap, Region: "vol1", OnlyRegion: true, Action: Error, Cause: unio.ErrRevoked}}},
		{`any region "a b#\"" 2/3 lost`, Rules{{Region: `a b#"`, OnlyRegion: true, One: 2, In: 3, Action: Lost}}},
		{`any region "" error busy`, Rules{{OnlyRegion: true, Action: Error, Cause: unio.ErrBusy}}},
		{"flush lost\r\nread short 4KiB", Rules{{Op: unio.OpFlush, Action: Lost}, {Op: unio.OpRead, Action: Short, Bytes: 4096}}},
	} {
		got, err := Parse(c.text)
		if err != nil {
			t.Errorf("%q: %v", c.text, err)
			continue
		}
		if d := cmp.Diff(c.want, got, sameCause); d != "" {
			t.Errorf("%q:\n%s", c.text, d)
		}
	}
}

func TestSyntaxError(t *testing.T) {
	for _, c := range []struct {
		text         string
		line, column int
		found, want  string
	}{
		{"reed error media", 1, 1, "reed", "read"},
		{"read", 1, 5, "", "an action"},
		{"flush lost\nwrite", 2, 6, "", "an action"},
		{"\n\n  read  1/0 lost", 3, 9, "1/0", "1/100"},
		{"read 3/2 error media", 1, 6, "3/2", "probability"},
		{"read nth 0 error media", 1, 10, "0", "from 1"},
		{"read nth 2 after 3 error media", 1, 12, "after", "only one of after and nth"},
		{"read at 8..8 error media", 1, 9, "8..8", "4096..8192"},
		{"read at 4..9999999999GiB error media", 1, 9, "4..9999999999GiB", "4096..8192"},
		{"read error entropy", 1, 12, "entropy", "media"},
		{"read delay soon", 1, 12, "soon", "5ms"},
		{"read delay -1s", 1, 12, "-1s", "5ms"},
		{"read short 0", 1, 12, "0", "4KiB"},
		{"read lost", 1, 6, "lost", "a read can have"},
		{"flush short 512", 1, 7, "short", "a flush can have"},
		{"write unflushed error media", 1, 17, "error", "lost or torn"},
		{"write lost torn", 1, 12, "torn", "nothing more"},
		{`any region "x lost`, 1, 12, `"x lost`, "double quote"},
		{`any region`, 1, 11, "", "a name"},
		{`any region x region y lost`, 1, 14, "region", "once"},
	} {
		_, err := Parse(c.text)
		var se *SyntaxError
		if !errors.As(err, &se) || !errors.Is(err, unio.ErrInvalid) {
			t.Errorf("%q: %v, want a SyntaxError", c.text, err)
			continue
		}
		if se.Line != c.line || se.Column != c.column || se.Found != c.found || !strings.Contains(se.Want, c.want) {
			t.Errorf("%q: %v; want line %d, column %d, %q, and a hint with %q", c.text, se, c.line, c.column, c.found, c.want)
		}
	}
}

// TestRoundTrip: every rule survives String and Parse.
func TestRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		rules := rapid.SliceOfN(rapid.Custom(drawRule), 1, 5).Draw(t, "rules")
		got, err := Parse(Rules(rules).String())
		if err != nil {
			t.Fatalf("%v of\n%s", err, Rules(rules))
		}
		if d := cmp.Diff(Rules(rules), got, sameCause); d != "" {
			t.Fatalf("%s\n%s", Rules(rules), d)
		}
	})
}

func drawRule(t *rapid.T) Rule {
	r := Rule{Op: unio.Opcode(rapid.IntRange(0, int(unio.OpFetchAdd)).Draw(t, "op"))}
	r.Action = rapid.SampledFrom([]Action{Error, Delay, Short, Lost, Torn}).Filter(func(a Action) bool {
		return r.Op == 0 || a.Applies(r.Op)
	}).Draw(t, "action")
	number := rapid.Int64Range(1, 1<<40)
	switch r.Action {
	case Error:
		r.Cause = causes[rapid.SampledFrom(causeNames()).Draw(t, "cause")]
	case Delay:
		r.Delay = time.Duration(number.Draw(t, "delay"))
	case Short, Torn:
		r.Bytes = number.Draw(t, "bytes")
	}
	if r.Action >= Lost {
		r.Unflushed = rapid.Bool().Draw(t, "unflushed")
	}
	switch rapid.IntRange(0, 2).Draw(t, "counting") {
	case 1:
		r.After = number.Draw(t, "after")
	case 2:
		r.Nth = number.Draw(t, "nth")
	}
	if rapid.Bool().Draw(t, "ranged") {
		r.From = rapid.Int64Range(0, 1<<40).Draw(t, "from")
		r.To = r.From + number.Draw(t, "width")
	}
	if r.OnlyRegion = rapid.Bool().Draw(t, "regional"); r.OnlyRegion {
		r.Region = rapid.String().Draw(t, "region")
	}
	if rapid.Bool().Draw(t, "probable") {
		r.One = number.Draw(t, "one")
		r.In = r.One + rapid.Int64Range(0, 1000).Draw(t, "more")
	}
	return r
}

func FuzzParse(f *testing.F) {
	f.Add("write 1/100 error media\nany at 1KiB..2KiB delay 5ms # x")
	f.Add(`any region "a\x00b" unflushed lost`)
	f.Fuzz(func(t *testing.T, text string) {
		rules, err := Parse(text)
		if err != nil {
			var se *SyntaxError
			if !errors.As(err, &se) || se.Line < 1 || se.Column < 1 || se.Want == "" {
				t.Fatalf("%q: %#v", text, err)
			}
			return
		}
		again, err := Parse(rules.String())
		if err != nil {
			t.Fatalf("%q became %q: %v", text, rules, err)
		}
		if d := cmp.Diff(rules, again, sameCause); d != "" {
			t.Fatal(d)
		}
	})
}
