package catalogue

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/unio-stack/unio"
)

// openers of both kinds; the second result opens the same one again.
func openers(t *testing.T) map[string]func() (Catalogue, error) {
	path := filepath.Join(t.TempDir(), "catalogue")
	c, err := OpenBolt(path, true)
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	m := &Memory{}
	return map[string]func() (Catalogue, error){
		"bolt":   func() (Catalogue, error) { return OpenBolt(path, false) },
		"memory": m.Open,
	}
}

func TestCatalogue(t *testing.T) {
	for name, open := range openers(t) {
		t.Run(name, func(t *testing.T) {
			c, err := open()
			if err != nil {
				t.Fatal(err)
			}
			if _, err := open(); !errors.Is(err, unio.ErrBusy) {
				t.Errorf("opened twice: %v, want ErrBusy", err)
			}
			must(t, c.Update(func(w Writer) error {
				for _, k := range []string{"b", "a", "c1", "c2"} {
					if err := w.Put([]byte(k), []byte("v"+k)); err != nil {
						return err
					}
				}
				return nil
			}))
			oops := errors.New("oops")
			if err := c.Update(func(w Writer) error {
				_ = w.Put([]byte("d"), []byte("x"))
				_ = w.Delete([]byte("a"))
				return oops
			}); !errors.Is(err, oops) {
				t.Errorf("Update returned %v", err)
			}
			must(t, c.Close())
			if c, err = open(); err != nil {
				t.Fatal(err)
			}
			got := ""
			must(t, c.View(func(r Reader) error {
				r.Scan([]byte("b"), func(k, v []byte) bool { got += fmt.Sprintf("%s=%s ", k, v); return string(k) != "c2" })
				if r.Get([]byte("d")) != nil || string(r.Get([]byte("a"))) != "va" {
					t.Error("an update that failed has left something")
				}
				return nil
			}))
			if got != "b=vb c1=vc1 c2=vc2 " {
				t.Errorf("scanned %q", got)
			}
			must(t, c.Close())
		})
	}
}

func TestBoltRefuses(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "garbage")
	must(t, os.WriteFile(path, make([]byte, 100000), 0o600))
	if c, err := OpenBolt(path, false); err == nil {
		t.Error("garbage is a catalogue", c.Close())
	}
	if _, err := OpenBolt(path, true); !errors.Is(err, os.ErrExist) {
		t.Errorf("made over a file that exists: %v", err)
	}
	if _, err := OpenBolt(filepath.Join(dir, "missing"), false); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("opened a file that does not exist: %v", err)
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
