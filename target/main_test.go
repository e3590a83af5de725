package target

import (
	"fmt"
	"os"
	"testing"

	"go.uber.org/goleak"

	"github.com/unio-stack/unio/internal/memory"
)

// roles are what this program is instead when its first argument names one: a client beside the test. See startClient.
var roles = map[string]func(addr string) error{}

// TestMain fails the run when a test leaves a Buffer or a goroutine behind.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1][0] != '-' {
		os.Exit(play(os.Args[1:]))
	}
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

// play is the program in one of its roles. It returns its status.
func play(args []string) int {
	role := roles[args[0]]
	if role == nil || len(args) != 2 {
		fmt.Fprintln(os.Stderr, "no such role:", args)
		return 2
	}
	if err := role(args[1]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}
