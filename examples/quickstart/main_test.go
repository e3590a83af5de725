package main

import (
	"bytes"
	"context"
	"path/filepath"
	"strings"
	"testing"
)

func TestQuickstartOnEveryKindOfDevice(t *testing.T) {
	path := filepath.Join(t.TempDir(), "disk.img")
	for _, url := range []string{
		"mem:?size=1MiB", "file://" + path + "?size=1MiB&create=1", "dax://" + path,
	} {
		var out bytes.Buffer
		run(context.Background(), url, &out)
		if !strings.HasPrefix(out.String(), "hello from ") {
			t.Errorf("%s: printed %q", url, out.String())
		}
	}
}
