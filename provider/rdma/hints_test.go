package rdma

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"github.com/unio-stack/unio"
)

func TestHintsOnTheWire(t *testing.T) {
	for _, c := range []struct {
		give Hints
		word uint32
		want Hints
	}{
		{Hints{}, 0, Hints{}},
		{Hints{InFlight: 1}, 1, Hints{InFlight: 4096}},
		{Hints{InFlight: 4096, Pattern: PatternRandom}, 1<<24 | 1, Hints{InFlight: 4096, Pattern: PatternRandom}},
		{Hints{InFlight: 4097}, 2, Hints{InFlight: 8192}},
		{Hints{InFlight: 16 << 20, Pattern: PatternSequential}, 2<<24 | 4096, Hints{InFlight: 16 << 20, Pattern: PatternSequential}},
		{Hints{InFlight: mostInFlight}, 1<<24 - 1, Hints{InFlight: mostInFlight}},
	} {
		if err := c.give.check(); err != nil {
			t.Errorf("%+v: %v", c.give, err)
		}
		if w := c.give.word(); w != c.word || hintsOf(w) != c.want {
			t.Errorf("%+v: %#x, which is %+v; want %#x and %+v", c.give, w, hintsOf(w), c.word, c.want)
		}
	}
	if h := hintsOf(99<<24 | 7); h != (Hints{InFlight: 7 * 4096}) {
		t.Errorf("a pattern of the future: %+v", h)
	}
	for _, h := range []Hints{{InFlight: -1}, {InFlight: mostInFlight + 1}, {Pattern: PatternSequential + 1}} {
		if err := h.check(); !errors.Is(err, unio.ErrInvalid) {
			t.Errorf("%+v: %v", h, err)
		}
	}
}

func TestPlaceHints(t *testing.T) {
	for text, want := range map[string]Hints{
		"rdma://h/d":                                    {},
		"rdma://h/d?inflight=16MiB":                     {InFlight: 16 << 20},
		"rdma://h/d?inflight=0&pattern=unknown":         {},
		"rdma://h/d?pattern=random":                     {Pattern: PatternRandom},
		"rdma://h/d?pattern=sequential&inflight=512KiB": {InFlight: 512 << 10, Pattern: PatternSequential},
	} {
		if p, err := ParsePlace(parse(t, text)); err != nil || p.Config.Hints != want {
			t.Errorf("%s: %+v, %v; want %+v", text, p.Config.Hints, err, want)
		}
	}
	for text, words := range map[string]string{
		"rdma://h?inflight=1M":              "write rdma://h:7471/REGION",
		"rdma://h?pattern=random":           "for a region",
		"rdma://h/d?pattern=random&verbs=1": "plain verbs cannot",
		"rdma://h/d?pattern=backwards":      "want one of unknown, random, sequential",
		"rdma://h/d?inflight=many":          "inflight",
		"rdma://h/d?inflight=1TiB":          "in flight",
	} {
		if _, err := ParsePlace(parse(t, text)); !errors.Is(err, unio.ErrInvalid) || !strings.Contains(err.Error(), words) {
			t.Errorf("%s: %v, want ErrInvalid with %q", text, err, words)
		}
	}
}

// TestHintsAreForRegions: who asks for no region says nothing of how it is going to be used.
func TestHintsAreForRegions(t *testing.T) {
	cfg := Config{Hints: Hints{InFlight: 1 << 20}}
	if m := newMeeting(nil, &cfg); m.ours.word != 0 {
		t.Errorf("the trailer says %#x", m.ours.word)
	}
	cfg.features = featureStorage
	if m := newMeeting(nil, &cfg); m.ours.word != 256 {
		t.Errorf("the trailer says %#x", m.ours.word)
	}
}

// TestCauses: numbers and errors go together; numbers of the future are no error of ours.
func TestCauses(t *testing.T) {
	for code := range uint32(100) {
		if err := causeOf(code); (err != nil) != (code > 0 && code < uint32(len(causes))) || err != nil && knownCode(err) != code {
			t.Errorf("%d: %v, which is %d", code, err, knownCode(err))
		}
	}
	if code := knownCode(errors.New("else")); code != 0 {
		t.Errorf("an error of somebody else is %d", code)
	}
}

// TestTrailerAsItWas: without hints, a trailer is what it was when there were none.
func TestTrailerAsItWas(t *testing.T) {
	want := []byte("\x01\x02\x03\x04\x00\x10\x00\x00\x00\x01\x00\x03\x00\x00\x00\x00unio/RDP")
	tr := trailer{version: 1, control: 0x01020304, message: 1 << 20, features: featureStorage | featureReadOnly, word: Hints{}.word()}
	if got := tr.append(nil); !bytes.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
}

// FuzzTrailer holds that what is not a trailer stays the application's, and that what is one comes out as it went in.
func FuzzTrailer(f *testing.F) {
	tr := trailer{version: 1, control: 7, message: 1 << 20, features: featureStorage, word: Hints{InFlight: 1 << 20, Pattern: PatternRandom}.word()}
	f.Add([]byte("disk"))
	f.Add(tr.append([]byte("disk")))
	f.Add(tr.append(nil)[1:])
	tr.word = 0xffffffff
	f.Add(tr.append([]byte{0}))
	tr.version = 2
	f.Add(tr.append(nil))
	f.Fuzz(func(t *testing.T, b []byte) {
		data, tr := cutTrailer(bytes.Clone(b))
		if !bytes.HasPrefix(b, data) {
			t.Fatalf("%q becomes %q", b, data)
		}
		if tr == nil {
			return
		}
		if again := tr.append(data); !bytes.Equal(again, b) {
			t.Fatalf("%q becomes %q", b, again)
		}
		if h := hintsOf(tr.word); h.check() != nil || hintsOf(h.word()) != h {
			t.Fatalf("hints %+v", h)
		}
		_ = causeOf(tr.word) // any number may come
	})
}
