package main

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// monotonic says when it is, so that the service manager knows which of its
// reloads is answered (sd_notify(3)).
func monotonic() string {
	var t unix.Timespec
	_ = unix.ClockGettime(unix.CLOCK_MONOTONIC, &t) // cannot fail
	return fmt.Sprintf("MONOTONIC_USEC=%d", t.Nano()/1000)
}
