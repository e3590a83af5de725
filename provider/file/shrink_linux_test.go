package file

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/unio-stack/unio"
	"golang.org/x/sys/unix"
)

// ways are the engines and how they treat the page cache.
var ways = []Config{
	{Engine: EngineRing, Direct: Required},
	{Engine: EngineRing, Direct: Buffered},
	{Engine: EnginePosix, Direct: Required},
	{Engine: EnginePosix, Direct: Buffered},
}

func (c Config) String() string { return fmt.Sprintf("%s direct=%s", c.Engine, c.Direct) }

// TestShrunk: a file that somebody made shorter fails the requests that miss
// their bytes, and says where the file ends now.
func TestShrunk(t *testing.T) {
	const size = 256 << 10
	for _, cfg := range ways {
		for _, end := range []int64{0, 512, 64 << 10, 64<<10 + 512, 64<<10 + 100, size - 1} {
			t.Run(fmt.Sprint(cfg, " to ", end), func(t *testing.T) {
				path := newFile(t, size)
				r := newRig(t, path, cfg)
				ch := r.channel(unio.ChannelConfig{})
				buf := r.buffer(size)
				r.must(ch, r.read(0, buf))
				if err := os.Truncate(path, end); err != nil {
					t.Fatal(err)
				}
				r.wantEnd(ch, r.read(0, buf), end)
				r.wantEnd(ch, r.read(size-4096, buf[:4096]), max(end, size-4096))
				r.wantEnd(ch, r.read(size-4096, buf[7:4103]), max(end, size-4096))
				r.wantEnd(ch, r.read(size-1, buf[3:4]), size-1)
				if whole := end &^ int64(r.dev.Info().BlockSize-1); whole > 0 {
					r.must(ch, r.read(1, buf[1:whole]))
				}
				if r.reg.Size() != size {
					t.Errorf("the region has %d bytes", r.reg.Size())
				}
			})
		}
	}
}

// wantEnd checks that a request finds the file to end at the byte, or in whose
// block it does.
func (r *rig) wantEnd(ch *unio.Channel, q unio.Request, at int64) {
	r.Helper()
	err := ch.Do(r.ctx, q)
	var oe *unio.OpError
	if !errors.As(err, &oe) || !errors.Is(err, unio.ErrOutOfRange) || oe.BadByte != at || !strings.Contains(err.Error(), "shrank") {
		r.Errorf("%v; want ErrOutOfRange at byte %d", err, at)
	}
}

// TestShrunkRewrite: a ragged write into what is not there any more fails
// rather than invent its neighbours; a whole one makes the file longer again.
func TestShrunkRewrite(t *testing.T) {
	const size = 64 << 10
	for _, cfg := range ways {
		if cfg.Direct == Buffered {
			continue // nothing is read to be written
		}
		path := newFile(t, size)
		r := newRig(t, path, cfg)
		ch := r.channel(unio.ChannelConfig{})
		if err := os.Truncate(path, 4096); err != nil {
			t.Fatal(err)
		}
		r.wantEnd(ch, r.write(8192+3, []byte("lost")), 8192+3)
		r.echo(ch, 3, 4000)
		r.echo(ch, 8192, 512)
		if st, err := os.Stat(path); err != nil || st.Size() != 8192+512 {
			t.Errorf("%v, %v", st.Size(), err)
		}
	}
}

// TestShrunkInMemory: so does a file that is mapped, without a fault.
func TestShrunkInMemory(t *testing.T) {
	path := memoryDir(t) + "/disk"
	for _, e := range []Engine{EngineRing, EnginePosix} {
		r := newRig(t, path, Config{Create: true, Size: 64 << 10, Engine: e})
		ch := r.channel(unio.ChannelConfig{})
		buf := r.buffer(64 << 10)
		r.must(ch, r.write(0, noise(64<<10)), r.read(0, buf))
		if err := os.Truncate(path, 16<<10); err != nil {
			t.Fatal(err)
		}
		r.wantEnd(ch, r.read(0, buf), 16<<10)
		r.wantEnd(ch, r.read(32<<10, buf[:1]), 32<<10)
		r.must(ch, r.read(0, buf[:16<<10]))
		r.echo(ch, 32<<10, 4096)
		if err := os.Truncate(path, 64<<10); err != nil {
			t.Fatal(err)
		}
		r.echo(ch, 60<<10, 4096)
	}
}

// TestResize: the region grows and shrinks with its file, on every engine.
func TestResize(t *testing.T) {
	for _, cfg := range ways {
		path := newFile(t, 64<<10)
		r := newRig(t, path, cfg)
		ch := r.channel(unio.ChannelConfig{})
		for _, size := range []int64{1 << 20, 8192, 256 << 10} {
			if err := r.reg.Resize(context.Background(), size); err != nil {
				t.Fatal(err)
			}
			if st, err := os.Stat(path); err != nil || st.Size() != size || r.reg.Size() != size {
				t.Errorf("%v: %d bytes on disk, %d in the region, want %d", cfg, st.Size(), r.reg.Size(), size)
			}
			r.echo(ch, size-1000, 1000)
			if err := ch.Do(r.ctx, r.read(size-1, make([]byte, 2))); !errors.Is(err, unio.ErrOutOfRange) {
				t.Errorf("%v: read over the end: %v", cfg, err)
			}
		}
	}
}

// TestFIFO: to open one may wait forever; it is refused before that.
func TestFIFO(t *testing.T) {
	path := t.TempDir() + "/fifo"
	if err := unix.Mkfifo(path, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, cfg := range []Config{{}, {ReadOnly: true}, {Create: true, Size: 4096}} {
		if _, err := Open(context.Background(), path, cfg); !errors.Is(err, unio.ErrInvalid) || !strings.Contains(err.Error(), "neither") {
			t.Errorf("%+v: %v", cfg, err)
		}
	}
}
