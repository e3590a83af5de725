package main

import (
	"errors"
	"fmt"
	"os"
	"syscall"
)

// checkUnused fails if a block device is mounted, swapped to, or part of an
// array or volume: the kernel then refuses to give it out exclusively (open(2),
// O_EXCL).
func checkUnused(path string) error {
	f, err := os.OpenFile(path, os.O_RDWR|syscall.O_EXCL, 0)
	if err == nil {
		return f.Close()
	}
	if !errors.Is(err, syscall.EBUSY) {
		return nil // opening it as a device says what is wrong
	}
	return hinted(fmt.Errorf("%s is in use: writing to it would destroy what is there", path),
		"unmount it first (lsblk shows by what it is used), or give --force if it may be destroyed")
}
