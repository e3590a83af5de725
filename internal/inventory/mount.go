package inventory

import (
	"context"
	"io/fs"
	"os"
	"slices"
	"strconv"
	"strings"
)

// A Mount is a file system, and what a file on it would get.
type Mount struct {
	Point  string `json:"path"`
	Type   string `json:"type"`   // "" where not known
	Source string `json:"source"` // what is mounted
	Free   int64  `json:"free_bytes"`
	// Trial is what opening a file there gave; nil if none could be made.
	Trial *Trial `json:"trial,omitempty"`
	// Why there is no Trial.
	Why string `json:"why,omitempty"`
}

// kernelTypes are file systems without storage of their own for files.
var kernelTypes = []string{
	"proc", "sysfs", "devtmpfs", "devpts", "cgroup", "cgroup2", "mqueue", "debugfs", "tracefs", "securityfs", "pstore",
	"bpf", "configfs", "fusectl", "hugetlbfs", "autofs", "efivarfs", "binfmt_misc", "rpc_pipefs", "nsfs", "ramfs", "selinuxfs", "squashfs", "iso9660", "erofs",
}

// mounts tries a file on each file system that could hold some, and in dirs.
func mounts(ctx context.Context, root fs.FS, dirs []string) []Mount {
	var all []Mount
	for _, m := range Mounts(root) {
		st, err := os.Stat(m.Point)
		if err != nil || !st.IsDir() || m.kernels() {
			continue
		}
		m.try(ctx)
		all = append(all, m)
	}
	for _, d := range dirs {
		m := Mount{Point: d}
		m.try(ctx)
		all = append(all, m)
	}
	return all
}

// kernels reports whether the mount is the kernel's own, not one for files.
func (m *Mount) kernels() bool {
	return slices.Contains(kernelTypes, m.Type) || strings.HasPrefix(m.Point, "/sys/") || strings.HasPrefix(m.Point, "/proc/")
}

func (m *Mount) try(ctx context.Context) {
	m.Free = freeBytes(m.Point)
	t, err := Try(ctx, m.Point)
	if err != nil {
		m.Why = cause(err)
		return
	}
	m.Trial = t
}

// Mounts lists what is mounted where (proc(5), /proc/pid/mountinfo), by path;
// of several on one path the one that is seen.
func Mounts(root fs.FS) []Mount {
	last := map[string]Mount{}
	for line := range strings.Lines(text(root, "proc/self/mountinfo")) {
		if m, ok := parseMount(line); ok {
			last[m.Point] = m
		}
	}
	var all []Mount
	for _, m := range last {
		all = append(all, m)
	}
	sortBy(all, func(m Mount) string { return m.Point })
	return all
}

// parseMount reads a line such as
//
//	27 1 254:0 / /mnt rw,relatime shared:1 - ext4 /dev/vda rw
func parseMount(line string) (Mount, bool) {
	before, after, found := strings.Cut(line, " - ")
	f, g := strings.Fields(before), strings.Fields(after)
	if !found || len(f) < 6 || len(g) < 2 {
		return Mount{}, false
	}
	return Mount{Point: unescape(f[4]), Type: g[0], Source: unescape(g[1])}, true
}

// unescape undoes the kernel's \040 for a space and the like.
func unescape(s string) string {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' && i+3 < len(s) {
			if n, err := strconv.ParseUint(s[i+1:i+4], 8, 8); err == nil {
				b.WriteByte(byte(n))
				i += 3
				continue
			}
		}
		b.WriteByte(s[i])
	}
	return b.String()
}
