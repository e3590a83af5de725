package volume

import (
	"fmt"
	"os"
	"testing"

	"github.com/unio-stack/unio/internal/memory"
	"go.uber.org/goleak"
)

// TestMain fails the run when a test leaves a Buffer, a descriptor or a
// goroutine behind.
func TestMain(m *testing.M) {
	if r, w, err := os.Pipe(); err == nil { // the runtime's poller opens its descriptors
		_ = r.Close()
		_ = w.Close()
	}
	files := openFiles()
	code := m.Run()
	if blocks, bytes := memory.Live(); blocks != 0 {
		fmt.Fprintf(os.Stderr, "leak: %d blocks, %d bytes\n", blocks, bytes)
		code = 1
	}
	if n := openFiles(); n > files {
		fmt.Fprintf(os.Stderr, "leak: %d open files, %d before\n", n, files)
		code = 1
	}
	if err := goleak.Find(); err != nil {
		fmt.Fprintln(os.Stderr, "leak:", err)
		code = 1
	}
	os.Exit(code)
}

func openFiles() int {
	entries, err := os.ReadDir("/dev/fd")
	if err != nil {
		return 0
	}
	return len(entries)
}
