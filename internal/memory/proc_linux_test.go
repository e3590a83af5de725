package memory

import (
	"bufio"
	"fmt"
	"os"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// hexAddress is how /proc/self/smaps begins the line of a mapping.
func hexAddress(m *Mapping) string {
	return fmt.Sprintf("%08x-%08x ", uintptr(m.base), uintptr(m.base)+uintptr(len(m.Bytes())))
}

// TestMapWithoutDAX expects memory that is no storage to refuse MAP_SYNC, and
// Map to fall back: a mapping that were wrongly synchronous would lose data.
// tmpfs is the kind that ignores MAP_SYNC unless MAP_SHARED_VALIDATE comes with it.
func TestMapWithoutDAX(t *testing.T) {
	fd, err := unix.MemfdCreate("no-dax", unix.MFD_CLOEXEC)
	if err != nil {
		t.Fatal(err)
	}
	f := os.NewFile(uintptr(fd), "no-dax")
	defer f.Close()
	if err := f.Truncate(pageSize); err != nil {
		t.Fatal(err)
	}
	m := mustMap(t, f, pageSize, MapOptions{})
	if m.Synchronous() {
		t.Error("synchronous on tmpfs")
	}
	m.Bytes()[0] = 1
	if err := m.Flush(0, pageSize); err != nil {
		t.Error(err)
	}
}

// resident returns how many KiB of the mapping are mapped, and how many of
// those dirty.
func resident(t *testing.T, m *Mapping) (rss, dirty int) {
	t.Helper()
	// A mapping unlike its neighbours is not joined with them.
	if err := unix.Madvise(m.Bytes(), unix.MADV_DONTFORK); err != nil {
		t.Fatal(err)
	}
	smaps, err := os.ReadFile("/proc/self/smaps")
	if err != nil {
		t.Skip(err)
	}
	_, entry, found := strings.Cut(string(smaps), hexAddress(m))
	if !found {
		t.Fatalf("no mapping %s in /proc/self/smaps", hexAddress(m))
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

// mapsLines counts the lines of /proc/self/maps that contain name.
func mapsLines(t *testing.T, name string) int {
	t.Helper()
	f, err := os.Open("/proc/self/maps")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	lines := 0
	for s := bufio.NewScanner(f); s.Scan(); {
		if strings.Contains(s.Text(), name) {
			lines++
		}
	}
	return lines
}

// TestNothingStaysMapped makes and frees mappings of every kind and counts in
// /proc/self/maps.
func TestNothingStaysMapped(t *testing.T) {
	round := func() {
		for _, size := range []int{1, int(pageSize), hugePage, hugePage + 5, 3*hugePage - 1} {
			b := mustAlloc(t, size)
			if err := b.Free(); err != nil {
				t.Error(err)
			}
		}
		m, err := MapAnonymous(3 * hugePage)
		if err != nil {
			t.Fatal(err)
		}
		if err := m.Close(); err != nil {
			t.Error(err)
		}
	}
	round()
	before := mapsLines(t, "")
	for range 300 {
		round()
	}
	// The runtime may map a few arenas of its own meanwhile.
	if after := mapsLines(t, ""); after > before+20 {
		t.Errorf("%d lines in /proc/self/maps, %d before 300 rounds", after, before)
	}

	f := newFile(t, pageSize)
	for range 20 {
		m := mustMap(t, f, pageSize, MapOptions{})
		if got := mapsLines(t, f.Name()); got != 1 {
			t.Errorf("%d mappings of the file, want 1", got)
		}
		if err := m.Close(); err != nil {
			t.Error(err)
		}
	}
	if got := mapsLines(t, f.Name()); got != 0 {
		t.Errorf("%d mappings of the file after Close", got)
	}
}
