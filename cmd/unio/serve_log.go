package main

import (
	"context"
	"io"
	"log/slog"
	"sync/atomic"

	"github.com/unio-stack/unio/internal/serveconfig"
	"github.com/unio-stack/unio/target"
)

// An eventLog logs, and takes events of the target without making it wait: what comes faster than it can be written is
// counted instead.
type eventLog struct {
	*slog.Logger
	level  *slog.LevelVar
	events chan target.Event
	lost   atomic.Int64
	done   chan struct{} // closed when all is written
}

// maxEvents wait to be written.
const maxEvents = 1024

func newEventLog(w io.Writer, cfg *serveconfig.Config) *eventLog {
	l := &eventLog{level: new(slog.LevelVar), events: make(chan target.Event, maxEvents), done: make(chan struct{})}
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
	for e := range l.events {
		if e.Kind == 0 {
			return
		}
		l.writeEvent(&e)
		if n := l.lost.Swap(0); n > 0 {
			l.Warn("events came faster than they could be written", "lost", n)
		}
	}
}

func (l *eventLog) writeEvent(e *target.Event) {
	level := slog.LevelInfo
	switch {
	case e.Kind == target.Rejected:
		level = slog.LevelWarn
	case e.Export == target.CatalogueName:
		level = slog.LevelDebug
	}
	attrs := []slog.Attr{slog.String("export", e.Export), slog.Any("peer", e.Peer)}
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
