package release

import (
	"runtime"
	"sync/atomic"
	"testing"
)

// TestHandOver passes a plain value from goroutine to goroutine through a flag
// that is set with Store32: under the race detector, or on a machine that
// reorders stores, a weaker store is found out.
func TestHandOver(t *testing.T) {
	const turns = 100_000
	var flag uint32
	var value int
	done := make(chan struct{})
	go func() {
		defer close(done)
		for i := 1; i <= turns; i++ {
			for atomic.LoadUint32(&flag) != 1 {
				runtime.Gosched()
			}
			if value != i {
				t.Errorf("turn %d: value %d", i, value)
			}
			Store32(&flag, 0)
		}
	}()
	for i := 1; i <= turns; i++ {
		for atomic.LoadUint32(&flag) != 0 {
			runtime.Gosched()
		}
		value = i
		Store32(&flag, 1)
	}
	<-done
}
