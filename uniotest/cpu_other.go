//go:build !unix

package uniotest

import "time"

// processorTime is what the process has used so far, or 0 if that is not known.
func processorTime() time.Duration { return 0 }
