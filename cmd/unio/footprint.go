package main

import (
	"os"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
)

// A footprint is what this process takes. What the system does not tell is 0.
type footprint struct {
	Heap        int64 `json:"heap_bytes"`     // of Go, reachable
	Resident    int64 `json:"resident_bytes"` // all of its memory
	Goroutines  int   `json:"goroutines"`
	Descriptors int   `json:"descriptors"`
}

// takeFootprint looks, after a collection.
func takeFootprint() footprint {
	debug.FreeOSMemory()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	f := footprint{Heap: int64(m.HeapAlloc), Goroutines: runtime.NumGoroutine()}
	if text, err := os.ReadFile("/proc/self/statm"); err == nil {
		if fields := strings.Fields(string(text)); len(fields) > 1 {
			pages, _ := strconv.ParseInt(fields[1], 10, 64) // 0 if the system has other ideas
			f.Resident = pages * int64(os.Getpagesize())
		}
	}
	if open, err := os.ReadDir("/proc/self/fd"); err == nil {
		f.Descriptors = len(open) - 1 // the directory itself
	}
	return f
}
