// Package inventory lists what a machine has to offer as devices: disks, file
// systems and memory, and which engine each would get.
package inventory

import (
	"cmp"
	"context"
	"io/fs"
	"slices"
	"strconv"
	"strings"
)

// An Inventory is what was found.
type Inventory struct {
	Disks  []Disk  `json:"disks"`
	Mounts []Mount `json:"file_systems"`
	Memory Memory  `json:"memory"`
}

// Memory is what the machine has of it, in bytes.
type Memory struct {
	Total     int64 `json:"total_bytes"`
	Available int64 `json:"available_bytes"`
	// Persist is the instruction that makes stores to persistent memory
	// durable, "" if there is none.
	Persist string `json:"persist_instruction"`
}

// Take looks around. root is the file system's root as the kernel shows it
// (/proc, /sys); dirs are tried like mounts, whatever they are. To learn which
// engine a directory gets, a hidden file is made in it for a moment.
func Take(ctx context.Context, root fs.FS, dirs ...string) *Inventory {
	return &Inventory{
		Disks:  Disks(root),
		Mounts: mounts(ctx, root, dirs),
		Memory: memoryOf(root),
	}
}

// text reads a small file of the kernel's, "" if it is not there.
func text(root fs.FS, name string) string {
	b, err := fs.ReadFile(root, name)
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(b))
}

// number reads a file with a number, 0 if there is none.
func number(root fs.FS, name string) int64 {
	n, _ := strconv.ParseInt(text(root, name), 10, 64)
	return n
}

func memoryOf(root fs.FS) Memory {
	m := Memory{Persist: persistInstruction()}
	for line := range strings.Lines(text(root, "proc/meminfo")) {
		f := strings.Fields(line)
		if len(f) < 2 {
			continue
		}
		kib, _ := strconv.ParseInt(f[1], 10, 64)
		switch f[0] {
		case "MemTotal:":
			m.Total = kib << 10
		case "MemAvailable:":
			m.Available = kib << 10
		}
	}
	return m
}

func sortBy[T any](all []T, key func(T) string) {
	slices.SortFunc(all, func(a, b T) int { return cmp.Compare(key(a), key(b)) })
}
