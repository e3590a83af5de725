package file

import (
	"fmt"
	"os"
	"testing"

	"go.uber.org/goleak"

	"github.com/unio-stack/unio/internal/memory"
)

// TestMain fails the run when a test leaves a Buffer, a descriptor, a mapping
// of a ring or a goroutine behind.
func TestMain(m *testing.M) {
	if r, w, err := os.Pipe(); err == nil { // the runtime's poller opens its descriptors
		_ = r.Close()
		_ = w.Close()
	}
	files := openFiles()
	code := m.Run()
	for _, leak := range leaks(files) {
		fmt.Fprintln(os.Stderr, "leak:", leak)
		code = 1
	}
	os.Exit(code)
}

// leaks describes what is left, when files descriptors were open at first.
func leaks(files int) (found []string) {
	if blocks, bytes := memory.Live(); blocks != 0 {
		found = append(found, fmt.Sprintf("%d Buffers, %d bytes", blocks, bytes))
	}
	if n := openFiles(); n > files {
		found = append(found, fmt.Sprintf("%d open files, %d before", n, files))
	}
	if n := ringMappings(); n != 0 {
		found = append(found, fmt.Sprintf("%d mappings of rings", n))
	}
	if err := goleak.Find(); err != nil {
		found = append(found, err.Error())
	}
	return found
}

// openFiles counts the descriptors of the process.
func openFiles() int {
	entries, err := os.ReadDir("/dev/fd")
	if err != nil {
		return 0
	}
	return len(entries)
}
