//go:build !linux

package unio

// threadID identifies the calling OS thread; elsewhere no engine is bound to one.
func threadID() int { return 0 }
