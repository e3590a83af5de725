package uniotest

import (
	"os"
	"strings"
)

// openFiles counts the descriptors of the process by what they refer to.
// Sockets and pipes count by kind: their numbers differ every time.
func openFiles() map[string]int {
	const dir = "/proc/self/fd"
	found := map[string]int{}
	entries, _ := os.ReadDir(dir)
	for _, e := range entries {
		target, err := os.Readlink(dir + "/" + e.Name())
		if err != nil {
			continue // the directory's own descriptor
		}
		if kind, _, ok := strings.Cut(target, ":["); ok {
			target = kind
		}
		found[target]++
	}
	return found
}

// namedMappings counts the mappings that have a file behind them. Neighbouring
// parts of one file that differ in their protection count as one.
func namedMappings() map[string]int {
	found := map[string]int{}
	text, _ := os.ReadFile("/proc/self/maps")
	var last, lastEnd string
	for line := range strings.Lines(string(text)) {
		f := strings.Fields(line)
		if len(f) < 6 || strings.HasPrefix(f[5], "[") {
			lastEnd = ""
			continue
		}
		start, end, _ := strings.Cut(f[0], "-")
		name := strings.Join(f[5:], " ")
		if name != last || start != lastEnd {
			found[name]++
		}
		last, lastEnd = name, end
	}
	return found
}
