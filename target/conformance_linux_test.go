package target

import (
	"context"
	"flag"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/unio-stack/unio"
	"github.com/unio-stack/unio/provider"
	"github.com/unio-stack/unio/provider/file"
	"github.com/unio-stack/unio/uniotest"
	"github.com/unio-stack/unio/uniotest/crash"
	"github.com/unio-stack/unio/uniotest/faults"
)

// A station is a target that exports one device, which is closed after it.
type station struct {
	*Target
	device *unio.Device
	url    string // of the region
}

// exportDevice makes a station. It ends with the test, if not before.
func exportDevice(t testing.TB, dev *unio.Device) *station {
	t.Helper()
	tg, err := New(Config{Exports: []Export{{Name: "disk", Device: dev}}})
	if err != nil {
		t.Fatal(err)
	}
	s := &station{Target: tg, device: dev}
	t.Cleanup(func() { s.end(t) })
	addr, err := tg.Listen(context.Background(), "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s.url = "rdma://" + addr.String() + "/disk"
	return s
}

// end stops the target and closes the device.
func (s *station) end(t testing.TB) {
	t.Helper()
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	if err := s.device.Close(); err != nil {
		t.Error(err)
	}
}

// open opens the region from afar.
func (s *station) open(t testing.TB) *unio.Device {
	t.Helper()
	dev, err := provider.Open(context.Background(), s.url)
	if err != nil {
		t.Fatal(err)
	}
	return dev
}

// portion sets how much the suite does, in percent, unless the run says so itself.
func portion(t *testing.T, percent int) {
	t.Helper()
	f := flag.Lookup("uniotest.n")
	if f.Value.String() != "0" || os.Getenv("UNIOTEST_N") != "" {
		return
	}
	_ = flag.Set(f.Name, strconv.Itoa(percent))
	t.Cleanup(func() { _ = flag.Set(f.Name, "0") })
}

// A region keeps all promises through a target, whatever its device is.
func TestConformance(t *testing.T) {
	for _, d := range []struct {
		name string
		open func(t testing.TB) *unio.Device
	}{
		{"memory", func(t testing.TB) *unio.Device { return localMemory(t) }},
		{"memory that is a device", func(t testing.TB) *unio.Device { // which clients do not reach themselves
			dev, err := faults.Wrap(localMemory(t), "", 1)
			if err != nil {
				t.Fatal(err)
			}
			return dev
		}},
		{"ramdisk", func(t testing.TB) *unio.Device {
			return uniotest.NewRAMDisk(t, uniotest.RAMDiskConfig{BlockSize: 512, Short: 20, Seed: 7}).Open()
		}},
		{"stubborn ramdisk", func(t testing.TB) *unio.Device {
			return uniotest.NewRAMDisk(t, uniotest.RAMDiskConfig{
				BlockSize: 4096, MemoryAlign: 4096, ZeroUnit: 8192, MaxTransfer: 32 << 10, MaxDepth: 4, Seed: 8,
				Native: unio.Ops(unio.OpRead, unio.OpWrite, unio.OpFlush),
			}).Open()
		}},
	} {
		t.Run(d.name, func(t *testing.T) {
			portion(t, 8)
			uniotest.Run(t, uniotest.Config{
				Open:      func(t testing.TB) *unio.Device { return exportDevice(t, d.open(t)).open(t) },
				Allocates: strings.Contains(d.name, "ramdisk"),
			})
		})
	}
}

func localMemory(t testing.TB) *unio.Device {
	t.Helper()
	dev, err := provider.Open(context.Background(), "mem:?size="+strconv.Itoa(uniotest.Size))
	if err != nil {
		t.Fatal(err)
	}
	return dev
}

// What was flushed is in the file, and found again by a target that is started anew.
func TestConformanceFile(t *testing.T) {
	portion(t, 8)
	paths := map[*unio.Device]string{}
	open := func(t testing.TB, path string, cfg file.Config) *unio.Device {
		t.Helper()
		local, err := file.Open(context.Background(), path, cfg)
		if err != nil {
			t.Fatal(err)
		}
		dev := exportDevice(t, local).open(t)
		paths[dev] = path
		return dev
	}
	uniotest.Run(t, uniotest.Config{
		Open: func(t testing.TB) *unio.Device {
			return open(t, filepath.Join(t.TempDir(), "disk"), file.Config{Create: true, Size: uniotest.Size})
		},
		Reopen: func(t testing.TB, dev *unio.Device) *unio.Device { return open(t, paths[dev], file.Config{}) },
	})
}

// A flush by way of the target is one of the medium: the power is cut behind the target.
func TestConformanceCrash(t *testing.T) {
	portion(t, 8)
	rng := rand.New(rand.NewPCG(1, 1))
	media := map[*unio.Device]*crash.Device{}
	open := func(t testing.TB, image []byte) *unio.Device {
		t.Helper()
		disk := uniotest.NewRAMDisk(t, uniotest.RAMDiskConfig{Image: image, BlockSize: 512, AtomicUnit: 512, Seed: 9})
		medium, err := crash.Wrap(disk.Open(), crash.Config{})
		if err != nil {
			t.Fatal(err)
		}
		dev := exportDevice(t, medium.Device).open(t)
		media[dev] = medium
		return dev
	}
	uniotest.Run(t, uniotest.Config{
		Allocates: true,
		Open:      func(t testing.TB) *unio.Device { return open(t, nil) },
		Crash: func(t testing.TB, dev *unio.Device) *unio.Device {
			image, err := media[dev].Image("", rng)
			if err != nil {
				t.Fatal(err)
			}
			if err := dev.Close(); err != nil {
				t.Error(err)
			}
			return open(t, image)
		},
	})
}
