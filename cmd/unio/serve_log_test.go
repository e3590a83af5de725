package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/unio-stack/unio"
	"github.com/unio-stack/unio/internal/serveconfig"
	"github.com/unio-stack/unio/target"
)

func TestLineLimit(t *testing.T) {
	var l lineLimit
	now := time.Unix(1000, 0)
	for i := range limitLines + 7 {
		if got := l.allows(now.Add(time.Duration(i) * time.Millisecond)); got != (i < limitLines) {
			t.Errorf("line %d: %v", i, got)
		}
	}
	if n := l.over(now.Add(limitPeriod - 1)); n != 0 {
		t.Errorf("%d lines are left out of a period that is not over", n)
	}
	if n := l.over(now.Add(limitPeriod)); n != 7 {
		t.Errorf("%d lines were left out, want 7", n)
	}
	if n := l.over(now.Add(limitPeriod)); n != 0 {
		t.Errorf("%d lines were left out since", n)
	}
	if !l.allows(now.Add(limitPeriod)) {
		t.Error("no line in the next period")
	}
	for range limitLines {
		l.allows(now.Add(limitPeriod))
	}
	if n := l.over(time.Time{}); n != 1 {
		t.Errorf("%d lines were left out at the end, want 1", n)
	}
}

// A lockedBuffer may be read while it is written.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer // guarded by mu
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

// Of many peers that are not let in, few have lines; of the others it is said how many they are.
func TestEventLogIsLimited(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out lockedBuffer
		l := newEventLog(&out, &serveconfig.Config{LogLevel: slog.LevelInfo})
		peer := &net.TCPAddr{IP: net.IPv4(192, 0, 2, 1), Port: 7}
		count := func(words string) int { return strings.Count(out.String(), words) }
		for i := range 100 {
			l.event(target.Event{Kind: target.Rejected, Peer: peer, Export: "disk", Err: errors.New("no")})
			l.event(target.Event{Kind: target.Failed, Peer: peer, Err: fmt.Errorf("garbage %d", i)})
			l.event(target.Event{Kind: target.Failed, Peer: peer, Err: fmt.Errorf("TLS: %w", io.EOF)}) // of no interest
			l.event(target.Event{Kind: target.Attached, Peer: peer, Export: "disk"})
		}
		synctest.Wait()
		if a, r, f := count("msg=attached"), count("msg=rejected"), count(`msg="handshake failed" peer=192.0.2.1:7 error="garbage`); a != 100 || r != limitLines || f != limitLines {
			t.Errorf("%d attached, %d rejected, %d failed have lines", a, r, f)
		}
		if n := count("left_out"); n != 0 {
			t.Errorf("%d lines say what was left out, too soon", n)
		}
		time.Sleep(2 * limitPeriod)
		synctest.Wait()
		if count("event=rejected left_out=80") != 1 || count(`event="handshake failed" left_out=80`) != 1 || count("left_out") != 2 {
			t.Errorf("it does not say once what was left out:\n%s", out.String())
		}
		l.event(target.Event{Kind: target.Rejected, Peer: peer, Export: "other", Err: errors.New("no")})
		for range limitLines + 4 {
			l.event(target.Event{Kind: target.Failed, Err: syscall.EMFILE})
		}
		if err := l.close(); err != nil {
			t.Error(err)
		}
		if count("export=other") != 1 || count("left_out=5") != 0 || count("left_out=4") != 1 {
			t.Errorf("the end:\n%s", out.String())
		}
		if count("EOF") != 0 || count("level=ERROR") != limitLines {
			t.Errorf("levels:\n%s", out.String())
		}
	})
}

func TestLevelOf(t *testing.T) {
	peer := &net.TCPAddr{}
	for _, c := range []struct {
		e    target.Event
		want slog.Level
	}{
		{target.Event{Kind: target.Attached, Export: "disk"}, slog.LevelInfo},
		{target.Event{Kind: target.Detached, Export: target.CatalogueName}, slog.LevelDebug},
		{target.Event{Kind: target.Rejected, Export: target.CatalogueName, Err: unio.ErrBusy}, slog.LevelWarn},
		{target.Event{Kind: target.Failed, Peer: peer, Err: unio.ErrTimeout}, slog.LevelWarn},
		{target.Event{Kind: target.Failed, Peer: peer, Err: syscall.ECONNRESET}, slog.LevelDebug},
		{target.Event{Kind: target.Failed, Err: syscall.EMFILE}, slog.LevelError},
	} {
		if got := levelOf(&c.e); got != c.want {
			t.Errorf("%+v: %v, want %v", c.e, got, c.want)
		}
	}
}
