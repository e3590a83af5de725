package mem

import (
	"context"
	"path/filepath"
	"sync"
	"testing"

	"github.com/unio-stack/unio"
	"github.com/unio-stack/unio/uniotest"
)

func TestConformanceMem(t *testing.T) {
	uniotest.Run(t, uniotest.Config{Open: func(t testing.TB) *unio.Device {
		dev, err := Open(context.Background(), Config{Size: uniotest.Size})
		if err != nil {
			t.Fatal(err)
		}
		return dev
	}})
}

func TestConformanceDAX(t *testing.T) {
	uniotest.Run(t, fileConfig(unio.NewDevice))
}

// TestConformanceLines runs the suite over a file as if its mapping were
// synchronous, with this processor's write-back.
func TestConformanceLines(t *testing.T) {
	uniotest.Run(t, fileConfig(func(p unio.Provider) *unio.Device {
		d := p.(*device)
		d.durable = newLines(d)
		return unio.NewDevice(d)
	}))
}

// fileConfig opens each device on a file of its own, and finds it again.
func fileConfig(newDevice func(unio.Provider) *unio.Device) uniotest.Config {
	var paths sync.Map
	open := func(t testing.TB, path string, cfg DAXConfig) *unio.Device {
		d, err := openDAX(context.Background(), path, cfg)
		if err != nil {
			t.Fatal(err)
		}
		dev := newDevice(d)
		paths.Store(dev, path)
		return dev
	}
	return uniotest.Config{
		Open: func(t testing.TB) *unio.Device {
			return open(t, filepath.Join(t.TempDir(), "disk"), DAXConfig{Size: uniotest.Size, Create: true})
		},
		Reopen: func(t testing.TB, dev *unio.Device) *unio.Device {
			path, _ := paths.Load(dev)
			return open(t, path.(string), DAXConfig{})
		},
	}
}
