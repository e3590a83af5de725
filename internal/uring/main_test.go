//go:build linux

package uring

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
)

// TestMain fails the run when a test leaves a descriptor or a ring's mapping behind.
func TestMain(m *testing.M) {
	warmRuntime()
	before := openFiles()
	code := m.Run()
	if left := leftOver(before, openFiles()); len(left) > 0 {
		fmt.Fprintln(os.Stderr, len(left), "leaked descriptors:", left[:min(8, len(left))])
		code = 1
	}
	if n := ringMappings(); n > 0 {
		fmt.Fprintln(os.Stderr, "leaked ring mappings:", n)
		code = 1
	}
	os.Exit(code)
}

// warmRuntime makes the runtime open what its network poller needs.
func warmRuntime() {
	r, w, err := os.Pipe()
	if err == nil {
		r.Close()
		w.Close()
	}
}

// openFiles lists what each open descriptor leads to.
func openFiles() []string {
	entries, _ := os.ReadDir("/proc/self/fd")
	var files []string
	for _, e := range entries {
		if to, err := os.Readlink("/proc/self/fd/" + e.Name()); err == nil {
			files = append(files, to)
		}
	}
	return files
}

// leftOver is after less before, counting repetitions.
func leftOver(before, after []string) []string {
	var left []string
	before = slices.Clone(before)
	for _, f := range after {
		if i := slices.Index(before, f); i >= 0 {
			before = slices.Delete(before, i, i+1)
			continue
		}
		left = append(left, f)
	}
	return left
}

// ringMappings counts the mappings of rings.
func ringMappings() int {
	maps, _ := os.ReadFile("/proc/self/maps")
	return strings.Count(string(maps), "anon_inode:[io_uring]")
}
