package file

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/unio-stack/unio"
	"golang.org/x/sys/unix"
)

const dirEnv = "UNIO_FILE_TEST_DIR"

// asUser runs the test as a user without privileges, in a directory that is
// the user's; "" in the parent.
func asUser(t *testing.T) string {
	t.Helper()
	if dir := os.Getenv(dirEnv); dir != "" {
		return dir
	}
	dir := openDir(t)
	inChild(t, t.Name(), unprivileged(), dirEnv+"="+dir)
	return ""
}

// TestUnprivileged: no privilege is needed for what is the default.
func TestUnprivileged(t *testing.T) {
	dir := asUser(t)
	if dir == "" {
		return
	}
	for _, cfg := range []Config{{}, {Direct: Required, Engine: EngineRing}, {SQPoll: true}, {Direct: Buffered}, {Engine: EnginePosix}} {
		cfg.Create, cfg.Size = true, 1<<20
		r := newRig(t, filepath.Join(dir, "disk"), cfg)
		r.echo(r.channel(unio.ChannelConfig{}), 4321, 200_000)
	}
}

// TestMemlock: with 64 KiB of memory to lock, some channels have a ring and
// the others work without, and so do Buffers.
func TestMemlock(t *testing.T) {
	dir := asUser(t)
	if dir == "" {
		return
	}
	limitMemlock(t, 64<<10)
	const channels, depth, piece = 12, 128, 4096
	r := newRig(t, filepath.Join(dir, "disk"), Config{Create: true, Size: channels * depth * piece, Sparse: true})
	if r.dev.Info().Engine != "io_uring" {
		t.Fatalf("engine %s: %s", r.dev.Info().Engine, r.dev.Info().Reason)
	}
	r.wantNote("RLIMIT_MEMLOCK is 64 KiB")
	r.wantNote("posix")
	var chans []*unio.Channel
	for range channels {
		chans = append(chans, r.channel(unio.ChannelConfig{Depth: depth}))
	}
	if rings := ringMappings() / 2; rings < 1 || rings == channels {
		t.Errorf("%d of %d channels have a ring: the limit is not what is tested", rings, channels)
	} else {
		t.Logf("%d of %d channels of depth %d have a ring", rings, channels, depth)
	}
	in, out := r.buffer(channels*depth*piece), r.buffer(channels*depth*piece)
	copy(in, noise(len(in)))
	for _, q := range []func(int64, []byte) unio.Request{r.write, r.read} {
		mem := in
		if q(0, mem).Op == unio.OpRead {
			mem = out
		}
		for i, ch := range chans {
			post(r, ch, q, mem[i*depth*piece:][:depth*piece], int64(i*depth*piece), piece)
		}
		for _, ch := range chans {
			for _, c := range r.drain(ch) {
				if c.Err != nil {
					t.Fatal(c.Err)
				}
			}
		}
	}
	if !bytes.Equal(in, out) {
		t.Error("what was read is not what was written")
	}
}

// post posts one request for each piece of mem.
func post(r *rig, ch *unio.Channel, q func(int64, []byte) unio.Request, mem []byte, off int64, piece int) {
	r.Helper()
	var reqs []unio.Request
	for at := 0; at < len(mem); at += piece {
		reqs = append(reqs, q(off+int64(at), mem[at:at+piece]))
	}
	if n, err := ch.Post(reqs...); err != nil {
		r.Fatalf("posted %d of %d: %v", n, len(reqs), err)
	}
}

// TestMemlockWithoutFallback: who asks for io_uring is told what is missing,
// and memory of rings that were closed is there for others.
func TestMemlockWithoutFallback(t *testing.T) {
	dir := asUser(t)
	if dir == "" {
		return
	}
	limitMemlock(t, 64<<10)
	r := newRig(t, filepath.Join(dir, "disk"), Config{Create: true, Size: 1 << 20, Engine: EngineRing})
	var open []*unio.Channel
	for {
		ch, err := r.dev.NewChannel(unio.ChannelConfig{Depth: 128})
		if err != nil {
			if !errors.Is(err, unix.ENOMEM) || !errors.Is(err, unio.ErrBusy) || !strings.Contains(err.Error(), "RLIMIT_MEMLOCK") {
				t.Errorf("%v; want what is missing and how to get it", err)
			}
			break
		}
		if open = append(open, ch); len(open) == 100 {
			t.Fatal("100 rings fit into 64 KiB: the limit is not what is tested")
		}
	}
	for range 30 {
		if err := open[0].Close(); err != nil {
			t.Fatal(err)
		}
		open[0] = r.channel(unio.ChannelConfig{Depth: 128})
	}
	r.echo(open[0], 77, 9999)
}

// TestNoMemlock: with nothing to lock there is no ring at all.
func TestNoMemlock(t *testing.T) {
	dir := asUser(t)
	if dir == "" {
		return
	}
	limitMemlock(t, 0)
	path := filepath.Join(dir, "disk")
	r := newRig(t, path, Config{Create: true, Size: 1 << 20})
	if info := r.dev.Info(); info.Engine != "posix" || !strings.Contains(info.Reason, "RLIMIT_MEMLOCK") {
		t.Errorf("engine %s, because %q", info.Engine, info.Reason)
	}
	r.echo(r.channel(unio.ChannelConfig{Depth: 128}), 1000, 100_000)
	if _, err := Open(context.Background(), path, Config{Engine: EngineRing}); !errors.Is(err, unio.ErrUnsupported) || !errors.Is(err, unix.ENOMEM) {
		t.Errorf("%v", err)
	}
}

// TestReadOnlyFile: without the right to write, Open says what else to ask for.
func TestReadOnlyFile(t *testing.T) {
	dir := asUser(t)
	if dir == "" {
		return
	}
	path := filepath.Join(dir, "disk")
	write(t, path, make([]byte, 8192))
	if err := os.Chmod(path, 0o400); err != nil {
		t.Fatal(err)
	}
	ctx := context.Background()
	if _, err := Open(ctx, path, Config{}); !errors.Is(err, unio.ErrAccess) || !errors.Is(err, os.ErrPermission) || !strings.Contains(err.Error(), "readonly=1") {
		t.Errorf("%v; want ErrAccess and a hint", err)
	}
	for _, e := range []Engine{EngineRing, EnginePosix} {
		r := newRig(t, path, Config{ReadOnly: true, Engine: e})
		r.must(r.channel(unio.ChannelConfig{}), r.read(5, make([]byte, 5000)))
		if _, err := r.dev.Attach(ctx, "", unio.ReadWrite); !errors.Is(err, unio.ErrAccess) {
			t.Errorf("attach for writing: %v", err)
		}
	}
	if err := os.Chmod(path, 0); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(ctx, path, Config{ReadOnly: true}); !errors.Is(err, unio.ErrAccess) || strings.Contains(err.Error(), "readonly=1") {
		t.Errorf("%v; want ErrAccess without the hint", err)
	}
	if err := os.Chmod(dir, 0o500); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(ctx, filepath.Join(dir, "new"), Config{Create: true, Size: 4096}); !errors.Is(err, unio.ErrAccess) {
		t.Errorf("create in a directory that is read-only: %v", err)
	}
	if err := os.Chmod(dir, 0o700); err != nil { // for who removes it
		t.Fatal(err)
	}
}

func wantMissing(t *testing.T, path string) {
	t.Helper()
	if _, err := os.Lstat(path); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("%s was left behind: %v", path, err)
	}
}
