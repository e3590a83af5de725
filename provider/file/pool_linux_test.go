package file

import (
	"testing"

	"github.com/unio-stack/unio"
)

// TestPoolWorkers: requests that are posted one after the other run at the same
// time, though the worker that the first one wakes has not begun.
func TestPoolWorkers(t *testing.T) {
	needRoot(t)
	if !inChild(t, "pool workers", ownMounts) {
		return
	}
	s := newSlowDisk(t, 1<<20)
	r := newRig(t, s.path, Config{Engine: EnginePosix, Workers: 4, Direct: Required})
	chans := []*unio.Channel{r.channel(unio.ChannelConfig{}), r.channel(unio.ChannelConfig{}), r.channel(unio.ChannelConfig{})}
	buf := r.buffer(3 * 4096)
	r.must(chans[0], r.read(0, buf[:4096])) // one worker is idle now
	for range 20 {
		g := newStall()
		t.Cleanup(g.letGo)
		s.decide(g.answer)
		for i, ch := range chans {
			if _, err := ch.Post(r.read(int64(i)*4096, buf[i*4096:][:4096])); err != nil {
				t.Fatal(err)
			}
		}
		for range chans {
			g.await(t)
		}
		g.letGo()
		for _, ch := range chans {
			for _, c := range r.drain(ch) {
				if c.Err != nil {
					t.Error(c.Err)
				}
			}
		}
	}
}

// TestPoolTurns: with one worker, a deep channel does not keep another waiting
// for all it holds.
func TestPoolTurns(t *testing.T) {
	needRoot(t)
	if !inChild(t, "pool turns", ownMounts) {
		return
	}
	r, g := slowRig(t, Config{Engine: EnginePosix, Workers: 1, Direct: Required})
	deep, shallow := r.channel(unio.ChannelConfig{Depth: 32}), r.channel(unio.ChannelConfig{})
	buf := r.buffer(33 * 4096)
	for i := range 32 {
		if _, err := deep.Post(r.read(int64(i)*4096, buf[i*4096:][:4096])); err != nil {
			t.Fatal(err)
		}
	}
	g.await(t)
	if _, err := shallow.Post(r.read(128<<10, buf[32*4096:])); err != nil {
		t.Fatal(err)
	}
	for turn := 1; ; turn++ {
		g.release <- 0
		if c := g.await(t); c.off == 128<<10 {
			break
		} else if turn > 2 {
			t.Fatalf("the other channel's request has not begun after %d of the deep one's", turn)
		}
	}
	g.letGo()
	r.drain(deep)
	r.drain(shallow)
}
