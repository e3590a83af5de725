package target

import (
	"errors"
	"runtime"
	"sync"
	"testing"

	"github.com/unio-stack/unio"
	"github.com/unio-stack/unio/uniotest/faults"
)

// All flushes that are asked for while one is under way get one more, together, on whichever lane they come.
func TestFlushesAreShared(t *testing.T) {
	m := &medium{}
	r := serve(t, Config{Exports: []Export{{Name: "disk", Device: m.open(t)}}})
	clients := make([]*client, 8)
	for i := range clients {
		clients[i] = r.attach("disk")
		defer clients[i].close()
	}
	m.hold(unio.Ops(unio.OpFlush))
	var all []*request
	ask := func(n int) {
		for i := range n {
			c := clients[i%len(clients)]
			q := c.request(unio.OpFlush, 0, 0, nil)
			c.post(q)
			all = append(all, q)
		}
	}
	ask(1)
	for m.count(unio.OpFlush) == 0 { // another goroutine may be at the lane
		runtime.Gosched()
	}
	ask(500)
	if n := m.count(unio.OpFlush); n != 1 {
		t.Fatalf("%d flushes of the device while the first is under way", n)
	}
	m.hold(0)
	for _, q := range all {
		if err := q.wait(); err != nil {
			t.Fatal(err)
		}
	}
	if n := m.count(unio.OpFlush); n != 2 {
		t.Errorf("%d flushes of the device for 501, want 2", n)
	}
	s := r.Stats().Exports[0]
	if s.FlushesAsked != 501 || s.FlushesDone != 2 || s.Operations != 2 {
		t.Errorf("counted %d, %d and %d", s.FlushesAsked, s.FlushesDone, s.Operations)
	}
}

// A flush covers what was written before it was asked for, however many ask at a time.
func TestFlushComesAfterWhatItIsFor(t *testing.T) {
	m := &medium{}
	r := serve(t, Config{Exports: []Export{{Name: "disk", Device: m.open(t)}}})
	var all sync.WaitGroup
	for range 4 {
		c := r.attach("disk")
		all.Go(func() {
			defer c.close()
			for range 300 {
				before := m.count(unio.OpFlush)
				if err := c.flush(); err != nil {
					t.Error(err)
					return
				}
				if m.count(unio.OpFlush) == before {
					t.Error("a flush ended, but the device began none after it was asked for")
					return
				}
			}
		})
	}
	all.Wait()
}

// If the device's flush fails, all that it was for do; the next one is another matter.
func TestFailedFlushIsShared(t *testing.T) {
	m := &medium{}
	dev, err := faults.Wrap(m.open(t), "flush nth 2 error media", 1)
	if err != nil {
		t.Fatal(err)
	}
	r := serve(t, Config{Exports: []Export{{Name: "disk", Device: closing(t, dev)}}})
	c := r.attach("disk")
	defer c.close()
	m.hold(unio.Ops(unio.OpFlush))
	var all []*request
	for range 3 {
		q := c.request(unio.OpFlush, 0, 0, nil)
		c.post(q)
		all = append(all, q)
	}
	m.hold(0)
	for i, q := range all {
		err := q.wait()
		if i == 0 && err != nil || i > 0 && !errors.Is(err, unio.ErrMedia) {
			t.Errorf("flush %d: %v", i, err)
		}
	}
	if err := c.flush(); err != nil {
		t.Error(err)
	}
}
