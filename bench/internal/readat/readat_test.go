package readat

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"testing"
)

func TestBothAPIsRead(t *testing.T) {
	path := filepath.Join(t.TempDir(), "f")
	if err := os.WriteFile(path, make([]byte, 1<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, api := range []string{"os", "unio"} {
		var out bytes.Buffer
		err := Main(context.Background(), []string{"-api", api, "-path", path, "-goroutines", "4", "-time", "20ms"}, &out)
		if err != nil {
			t.Fatalf("%s: %v", api, err)
		}
		var rep Report
		if err := json.Unmarshal(out.Bytes(), &rep); err != nil || rep.Operations < 4 || rep.Seconds <= 0 {
			t.Errorf("%s: printed %q (%v)", api, out.String(), err)
		}
	}
}

func TestBadCommandLines(t *testing.T) {
	empty := filepath.Join(t.TempDir(), "empty")
	if err := os.WriteFile(empty, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for name, args := range map[string][]string{
		"no API":        {"-path", empty},
		"no file":       {"-api", "os", "-path", empty + "x"},
		"empty file":    {"-api", "os", "-path", empty},
		"no goroutines": {"-api", "os", "-path", empty, "-goroutines", "0"},
	} {
		if Main(context.Background(), args, io.Discard) == nil {
			t.Errorf("%s: no error", name)
		}
	}
}
