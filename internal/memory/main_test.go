package memory

import (
	"fmt"
	"os"
	"testing"

	"go.uber.org/goleak"
)

// TestMain fails the run when a test leaves a block, a mapping of ours, a
// descriptor or a goroutine behind.
func TestMain(m *testing.M) {
	startPoller()
	files := openFiles()
	code := m.Run()
	if blocks, bytes := Live(); blocks != 0 || bytes != 0 {
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

// openFiles counts the descriptors of the process.
func openFiles() int {
	entries, err := os.ReadDir("/dev/fd")
	if err != nil {
		return 0
	}
	return len(entries)
}

// startPoller makes the runtime open the descriptors of its poller, so that
// they are not counted as leaks.
func startPoller() {
	if r, w, err := os.Pipe(); err == nil {
		_ = r.Close()
		_ = w.Close()
	}
}
