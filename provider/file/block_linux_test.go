package file

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"

	"github.com/unio-stack/unio"
	"github.com/unio-stack/unio/uniotest"
	"golang.org/x/sys/unix"
)

// TestConformanceBlock runs the suite over block devices of either block size.
func TestConformanceBlock(t *testing.T) {
	needRoot(t)
	for _, tc := range []struct {
		blockSize uint32
		cfg       Config
	}{
		{512, Config{}}, {4096, Config{}}, {4096, Config{Engine: EnginePosix}}, {512, Config{Direct: Buffered}},
	} {
		t.Run(fmt.Sprintf("%d %s %s", tc.blockSize, tc.cfg.Engine, tc.cfg.Direct), func(t *testing.T) {
			scale(t, 25)
			var paths sync.Map // of *unio.Device
			open := func(t testing.TB, path string) *unio.Device {
				t.Helper()
				dev, err := Open(context.Background(), path, tc.cfg)
				if err != nil {
					t.Fatal(err)
				}
				paths.Store(dev, path)
				return dev
			}
			uniotest.Run(t, uniotest.Config{
				Open: func(t testing.TB) *unio.Device { return open(t, newTempDisk(t, uniotest.Size, tc.blockSize)) },
				Reopen: func(t testing.TB, dev *unio.Device) *unio.Device {
					path, _ := paths.Load(dev)
					return open(t, path.(string))
				},
			})
		})
	}
}

func TestBlockInfo(t *testing.T) {
	needRoot(t)
	for _, size := range []uint32{512, 1024, 4096} {
		r := newRig(t, newTempDisk(t, 1<<20, size), Config{})
		info := r.dev.Info()
		if info.BlockSize != int(size) || info.AtomicUnit != int(size) || info.ZeroUnit != int(size) || info.Persistence != unio.Power {
			t.Errorf("blocks of %d bytes: %+v", size, info)
		}
		if r.reg.Size() != 1<<20 {
			t.Errorf("size %d", r.reg.Size())
		}
		if err := r.reg.Resize(r.ctx, 2<<20); !errors.Is(err, unio.ErrUnsupported) {
			t.Errorf("resize: %v", err)
		}
		ch := r.channel(unio.ChannelConfig{})
		r.echo(ch, 1<<20-3, 3)
		r.echo(ch, 1, 70_000)
	}
}

func TestBlockTooSmall(t *testing.T) {
	needRoot(t)
	_, err := Open(context.Background(), newTempDisk(t, 1<<20, 512), Config{Size: 2 << 20})
	if !errors.Is(err, unio.ErrNoSpace) || !strings.Contains(err.Error(), "1048576") {
		t.Errorf("%v; want ErrNoSpace and the size there is", err)
	}
}

func TestBlockReadOnly(t *testing.T) {
	needRoot(t)
	device := newLoop(t, newFile(t, 1<<20), 512, unix.LO_FLAGS_READ_ONLY)
	if _, err := Open(context.Background(), device, Config{}); !errors.Is(err, unio.ErrAccess) || !strings.Contains(err.Error(), "readonly=1") {
		t.Errorf("%v; want ErrAccess and a hint", err)
	}
	r := newRig(t, device, Config{ReadOnly: true})
	r.must(r.channel(unio.ChannelConfig{}), r.read(1, make([]byte, 100_000)))
}

// TestBadSector: a block device that cannot read, or not write, a part of
// itself says which byte was the first, and works elsewhere.
func TestBadSector(t *testing.T) {
	needRoot(t)
	if !inChild(t, "bad sector", ownMounts) {
		return
	}
	for _, e := range []Engine{EngineRing, EnginePosix} {
		t.Run(string(e), func(t *testing.T) {
			backing := newFile(t, 1<<20)
			device := newLoop(t, backing, 512, unix.LO_FLAGS_DIRECT_IO) // whose reads report what is missing
			r := newRig(t, device, Config{Engine: e})
			if err := os.Truncate(backing, 512<<10); err != nil {
				t.Fatal(err)
			}
			ch := r.channel(unio.ChannelConfig{})
			buf := r.buffer(256 << 10)
			r.must(ch, r.read(0, buf), r.read(256<<10, buf))
			r.wantMedia(ch.Do(r.ctx, r.read(512<<10, buf[:4096])))
			r.wantMedia(ch.Do(r.ctx, r.read(600<<10+3, buf[5:100])))
			r.wantMedia(ch.Do(r.ctx, r.write(700<<10+3, buf[5:100]))) // whose block cannot be read
			r.must(ch, r.read(0, buf))
			if n := len(r.dev.Errors()); n != 3 {
				t.Errorf("the device remembers %d errors, want 3", n)
			}
		})
	}
}

// wantMedia checks that err is a failure of the medium.
func (r *rig) wantMedia(err error) {
	r.Helper()
	var oe *unio.OpError
	if !errors.As(err, &oe) || !errors.Is(err, unio.ErrMedia) || !errors.Is(err, unix.EIO) || oe.Layer != "file" || oe.Device == "" {
		r.Errorf("%v; want an OpError that is ErrMedia and EIO", err)
	}
}

// TestFailedFlush: what the kernel could not write back it forgets, so a flush
// that failed fails for as long as the device is open.
func TestFailedFlush(t *testing.T) {
	needRoot(t)
	if !inChild(t, "failed flush", ownMounts) {
		return
	}
	for _, e := range []Engine{EngineRing, EnginePosix} {
		t.Run(string(e), func(t *testing.T) {
			full := mountFS(t, "tmpfs", "size=1m")
			device, _ := newDisk(t, full, 4<<20, 512) // thinly backed
			r := newRig(t, device, Config{Engine: e, Direct: Buffered})
			ch := r.channel(unio.ChannelConfig{})
			flush := unio.Request{Op: unio.OpFlush, Region: r.reg}
			r.must(ch, r.write(0, noise(64<<10)), flush)
			r.must(ch, r.write(0, noise(4<<20))) // into the page cache
			first := ch.Do(r.ctx, flush)
			r.wantMedia(first)
			again := ch.Do(r.ctx, flush) // with nothing left to write
			r.wantMedia(again)
			r.wantMedia(r.channel(unio.ChannelConfig{}).Do(r.ctx, flush))
			durable := r.write(0, make([]byte, 512))
			durable.Flags = unio.Durable
			r.wantMedia(ch.Do(r.ctx, durable))
			if again != nil && !strings.Contains(again.Error(), "reopen") {
				t.Errorf("%v; want what to do about it", again)
			}
		})
	}
}
