package file

import (
	"os"
	"testing"
)

func TestConformancePosixDirect(t *testing.T) {
	scale(t, 50)
	conform(t, Config{Engine: EnginePosix, Direct: Required}, tempDir)
}

func TestConformanceRingDirect(t *testing.T) {
	scale(t, 100)
	conform(t, Config{Engine: EngineRing, Direct: Required}, tempDir)
}

func TestConformanceRingBuffered(t *testing.T) {
	scale(t, 100)
	conform(t, Config{Engine: EngineRing, Direct: Buffered}, tempDir)
}

func TestConformanceRingSparse(t *testing.T) {
	scale(t, 10)
	conform(t, Config{Engine: EngineRing, Sparse: true}, tempDir)
}

func TestConformanceSQPoll(t *testing.T) {
	scale(t, 10)
	conform(t, Config{SQPoll: true, Direct: Required}, tempDir)
}

func TestConformanceMemory(t *testing.T) {
	for _, e := range []Engine{EngineRing, EnginePosix} {
		t.Run(string(e), func(t *testing.T) {
			scale(t, 100)
			conform(t, Config{Engine: e}, memoryDir)
		})
	}
}

// TestConformanceUnprivileged runs the suite without privileges, and with so
// little memory to lock that the first channels have rings and others do not.
func TestConformanceUnprivileged(t *testing.T) {
	dir := asUser(t)
	if dir == "" {
		return
	}
	limitMemlock(t, 64<<10)
	scale(t, 10)
	conform(t, Config{}, func(t testing.TB) string {
		sub, err := os.MkdirTemp(dir, "disk")
		if err != nil {
			t.Fatal(err)
		}
		return sub
	})
}

// memoryDir returns a directory of a file system in memory.
func memoryDir(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("/dev/shm", "unio")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	return dir
}
