//go:build race

package unio_test

// Under the race detector sync.Pool drops a part of what it is given.
func init() { poolsKeep = false }
