package mem

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"
)

// resident returns how many KiB of the device's mapping are mapped, and how
// many of those the kernel holds for dirty.
func resident(t *testing.T, d *device) (rss, dirty int) {
	t.Helper()
	smaps, err := os.ReadFile("/proc/self/smaps")
	if err != nil {
		t.Skip(err)
	}
	start := fmt.Sprintf("%08x-", uintptr(unsafe.Pointer(&d.mem[0])))
	_, entry, found := strings.Cut(string(smaps), start)
	if !found {
		t.Skip("the kernel joined the mapping with another")
	}
	for line := range strings.Lines(entry) {
		var kib int
		if _, err := fmt.Sscanf(line, "Rss: %d kB", &kib); err == nil {
			rss = kib
		}
		for _, kind := range []string{"Private", "Shared"} {
			if _, err := fmt.Sscanf(line, kind+"_Dirty: %d kB", &kib); err == nil {
				dirty += kib
			}
		}
		if strings.HasPrefix(line, "VmFlags") {
			break
		}
	}
	return rss, dirty
}

// TestPopulate opens memory with and without its pages.
func TestPopulate(t *testing.T) {
	const size = 5 << 20
	for _, populate := range []bool{false, true} {
		d, err := openDRAM(t.Context(), Config{Size: size, Populate: populate})
		if err != nil {
			t.Fatal(err)
		}
		// A mapping unlike its neighbours is not joined with them.
		if err := unix.Madvise(d.mem, unix.MADV_DONTFORK); err != nil {
			t.Fatal(err)
		}
		if rss, _ := resident(t, d); (rss<<10 >= size) != populate {
			t.Errorf("populate=%v: %d KiB of %d resident", populate, rss, size>>10)
		}
		if err := d.Close(); err != nil {
			t.Error(err)
		}
	}
}
