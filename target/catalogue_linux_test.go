package target

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/unio-stack/unio"
	"github.com/unio-stack/unio/provider/mem"
	"github.com/unio-stack/unio/provider/rdma"
)

// served starts a target on the network that exports memory, and returns where.
func served(t *testing.T, cfg Config) (*Target, string) {
	t.Helper()
	tg, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := tg.Close(); err != nil {
			t.Error(err)
		}
	})
	addr, err := tg.Listen(t.Context(), "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return tg, addr.String()
}

// newMemory returns a device of so many bytes.
func newMemory(t *testing.T, size int64) *unio.Device {
	t.Helper()
	dev, err := mem.Open(t.Context(), mem.Config{Size: size})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = dev.Close() })
	return dev
}

// openCatalogue opens it as a region.
func openCatalogue(t *testing.T, addr string) (*unio.Device, *unio.Region) {
	t.Helper()
	dev, err := rdma.OpenRegion(t.Context(), addr, CatalogueName, true, rdma.Config{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = dev.Close() })
	reg, err := dev.Attach(t.Context(), "", unio.ReadOnly)
	if err != nil {
		t.Fatal(err)
	}
	return dev, reg
}

// catalogue reads it.
func catalogue(t *testing.T, addr string) Catalogue {
	t.Helper()
	dev, reg := openCatalogue(t, addr)
	text := make([]byte, reg.Size())
	ch, err := dev.NewChannel(unio.ChannelConfig{})
	if err != nil {
		t.Fatal(err)
	}
	if err := ch.Do(t.Context(), unio.Request{Op: unio.OpRead, Region: reg, Data: text}); err != nil {
		t.Fatal(err)
	}
	var c Catalogue
	if err := json.Unmarshal(text, &c); err != nil {
		t.Fatal(err)
	}
	if err := dev.Close(); err != nil {
		t.Error(err)
	}
	return c
}

func TestCatalogue(t *testing.T) {
	later := newMemory(t, 4096) // closed after the target, as all
	tg, addr := served(t, Config{Exports: []Export{
		{Name: "b", URL: "secret", Device: newMemory(t, 1<<16), ReadOnly: true},
		{Name: "a", Device: newMemory(t, 1<<20)},
		{Name: "hidden", Device: newMemory(t, 1<<20), Clients: []string{"somebody"}},
	}})
	c := catalogue(t, addr)
	if len(c.Regions) != 2 || c.Regions[0].Name != "a" || c.Regions[0].Size != 1<<20 || c.Regions[0].ReadOnly ||
		c.Regions[1].Name != "b" || !c.Regions[1].ReadOnly || c.Regions[1].Stats.URL != "" {
		t.Errorf("%+v", c.Regions)
	}
	if a := c.Regions[0]; !a.Mapped || !strings.HasPrefix(strings.Join(a.Operations, ","), "read,write") || a.Survives != "volatile" {
		t.Errorf("%+v", a)
	}
	if c.Connections != 1 || c.Admitted != 1 || c.Memory != defaultMemory {
		t.Errorf("%+v", c)
	}
	if err := tg.SetExports([]Export{{Name: "c", Device: later}}); err != nil {
		t.Fatal(err)
	}
	if c = catalogue(t, addr); len(c.Regions) != 1 || c.Regions[0].Name != "c" || c.Admitted != 2 {
		t.Errorf("after SetExports: %+v", c)
	}
}

// TestCatalogueIsReadOnly: nothing can be done with it but to read.
func TestCatalogueIsReadOnly(t *testing.T) {
	_, addr := served(t, Config{})
	dev, reg := openCatalogue(t, addr)
	if _, err := dev.Attach(t.Context(), "", unio.ReadWrite); !errors.Is(err, unio.ErrAccess) {
		t.Errorf("attach to write: %v", err)
	}
	ch, err := dev.NewChannel(unio.ChannelConfig{})
	if err != nil {
		t.Fatal(err)
	}
	for _, q := range []unio.Request{
		{Op: unio.OpFlush, Region: reg},
		{Op: unio.OpWrite, Region: reg, Data: make([]byte, 8)},
		{Op: unio.OpRead, Region: reg, Offset: reg.Size(), Data: make([]byte, 1)},
	} {
		if err := ch.Do(t.Context(), q); err == nil {
			t.Errorf("%v was done", q.Op)
		}
	}
}

// TestCatalogueReadersEnd: who has the catalogue counts as a client when the target ends, and they are not too many.
func TestCatalogueReadersEnd(t *testing.T) {
	tg, addr := served(t, Config{})
	for range maxReaders {
		openCatalogue(t, addr)
	}
	_, err := rdma.OpenRegion(t.Context(), addr, CatalogueName, true, rdma.Config{})
	if !errors.Is(err, unio.ErrAccess) || !strings.Contains(err.Error(), "are reading the catalogue") {
		t.Errorf("one too many: %v", err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if err := tg.Drain(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Drain with readers: %v", err)
	}
	within(t, "Close", func() {
		if err := tg.Close(); err != nil {
			t.Error(err)
		}
	})
}

func TestCheckName(t *testing.T) {
	for _, name := range []string{"disk", "a/b", "über", strings.Repeat("x", maxName), "uniox", "a b"} {
		if err := CheckName(name); err != nil {
			t.Errorf("%q: %v", name, err)
		}
	}
	for _, name := range []string{"", CatalogueName, "unio:", strings.Repeat("x", maxName+1), "a\n", "\xff", "a\x00b"} {
		if err := CheckName(name); !errors.Is(err, unio.ErrInvalid) {
			t.Errorf("%q: %v", name, err)
		}
	}
}
