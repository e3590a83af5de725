//go:build !linux

package main

// directFlag is 0: there is no such flag to open a file with.
const directFlag = 0
