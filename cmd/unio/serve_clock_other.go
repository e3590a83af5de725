//go:build !linux

package main

// monotonic is for systemd, which is elsewhere.
func monotonic() string { return "" }
