package file

import (
	"io"
	"os"
	"testing"
	"time"

	"github.com/unio-stack/unio"
	"golang.org/x/sys/unix"
)

// TestInlineCached: what the page cache has is answered inside Post; what it
// has not goes to the engine.
func TestInlineCached(t *testing.T) {
	for _, e := range []Engine{EngineRing, EnginePosix} {
		t.Run(string(e), func(t *testing.T) {
			path := newFile(t, 1<<20)
			r := newRig(t, path, Config{Engine: e, Direct: Buffered})
			ch := r.channel(unio.ChannelConfig{})
			buf := make([]byte, 4096)
			r.must(ch, r.write(0, buf), r.read(0, buf), r.read(100, buf[:7]))
			if s := ch.Stats(); s.Inline != 3 || s.Syscalls != 3 {
				t.Errorf("%+v; want 3 inline, by 3 system calls", s)
			}
			durable := r.write(0, buf)
			durable.Flags = unio.Durable
			r.must(ch, durable,
				unio.Request{Op: unio.OpRead, Region: r.reg, Vec: [][]byte{buf[:10], buf[20:30]}},
				r.read(0, make([]byte, inlineMax+1)), unio.Request{Op: unio.OpFlush, Region: r.reg})
			if s := ch.Stats(); s.Inline != 3 {
				t.Errorf("%d inline: a durable write, a vector, a long read or a flush was", s.Inline)
			}
			chill(t, path)
			r.must(ch, r.read(512<<10, buf))
			if s := ch.Stats(); s.Inline != 3 {
				t.Errorf("%d inline: a read of what the cache does not have was", s.Inline)
			}
			for range 20 { // the gate opens again
				r.must(ch, r.read(512<<10, buf))
			}
			if s := ch.Stats(); s.Inline < 4 {
				t.Errorf("%d inline: nothing any more", s.Inline)
			}
		})
	}
}

// chill drops the file from the page cache.
func chill(t *testing.T, path string) {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := f.Sync(); err != nil {
		t.Fatal(err)
	}
	if err := unix.Fadvise(int(f.Fd()), 0, 0, unix.FADV_DONTNEED); err != nil {
		t.Fatal(err)
	}
	// Asked at the end of the file, since to ask begins to read ahead.
	end, err := f.Seek(-1, io.SeekEnd)
	if err != nil {
		t.Fatal(err)
	}
	iov := [][]byte{make([]byte, 1)}
	if _, err := unix.Preadv2(int(f.Fd()), iov, end, unix.RWF_NOWAIT); err != unix.EAGAIN {
		t.Skipf("the page cache kept the file: %v", err)
	}
}

// TestInlineMemory: a file in memory is read and written inside Post, without
// a system call.
func TestInlineMemory(t *testing.T) {
	for _, e := range []Engine{EngineRing, EnginePosix} {
		r := newRig(t, memoryDir(t)+"/disk", Config{Create: true, Size: 1 << 20, Engine: e})
		ch := r.channel(unio.ChannelConfig{})
		r.echo(ch, 12_345, 10_000)
		if s := ch.Stats(); s.Inline != 2 || s.Syscalls != 0 {
			t.Errorf("%+v; want 2 inline and no system call", s)
		}
	}
}

// TestInlineNothing: past the page cache everything waits for the medium.
func TestInlineNothing(t *testing.T) {
	r := newRig(t, newFile(t, 1<<20), Config{Direct: Required})
	ch := r.channel(unio.ChannelConfig{})
	r.must(ch, r.read(0, r.buffer(4096)))
	if s := ch.Stats(); s.Inline != 0 {
		t.Errorf("%+v", s)
	}
}

func TestGate(t *testing.T) {
	var g gate
	attempts := func() (shut int) {
		for !g.open() {
			shut++
		}
		return shut
	}
	if n := attempts(); n != 0 {
		t.Errorf("shut for %d attempts at first", n)
	}
	for _, want := range []int{8, 16, 32, 64, 128, 256, 512, 1024, 1024} {
		g.failed()
		if n := attempts(); n != want {
			t.Errorf("shut for %d attempts, want %d", n, want)
		}
	}
	g.worked()
	if g.failed(); attempts() != 8 {
		t.Error("what worked is not forgiven")
	}
}

// TestStall: writes that take long are left to the engine for a while.
func TestStall(t *testing.T) {
	i := inliner{kind: inlineCached}
	batch := func(took time.Duration) {
		for i.begin(); i.batch%timedBatches != 0; i.begin() {
			i.end()
		}
		i.timed, i.began = 2, time.Now().Add(-took)
		i.end()
	}
	if batch(0); !i.writes.open() {
		t.Error("shut without a stall")
	}
	if batch(stall); !i.writes.open() {
		t.Error("shut though each write took half of what a stall is")
	}
	if batch(time.Second); i.writes.open() {
		t.Error("open after a stall")
	}
	for range 8 {
		i.writes.open()
	}
	if !i.writes.open() {
		t.Error("never opens again")
	}
}
