package uniotest

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"sync/atomic"
	"time"

	"github.com/unio-stack/unio"
)

// checkMisuse: goroutines that use one channel at the same time are refused
// with ErrBusy, and break nothing.
func checkMisuse(r *rig) {
	if runtime.GOMAXPROCS(0) == 1 {
		r.Skip("not applicable: with one processor nothing runs at the same time")
	}
	ch := r.channel(unio.ChannelConfig{Depth: r.depth(16)})
	var busy, posted, fetched atomic.Int64
	deadline := time.Now().Add(r.cfg.Patience)
	r.together(3, func(_ int, _ *rand.Rand) error {
		q := unio.Request{Op: unio.OpRead, Region: r.reg, Data: make([]byte, 64)}
		var done [4]unio.Completion
		for i := 0; busy.Load() == 0 || i < 500; i++ {
			n, err := ch.Post(q)
			posted.Add(int64(n))
			switch {
			case errors.Is(err, unio.ErrBusy):
				busy.Add(1)
			case err != nil && !errors.Is(err, unio.ErrFull):
				return err
			}
			if err == nil && n != 1 {
				return fmt.Errorf("a Post of 1 accepted %d without an error", n)
			}
			if fetched.Add(int64(ch.Poll(done[:]))); time.Now().After(deadline) {
				return nil
			}
		}
		return nil
	})
	if busy.Load() == 0 {
		r.Error("three goroutines used a channel at a time and none was told")
	}
	if got := fetched.Load() + int64(len(r.drain(ch))); got != posted.Load() {
		r.Errorf("%d requests were accepted and %d completed", posted.Load(), got)
	}
	if n := ch.Stats().Misuse; n < busy.Load() {
		r.Errorf("statistics count %d cases of misuse, at least %d were reported", n, busy.Load())
	}
}
