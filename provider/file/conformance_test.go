package file

import (
	"context"
	"flag"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"testing"

	"github.com/unio-stack/unio"
	"github.com/unio-stack/unio/uniotest"
)

// conform runs the suite over new files of directories that dir makes.
func conform(t *testing.T, cfg Config, dir func(testing.TB) string) {
	t.Helper()
	var paths sync.Map // of *unio.Device
	open := func(t testing.TB, path string, cfg Config) *unio.Device {
		t.Helper()
		dev, err := Open(context.Background(), path, cfg)
		if err != nil {
			t.Fatal(err)
		}
		paths.Store(dev, path)
		return dev
	}
	fresh := cfg
	fresh.Create, fresh.Size = true, uniotest.Size
	uniotest.Run(t, uniotest.Config{
		Open: func(t testing.TB) *unio.Device {
			return open(t, filepath.Join(dir(t), "disk"), fresh)
		},
		Reopen: func(t testing.TB, dev *unio.Device) *unio.Device {
			path, _ := paths.Load(dev)
			return open(t, path.(string), cfg)
		},
	})
}

func tempDir(t testing.TB) string { return t.TempDir() }

func TestConformancePosixBuffered(t *testing.T) {
	scale(t, 100)
	conform(t, Config{Engine: EnginePosix, Direct: Buffered}, tempDir)
}

// scale sets how much the suite does, in percent, unless the run says so
// itself.
func scale(t *testing.T, percent int) {
	t.Helper()
	f := flag.Lookup("uniotest.n")
	if f.Value.String() != "0" || os.Getenv("UNIOTEST_N") != "" {
		return
	}
	if testing.Short() {
		percent = max(1, percent/4)
	}
	_ = flag.Set(f.Name, strconv.Itoa(percent))
	t.Cleanup(func() { _ = flag.Set(f.Name, "0") })
}
