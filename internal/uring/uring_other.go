//go:build !linux

package uring

import (
	"errors"
	"fmt"
	"runtime"
)

// Ring is an io_uring, which only Linux has.
type Ring struct{}

func errNotLinux() error {
	return fmt.Errorf("uring: io_uring is a Linux interface, not on %s: %w", runtime.GOOS, errors.ErrUnsupported)
}

// New returns an error that Is errors.ErrUnsupported.
func New(Config) (*Ring, error) { return nil, errNotLinux() }

// Close does nothing.
func (*Ring) Close() error { return nil }

// Probe lists every feature as absent, and returns an error that Is errors.ErrUnsupported.
func Probe() (*Features, error) {
	err := errNotLinux()
	return newFeatures(err.Error()), err
}
