package console

import (
	"io"
	"sync"
	"time"
	"unicode/utf8"
)

// A Live is a line that is drawn again several times a second, from a
// goroutine of its own, until Stop.
type Live struct {
	w      io.Writer
	width  func() int
	render func(width int) string
	stop   chan struct{}
	ended  sync.WaitGroup
	once   sync.Once
}

// refresh is how often a live line is drawn.
const refresh = 250 * time.Millisecond

// StartLive begins to draw what render returns for a line of that width, which
// is asked for each time: people resize their windows.
func StartLive(w io.Writer, width func() int, render func(width int) string) *Live {
	l := &Live{w: w, width: width, render: render, stop: make(chan struct{})}
	l.ended.Go(l.run)
	return l
}

func (l *Live) run() {
	tick := time.NewTicker(refresh)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			n := max(l.width()-1, 1) // the last column would wrap on some terminals
			_, _ = io.WriteString(l.w, "\r\x1b[2K"+Cut(l.render(n), n))
		case <-l.stop:
			_, _ = io.WriteString(l.w, "\r\x1b[2K")
			return
		}
	}
}

// Stop removes the line and returns when nothing draws it any more. It is
// idempotent, and does nothing to a nil Live.
func (l *Live) Stop() {
	if l == nil {
		return
	}
	l.once.Do(func() { close(l.stop) })
	l.ended.Wait()
}

// Cut returns at most width characters of a line without colours.
func Cut(line string, width int) string {
	if utf8.RuneCountInString(line) <= width {
		return line
	}
	return string([]rune(line)[:width])
}
