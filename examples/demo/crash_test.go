package main

import (
	"bytes"
	"context"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestFiftyCrashes kills the target under load, again and again, without the rest of the demo: what was acknowledged and
// flushed is there each time, and of what was not, each block is the old one or the new one.
func TestFiftyCrashes(t *testing.T) {
	onLinux(t)
	o := small(t)
	o.crashes, o.depth, o.time = 50, 16, 200*time.Millisecond
	ctx, cancel := context.WithTimeout(context.Background(), o.limit)
	defer cancel()
	size := o.size + checkArea
	s := &servers{unio: command, path: filepath.Join(o.dir, "disk.img"), size: size}
	if err := createFile(s.path, size); err != nil {
		t.Fatal(err)
	}
	var err error
	if s.target, err = s.startTarget(ctx, "127.0.0.1:0"); err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := s.stop(); err != nil {
			t.Error(err)
		}
	}()
	var out bytes.Buffer
	if err := s.crash(ctx, o, &out); err != nil {
		t.Fatalf("%v\n%s", err, out.String())
	}
	if n := strings.Count(out.String(), "none is torn"); n != o.crashes {
		t.Errorf("%d of %d crashes have passed:\n%s", n, o.crashes, out.String())
	}
}
