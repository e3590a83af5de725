package main

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/unio-stack/unio/internal/iwarp"
	"github.com/unio-stack/unio/internal/serveconfig"
	"github.com/unio-stack/unio/target"
)

// An eventLog logs, and takes events of the target without making it wait: what comes faster than it can be written is
// counted instead, and so are peers that are not let in beyond a limit of lines.
type eventLog struct {
	*slog.Logger
	level  *slog.LevelVar
	events chan target.Event
	lost   atomic.Int64
	done   chan struct{} // closed when all is written

	limits map[target.EventKind]*lineLimit // of those that have one; owned by write
}

// maxEvents wait to be written.
const maxEvents = 1024

func newEventLog(w io.Writer, cfg *serveconfig.Config) *eventLog {
	l := &eventLog{level: new(slog.LevelVar), events: make(chan target.Event, maxEvents), done: make(chan struct{})}
	l.limits = map[target.EventKind]*lineLimit{target.Rejected: {}, target.Failed: {}}
	l.level.Set(cfg.LogLevel)
	options := &slog.HandlerOptions{Level: l.level}
	if cfg.LogFormat == "json" {
		l.Logger = slog.New(slog.NewJSONHandler(w, options))
	} else {
		l.Logger = slog.New(slog.NewTextHandler(w, options))
	}
	go l.write()
	return l
}

// event takes an event. It does not wait.
func (l *eventLog) event(e target.Event) {
	select {
	case l.events <- e:
	default:
		l.lost.Add(1)
	}
}

func (l *eventLog) write() {
	defer close(l.done)
	tick := time.NewTicker(limitPeriod)
	defer tick.Stop()
	for {
		select {
		case e := <-l.events:
			if e.Kind == 0 {
				l.writeLeft(time.Time{})
				return
			}
			l.writeEvent(&e)
		case now := <-tick.C:
			l.writeLeft(now)
		}
		if n := l.lost.Swap(0); n > 0 {
			l.Warn("events came faster than they could be written", "lost", n)
		}
	}
}

// writeLeft says how many events were left out in periods that are over.
func (l *eventLog) writeLeft(now time.Time) {
	for _, kind := range []target.EventKind{target.Rejected, target.Failed} {
		if n := l.limits[kind].over(now); n > 0 {
			l.Warn("more peers were not let in than there are lines for", "event", kind.String(), "left_out", n)
		}
	}
}

// levelOf says how much an event matters to who runs the target.
func levelOf(e *target.Event) slog.Level {
	switch {
	case e.Kind == target.Failed && e.Peer == nil: // out of descriptors, perhaps: nobody is let in any more
		return slog.LevelError
	case e.Kind == target.Failed && left(e.Err): // as those do who only look whether somebody listens
		return slog.LevelDebug
	case e.Kind == target.Rejected, e.Kind == target.Failed:
		return slog.LevelWarn
	case e.Export == target.CatalogueName:
		return slog.LevelDebug
	}
	return slog.LevelInfo
}

// left reports whether a peer has gone of its own accord.
func left(err error) bool {
	return errors.Is(err, io.EOF) || errors.Is(err, iwarp.ErrClosed) || errors.Is(err, syscall.ECONNRESET)
}

func (l *eventLog) writeEvent(e *target.Event) {
	level := levelOf(e)
	if limit := l.limits[e.Kind]; limit != nil && l.Enabled(context.Background(), level) {
		now := time.Now()
		l.writeLeft(now)
		if !limit.allows(now) {
			return
		}
	}
	var attrs []slog.Attr
	if e.Export != "" || e.Kind == target.Rejected {
		attrs = append(attrs, slog.String("export", e.Export))
	}
	if e.Peer != nil {
		attrs = append(attrs, slog.Any("peer", e.Peer))
	}
	if e.Client != "" {
		attrs = append(attrs, slog.String("client", e.Client))
	}
	if e.Err != nil {
		attrs = append(attrs, slog.Any("error", e.Err))
	}
	l.LogAttrs(context.Background(), level, e.Kind.String(), attrs...)
}

// close returns when all events so far are written. It always returns nil; what comes later is lost.
func (l *eventLog) close() error {
	l.events <- target.Event{}
	<-l.done
	return nil
}
