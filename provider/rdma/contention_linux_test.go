package rdma

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/unio-stack/unio"
)

// TestContention has several peers write and read the same memory at a time, with CRCs, at all sizes: what they read is
// anybody's guess, but memory that changes is no fault of the network, and no connection may break for it.
func TestContention(t *testing.T) {
	for _, c := range []struct {
		name             string
		readers, writers int
		link             *lane
	}{
		{name: "writers", writers: 4},
		{name: "reader and writer", readers: 2, writers: 2},
		{name: "one connection, slow", link: &lane{rate: 20 << 20}},
	} {
		t.Run(c.name, func(t *testing.T) { contend(t, c.readers, c.writers, c.link) })
	}
}

func contend(t *testing.T, readers, writers int, slow *lane) {
	size := 256 << 10
	if slow != nil {
		size = hostMemory - 64 // more than the system takes
	}
	h := newHost(t, Config{}, Config{})
	end := time.Now().Add(300 * time.Millisecond)
	var count atomic.Int64
	work := func(c *Conn, ops ...unio.Opcode) {
		reg := attach(t, c, h.all.Key(), unio.ReadWrite)
		ctx, stop := context.WithTimeout(context.Background(), patience)
		defer stop()
		done := make([]unio.Completion, 8)
		data := [24][]byte{}
		for i := range data {
			data[i] = make([]byte, size)
			fill(data[i], byte(i))
		}
		flying := 0
		for id := 0; time.Now().Before(end) || flying > 0; {
			if flying < len(data) && time.Now().Before(end) {
				r := unio.Request{ID: uint64(id % len(data)), Op: ops[id%len(ops)], Region: reg, Data: data[id%len(data)]}
				if n, err := c.Channel().Post(r); n == 0 {
					t.Error(err)
					return
				}
				id++
				flying++
				continue
			}
			n, err := c.Channel().Wait(ctx, done[:1])
			if err == nil && n == 1 {
				err = done[0].Err
			}
			if err != nil {
				t.Error(err)
				return
			}
			flying -= n
			count.Add(1)
		}
	}
	var all sync.WaitGroup
	for range readers {
		c, _ := h.pair(Config{})
		all.Go(func() { work(c, unio.OpRead) })
	}
	for range writers {
		c, _ := h.pair(Config{})
		all.Go(func() { work(c, unio.OpWrite) })
	}
	if slow != nil {
		k := newLink(t, h.addr(), lane{}, *slow)
		c := dialTo(t, k.addr(), Config{})
		h.accept()
		all.Go(func() { work(c, unio.OpRead, unio.OpWrite) })
	}
	all.Wait()
	t.Logf("%d requests", count.Load())
	h.check()
}

// TestReadOfWhatTheApplicationChanges: memory that is exposed is the application's too, which changes it while it is read.
func TestReadOfWhatTheApplicationChanges(t *testing.T) {
	h := newHost(t, Config{}, Config{})
	c, _ := h.pair(Config{})
	reg := attach(t, c, h.all.Key(), unio.ReadWrite)
	stop := make(chan struct{})
	var all sync.WaitGroup
	all.Go(func() {
		b := h.memory.Bytes()
		for v := byte(0); ; v++ {
			select {
			case <-stop:
				return
			default:
				fill(b, v)
			}
		}
	})
	data := make([]byte, 256<<10)
	for end := time.Now().Add(300 * time.Millisecond); time.Now().Before(end); {
		if err := try(c, unio.Request{Op: unio.OpRead, Region: reg, Data: data}); err != nil {
			t.Error(err)
			break
		}
	}
	close(stop)
	all.Wait()
	h.check()
}
