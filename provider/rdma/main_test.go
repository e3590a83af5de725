package rdma

import (
	"fmt"
	"os"
	"runtime"
	"runtime/metrics"
	"testing"
	"time"

	"github.com/unio-stack/unio/internal/memory"
	"go.uber.org/goleak"
)

// TestMain fails the run when a test leaves a Buffer, a descriptor or a goroutine behind.
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

// heap returns how many bytes of memory are in use, Buffers and what nobody refers to any more aside.
func heap() int64 {
	for range 2 { // what a sync.Pool has goes with the second
		runtime.GC()
	}
	live := []metrics.Sample{{Name: "/gc/heap/live:bytes"}} // what was made since then may be in use or not
	metrics.Read(live)
	return int64(live[0].Value.Uint64())
}

// becomes waits until what holds, and fails the test if that takes too long.
func becomes(t testing.TB, what string, holds func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !holds(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("not within %v: %s", patience, what)
		}
	}
}

// patience is how long anything may take that does not take long, on a machine that has much else to do.
const patience = 20 * time.Second
