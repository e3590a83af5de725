//go:build !linux

package file

// ringMappings is 0: io_uring is Linux's.
func ringMappings() int { return 0 }
