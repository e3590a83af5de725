//go:build unix

package inventory

import "golang.org/x/sys/unix"

// freeBytes returns what ordinary users may still store at a path.
func freeBytes(path string) int64 {
	var st unix.Statfs_t
	if unix.Statfs(path, &st) != nil {
		return 0
	}
	return int64(st.Bavail) * int64(st.Bsize)
}
