package volume

import (
	"context"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"testing"

	"github.com/unio-stack/unio"
	"github.com/unio-stack/unio/provider/file"
	"github.com/unio-stack/unio/provider/mem"
	"github.com/unio-stack/unio/uniotest"
)

// TestConformance runs the suite over pools of every kind.
func TestConformance(t *testing.T) {
	scale(t, 25)
	for _, below := range []string{"mem", "file", "two files"} {
		for _, kind := range []string{"checksums", "plain", "scratch"} {
			t.Run(below+"/"+kind, func(t *testing.T) { uniotest.Run(t, conformance(below, kind)) })
		}
	}
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

// poolFiles is where the pool of a device under test is.
type poolFiles struct {
	paths     []string
	catalogue string
}

func conformance(below, kind string) uniotest.Config {
	var known sync.Map // of poolFiles, by *unio.Device
	open := func(t testing.TB, f poolFiles, create bool) *unio.Device {
		cfg := Config{
			Path: f.catalogue, ExtentSize: 256 << 10, LogSize: 1 << 20,
			NoChecksums: kind == "plain", Entries: 32, DirtyExtents: 16,
		}
		for _, path := range f.paths {
			cfg.Members = append(cfg.Members, Member{Device: openMember(t, path)})
		}
		p := openPool(t, cfg, create)
		if create {
			must(t, p.CreateVolume(context.Background(), "vol", VolumeConfig{Size: 2 * uniotest.Size, Scratch: kind == "scratch"}))
		}
		known.Store(p.Device, f)
		return p.Device
	}
	c := uniotest.Config{
		Region: "vol",
		Open: func(t testing.TB) *unio.Device {
			f := poolFiles{paths: []string{""}}
			if below != "mem" {
				dir := t.TempDir()
				f = poolFiles{[]string{filepath.Join(dir, "a")}, filepath.Join(dir, "catalogue")}
				if below == "two files" {
					f.paths = append(f.paths, filepath.Join(dir, "b"))
				}
			}
			return open(t, f, true)
		},
	}
	if below != "mem" && kind != "scratch" {
		c.Reopen = func(t testing.TB, dev *unio.Device) *unio.Device {
			f, _ := known.Load(dev)
			return open(t, f.(poolFiles), false)
		}
	}
	return c
}

const memberSize = 24 << 20

// openMember opens a file, or memory where there is no path.
func openMember(t testing.TB, path string) *unio.Device {
	t.Helper()
	var dev *unio.Device
	var err error
	if path == "" {
		dev, err = mem.Open(context.Background(), mem.Config{Size: memberSize})
	} else {
		dev, err = file.Open(context.Background(), path, file.Config{Size: memberSize, Create: true, Sparse: true})
	}
	if err != nil {
		t.Fatal(err)
	}
	return dev
}

func openPool(t testing.TB, cfg Config, create bool) *Pool {
	t.Helper()
	f := Open
	if create {
		f = Create
	}
	p, err := f(context.Background(), cfg)
	if err != nil {
		for _, m := range cfg.Members {
			_ = m.Device.Close()
		}
		t.Fatal(err)
	}
	return p
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(fmt.Errorf("%w", err))
	}
}
