package process

import (
	"os"
	"strconv"
	"time"
)

// watchThreads looks at the process's threads every few milliseconds. The
// function it returns ends that, waits for it and returns the most seen; 0
// where there is no /proc.
func watchThreads(pid int) (stop func() int) {
	done, most := make(chan struct{}), make(chan int)
	go func() {
		seen := 0
		ticker := time.NewTicker(5 * time.Millisecond)
		defer ticker.Stop()
		for {
			tasks, err := os.ReadDir("/proc/" + strconv.Itoa(pid) + "/task")
			if err == nil {
				seen = max(seen, len(tasks))
			}
			select {
			case <-ticker.C:
			case <-done:
				most <- seen
				return
			}
		}
	}()
	return func() int {
		close(done)
		return <-most
	}
}
