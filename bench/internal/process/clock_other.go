//go:build !linux

package process

import (
	"errors"
	"time"
)

// processTime is Linux's.
func processTime(int) (time.Duration, error) { return 0, errors.ErrUnsupported }
