package media

import (
	"os"
	"testing"
)

func TestCreateFillsTheWholeFile(t *testing.T) {
	const size = chunk + 4096
	f, err := Create(t.TempDir(), "f", size)
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(f.Path)
	if err != nil || len(text) != size {
		t.Fatalf("%d bytes (%v), want %d", len(text), err, size)
	}
	zeroes := 0
	for _, b := range text[size-4096:] {
		if b == 0 {
			zeroes++
		}
	}
	if zeroes > 100 {
		t.Errorf("the last block has %d zeroes: it is not random", zeroes)
	}
	for _, step := range []func() error{f.Warm, f.Drop, f.Remove} {
		if err := step(); err != nil {
			t.Error(err)
		}
	}
	if _, err := os.Stat(f.Path); !os.IsNotExist(err) {
		t.Errorf("after Remove: %v", err)
	}
}

func TestCreateInNoDirectory(t *testing.T) {
	if _, err := Create("/does/not/exist", "f", 1); err == nil {
		t.Error("no error")
	}
}
