package file

import (
	"runtime"
	"sync/atomic"
	"testing"
	"time"

	"github.com/unio-stack/unio"
)

// TestWakeIsRemembered: a Wake makes the next Sleep return even if a Reap came
// between the two.
func TestWakeIsRemembered(t *testing.T) {
	m, err := openMedium(newFile(t, 1<<20), Config{})
	if err != nil {
		t.Fatal(err)
	}
	defer m.close()
	p := newPool(m, 0)
	defer p.close()
	for _, tc := range []struct {
		name string
		cfg  Config
		qc   unio.QueueConfig
	}{
		{"any thread", Config{}, unio.QueueConfig{Depth: 4}},
		{"pinned", Config{}, unio.QueueConfig{Depth: 4, Pinned: true}},
		{"sqpoll", Config{SQPoll: true}, unio.QueueConfig{Depth: 4}},
		{"polled", Config{IOPoll: IOPollOn}, unio.QueueConfig{Depth: 4}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			runtime.LockOSThread()
			defer runtime.UnlockOSThread()
			q, err := newRingQueue(m, p, ringSetup(tc.cfg), tc.qc)
			if err != nil {
				t.Fatal(err)
			}
			defer q.Close()
			for range 20 {
				q.Wake()
				for range 50 {
					q.Reap()
				}
				var late atomic.Bool
				rescue := time.AfterFunc(patience/4, func() { late.Store(true); q.Wake() })
				q.Sleep()
				if rescue.Stop(); late.Load() {
					t.Fatal("Sleep did not return")
				}
			}
			wake := time.AfterFunc(time.Millisecond, q.Wake)
			for began := time.Now(); time.Since(began) < time.Millisecond; {
				q.Sleep() // may return early, not for ever
			}
			wake.Stop()
		})
	}
}
