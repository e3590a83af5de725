package target

import (
	"fmt"
	"os"
	"testing"

	"go.uber.org/goleak"

	"github.com/unio-stack/unio/internal/memory"
)

// TestMain fails the run when a test leaves a Buffer or a goroutine behind.
func TestMain(m *testing.M) {
	code := m.Run()
	if blocks, bytes := memory.Live(); blocks != 0 {
		fmt.Fprintf(os.Stderr, "leak: %d blocks, %d bytes\n", blocks, bytes)
		code = 1
	}
	if err := goleak.Find(); err != nil {
		fmt.Fprintln(os.Stderr, "leak:", err)
		code = 1
	}
	os.Exit(code)
}
