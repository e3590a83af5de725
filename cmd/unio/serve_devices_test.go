package main

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/unio-stack/unio"
	"github.com/unio-stack/unio/internal/serveconfig"
	"github.com/unio-stack/unio/target"
)

// configOf returns a configuration of exports, given by name, URL, name, URL…; a URL that begins with ! is only read.
func configOf(exports ...string) *serveconfig.Config {
	c := serveconfig.Default()
	for i := 0; i < len(exports); i += 2 {
		x := serveconfig.Export{Name: exports[i], URL: exports[i+1]}
		if x.URL[0] == '!' {
			x.ReadOnly, x.URL = true, x.URL[1:]
		}
		c.Add("--export", x)
	}
	return c
}

// TestExportDevices: what is the same stays open, what is not wanted any more is closed, and a failure changes nothing.
func TestExportDevices(t *testing.T) {
	t.Chdir(t.TempDir())
	for _, name := range []string{"f", "g"} {
		if err := os.WriteFile(filepath.Join(".", name), make([]byte, 8192), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	var d exportDevices
	open := func(exports ...string) []target.Export {
		t.Helper()
		all, err := d.open(t.Context(), configOf(exports...))
		if err != nil {
			t.Fatal(err)
		}
		return all
	}
	closed := func(dev *unio.Device) bool {
		ch, err := dev.NewChannel(unio.ChannelConfig{})
		if err == nil {
			_ = ch.Close()
		}
		return err != nil
	}
	settle := func() {
		t.Helper()
		if err := d.settle(); err != nil {
			t.Fatal(err)
		}
	}

	one := open("a", "f", "b", "!f", "m", "mem:?size=4k", "n", "mem:?size=4k", "r", "file:g?readonly=1", "s", "file:g?readonly=1")
	settle()
	if one[0].Device != one[1].Device || one[0].ReadOnly || !one[1].ReadOnly {
		t.Error("two exports of one file do not share it")
	}
	if one[2].Device == one[3].Device {
		t.Error("two exports of memory share it")
	}
	if one[4].Device != one[5].Device || !one[4].ReadOnly {
		t.Error("a device that is read-only makes no read-only export, or is opened twice")
	}

	two := open("b", "!f", "m", "mem:?size=4k", "r", "!g")
	if two[0].Device != one[0].Device || two[1].Device != one[2].Device {
		t.Error("a device that is open already is opened anew")
	}
	if !two[2].Device.Info().ReadOnly {
		t.Error("a file that is only read is opened for writing")
	}
	settle()
	if !closed(one[3].Device) || !closed(one[4].Device) || closed(two[0].Device) || closed(two[2].Device) {
		t.Error("what is not wanted is open, or the reverse")
	}

	three := open("r", "g", "m", "mem:?size=4k")
	if three[0].Device == two[2].Device || three[0].ReadOnly {
		t.Error("a file that is to be written to is not opened for that")
	}
	if err := d.retract(); err != nil {
		t.Fatal(err)
	}
	if !closed(three[0].Device) || closed(three[1].Device) || closed(two[0].Device) {
		t.Error("retract leaves open what is fresh, or closes what is served")
	}

	for _, bad := range [][]string{{"m", "mem:?size=4k", "x", "missing"}, {"a", "f", "b", "./f"}, {"a", "g", "b", "file:g?size=64k"}} {
		if _, err := d.open(t.Context(), configOf(bad...)); err == nil {
			t.Errorf("%v is taken", bad)
		}
	}
	if closed(two[0].Device) || len(d.served) != 3 {
		t.Error("a failure has changed something")
	}
	if err := d.close(); err != nil {
		t.Fatal(err)
	}
	if !closed(two[0].Device) || !closed(two[1].Device) {
		t.Error("close leaves something open")
	}
}
