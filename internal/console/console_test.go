package console

import (
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

func TestNoColourOffTerminals(t *testing.T) {
	f, err := os.CreateTemp(t.TempDir(), "")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if s := NewStyle(f, "", "xterm"); s.Red("x") != "x" || IsTerminal(f) || Width(f, 77) != 77 {
		t.Error("a file is taken for a terminal")
	}
	if got := (Style{true}).Green("x"); got != "\x1b[32mx\x1b[0m" {
		t.Errorf("%q", got)
	}
}

func TestBar(t *testing.T) {
	for fraction, want := range map[float64]string{-1: "░░░░", 0: "░░░░", 0.5: "██░░", 1: "████", 9: "████"} {
		if got := Bar(fraction, 4); got != want {
			t.Errorf("Bar(%v) = %s", fraction, got)
		}
	}
}

func TestWrap(t *testing.T) {
	got := Wrap("a bb  ccc dddddddd e", 5)
	if !slices.Equal(got, []string{"a bb", "ccc", "dddddddd", "e"}) {
		t.Errorf("%q", got)
	}
	if Wrap(" ", 5) != nil {
		t.Error("lines of nothing")
	}
}

func TestNumbers(t *testing.T) {
	for v, want := range map[float64]string{0: "0", 0.0312: "0.0312", 0.5: "0.5", 999: "999", 1500: "1.5k", 231456: "231k", 2.5e6: "2.5M"} {
		if got := Count(v); got != want {
			t.Errorf("Count(%v) = %s, want %s", v, got, want)
		}
	}
	for v, want := range map[float64]string{0: "0 ns", 950: "950 ns", 85300: "85.3 µs", 2e9: "2 s"} {
		if got := Nanos(v); got != want {
			t.Errorf("Nanos(%v) = %s, want %s", v, got, want)
		}
	}
	for v, want := range map[time.Duration]string{0: "0:00", 7 * time.Second: "0:07", 3723 * time.Second: "1:02:03"} {
		if got := Clock(v); got != want {
			t.Errorf("Clock(%v) = %s, want %s", v, got, want)
		}
	}
}

// screen collects what is drawn.
type screen struct {
	mu sync.Mutex
	b  strings.Builder
}

func (s *screen) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func TestLive(t *testing.T) {
	drawn := make(chan struct{}, 100)
	s := new(screen)
	l := StartLive(s, func() int { return 6 }, func(width int) string {
		drawn <- struct{}{}
		return "abcdefgh"
	})
	<-drawn
	l.Stop()
	l.Stop()
	if got := s.b.String(); !strings.HasPrefix(got, "\r\x1b[2Kabcde") || strings.Contains(got, "f") || !strings.HasSuffix(got, "\r\x1b[2K") {
		t.Errorf("drawn: %q", got)
	}
	(*Live)(nil).Stop()
}
