package mem

import (
	"context"
	"errors"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/unio-stack/unio"
)

func TestOpenURL(t *testing.T) {
	dir := t.TempDir()
	t.Chdir(dir)
	for _, tc := range []struct {
		url, provider, name string
		size                int64
		readOnly            bool
	}{
		{"mem:?size=1MiB", "mem", "mem", 1 << 20, false},
		{"mem:populated?size=2MiB&populate=1", "mem", "populated", 2 << 20, false},
		{"mem:a%20name?size=4096", "mem", "a name", 4096, false},
		{"dax://" + dir + "/disk?size=64KiB&create=1", "dax", dir + "/disk", 1 << 16, false},
		{"dax:" + dir + "/disk", "dax", dir + "/disk", 1 << 16, false},
		{"dax:disk?size=100&readonly=yes", "dax", "disk", 100, true},
		{"dax:other%20disk?size=1MiB&create&reserve", "dax", "other disk", 1 << 20, false},
	} {
		t.Run(tc.url, func(t *testing.T) {
			dev := mustOpenURL(t, tc.url)
			defer dev.Close()
			rights := unio.ReadWrite
			if tc.readOnly {
				rights = unio.ReadOnly
			}
			reg, err := dev.Attach(context.Background(), "", rights)
			if err != nil {
				t.Fatal(err)
			}
			i := dev.Info()
			if i.Provider != tc.provider || i.Name != tc.name || reg.Size() != tc.size || i.ReadOnly != tc.readOnly {
				t.Errorf("provider %q, name %q, size %d, read-only %v", i.Provider, i.Name, reg.Size(), i.ReadOnly)
			}
		})
	}
	if st := statOf(t, filepath.Join(dir, "other disk")); st.Blocks*512 < 1<<20 {
		t.Error("reserve was not heeded")
	}
}

func mustOpenURL(t testing.TB, text string) *unio.Device {
	t.Helper()
	u, err := url.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	dev, err := OpenURL(context.Background(), u)
	if err != nil {
		t.Fatal(err)
	}
	return dev
}

func TestOpenURLRefuses(t *testing.T) {
	for text, words := range map[string]string{
		"mem:":                            "no size",
		"mem:?size=0":                     "size",
		"mem:?size=-4":                    "size",
		"mem:?size=many":                  "many",
		"mem:?size=1MiB&create=1":         "unknown option",
		"mem://host?size=1MiB":            "neither host nor path",
		"mem:/path?size=1MiB":             "neither host nor path",
		"mem:a%zz?size=1":                 "name",
		"dax://disk?size=1":               "dax:///disk",
		"dax:":                            "no path",
		"dax:d?create=maybe":              "maybe",
		"dax:d?size=1&create=1&direct=1":  "direct",
		"dax:d%2?size=1":                  "path",
		"dax:d?create=1":                  "needs a size",
		"dax:d?create=1&readonly&size=1k": "exclude",
		"file:d":                          "neither mem nor dax",
	} {
		t.Run(text, func(t *testing.T) {
			u, err := url.Parse(text)
			if err != nil {
				t.Fatal(err)
			}
			dev, err := OpenURL(context.Background(), u)
			if err == nil {
				_ = dev.Close()
				t.Fatal("opened")
			}
			if !errors.Is(err, unio.ErrInvalid) || !strings.Contains(err.Error(), words) {
				t.Errorf("error %q, want ErrInvalid with %q", err, words)
			}
		})
	}
	if _, err := os.Stat("d"); err == nil {
		t.Error("left a file behind")
	}
}
