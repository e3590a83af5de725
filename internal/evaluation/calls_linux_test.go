package evaluation

import (
	"os"
	"runtime"
	"sync"
	"testing"

	"golang.org/x/sys/unix"
)

// TestCallsAreCounted: as many system calls as were made, on whatever threads,
// those that begin later included.
func TestCallsAreCounted(t *testing.T) {
	if err := tryCounting(); err != nil {
		t.Skip("the kernel's counter cannot be had:", err)
	}
	const threads, each = 8, 10_000
	start := make(chan struct{})
	var all sync.WaitGroup
	work := func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		<-start
		for range each {
			unix.Getppid()
		}
	}
	for range threads / 2 {
		all.Go(work)
	}
	c, err := countProcess(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	defer c.close()
	before := c.sum()
	close(start)
	for range threads / 2 {
		all.Go(work)
	}
	all.Wait()
	if n := c.sum() - before; n < threads*each || n > 2*threads*each {
		t.Errorf("%d system calls counted, %d were made", n, threads*each)
	}
}

// TestBusyThreadIsCounted: also one that is busy when counting begins.
func TestBusyThreadIsCounted(t *testing.T) {
	if err := tryCounting(); err != nil {
		t.Skip("the kernel's counter cannot be had:", err)
	}
	stop, done := make(chan struct{}), make(chan int64)
	go func() {
		for n := int64(0); ; n++ {
			select {
			case <-stop:
				done <- n
				return
			default:
				unix.Getppid()
			}
		}
	}()
	for range 20 {
		c, err := countProcess(os.Getpid())
		if err != nil {
			t.Fatal(err)
		}
		before := c.sum()
		for range 1000 {
			unix.Getppid()
		}
		if n := c.sum() - before; n < 1000 {
			t.Errorf("%d counted, at least 1000 were made", n)
		}
		c.close()
	}
	close(stop)
	<-done
}
