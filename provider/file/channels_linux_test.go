package file

import (
	"bytes"
	"fmt"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/unio-stack/unio"
)

// TestThreads: a channel's owner may be on another thread for every call.
func TestThreads(t *testing.T) {
	for _, cfg := range ways {
		t.Run(cfg.String(), func(t *testing.T) {
			const owners, turns, size = 8, 40, 32 << 10
			r := newRig(t, newFile(t, size), cfg)
			ch := r.channel(unio.ChannelConfig{Depth: 8})
			in, out := r.buffer(size), r.buffer(size)
			turn := make(chan int, 1)
			var wg sync.WaitGroup
			for range owners {
				wg.Go(func() {
					runtime.LockOSThread()
					defer runtime.UnlockOSThread()
					for n := range turn {
						r.step(ch, n, in, out)
						if n == owners*turns {
							close(turn)
							return
						}
						turn <- n + 1
						runtime.Gosched()
					}
				})
			}
			turn <- 0
			wg.Wait()
		})
	}
}

// step is one call on the channel: a post, or a fetch, of a write or a read.
func (r *rig) step(ch *unio.Channel, n int, in, out []byte) {
	var done [8]unio.Completion
	var err error
	switch n % 4 {
	case 0:
		copy(in, noise(len(in)))
		_, err = ch.Post(r.write(0, in))
	case 2:
		_, err = ch.Post(r.read(0, out))
	default:
		_, err = ch.Wait(r.ctx, done[:])
	}
	if err == nil {
		err = done[0].Err
	}
	if err != nil || n%4 == 3 && !bytes.Equal(in, out) {
		r.Errorf("call %d: %v, or not what was written", n, err)
	}
}

// TestParallelChannels: 64 channels at once, each with its own part of the
// file, verified.
func TestParallelChannels(t *testing.T) {
	for _, cfg := range ways {
		t.Run(cfg.String(), func(t *testing.T) {
			const channels, piece, depth = 64, 4096, 8
			r := newRig(t, newFile(t, channels*piece*depth), cfg)
			var wg sync.WaitGroup
			for i := range channels {
				ch := r.channel(unio.ChannelConfig{Depth: depth})
				in, out := r.buffer(piece*depth), r.buffer(piece*depth)
				base := int64(i * piece * depth)
				wg.Go(func() {
					for round := range 5 {
						copy(in, noise(len(in)))
						if err := exchange(r, ch, base, in, out, piece); err != nil {
							t.Errorf("channel %d, round %d: %v", i, round, err)
							return
						}
					}
				})
			}
			wg.Wait()
		})
	}
}

// exchange writes in, in pieces, and reads it back into out.
func exchange(r *rig, ch *unio.Channel, base int64, in, out []byte, piece int) error {
	for _, q := range []func(off int64, p []byte) unio.Request{r.write, r.read} {
		mem := in
		if q(0, in).Op == unio.OpRead {
			mem = out
		}
		posted := 0
		for at := 0; at < len(mem); at += piece {
			n, err := ch.Post(q(base+int64(at), mem[at:at+piece]))
			if err != nil {
				return err
			}
			posted += n
		}
		var done [16]unio.Completion
		for posted > 0 {
			n, err := ch.Wait(r.ctx, done[:])
			if err != nil {
				return err
			}
			for _, c := range done[:n] {
				if c.Err != nil {
					return c.Err
				}
			}
			posted -= n
		}
	}
	if !bytes.Equal(in, out) {
		return fmt.Errorf("what was read is not what was written")
	}
	return nil
}

// TestChannelsComeAndGo: channels leave nothing behind.
func TestChannelsComeAndGo(t *testing.T) {
	for _, cfg := range []Config{ways[0], ways[3]} {
		r := newRig(t, newFile(t, 1<<20), cfg)
		r.must(r.channel(unio.ChannelConfig{}), r.read(0, make([]byte, 512))) // workers
		files, rings := openFiles(), ringMappings()
		const rounds, at = 100, 20
		for range rounds {
			var chans []*unio.Channel
			for range at {
				chans = append(chans, r.channel(unio.ChannelConfig{Depth: 8}))
			}
			r.must(chans[0], r.read(5, make([]byte, 700)))
			for _, ch := range chans {
				if err := ch.Close(); err != nil {
					t.Fatal(err)
				}
			}
		}
		if n := openFiles(); n > files {
			t.Errorf("%v: %d open files after %d channels, %d before", cfg, n, rounds*at, files)
		}
		if n := ringMappings(); n > rings {
			t.Errorf("%v: %d mappings of rings after %d channels, %d before", cfg, n, rounds*at, rings)
		}
	}
}

// TestChannelMemory: what a channel of depth 128 takes.
func TestChannelMemory(t *testing.T) {
	const channels, depth = 32, 128
	for _, cfg := range []Config{ways[0], ways[2]} {
		r := newRig(t, newFile(t, 1<<20), cfg)
		var before, after runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&before)
		var chans []*unio.Channel
		for range channels {
			chans = append(chans, r.channel(unio.ChannelConfig{Depth: depth}))
		}
		runtime.ReadMemStats(&after)
		per := (after.TotalAlloc - before.TotalAlloc) / channels
		t.Logf("%v: %d bytes of heap for a channel of depth %d", cfg, per, depth)
		if per > 128<<10 {
			t.Errorf("%v: %d bytes of heap for a channel of depth %d", cfg, per, depth)
		}
		runtime.KeepAlive(chans)
	}
}

// TestTooDeep: what the kernel cannot have is refused before it is tried.
func TestTooDeep(t *testing.T) {
	r := newRig(t, newFile(t, 1<<20), ways[0])
	ch := r.channel(unio.ChannelConfig{Depth: maxDepth})
	r.echo(ch, 77, 70_000)
	if _, err := r.dev.NewChannel(unio.ChannelConfig{Depth: maxDepth + 1}); err == nil {
		t.Error("deeper than the device says")
	}
}

// TestHelped: whoever closes a region looks into the queues of sleeping
// owners, who miss nothing by it.
func TestHelped(t *testing.T) {
	for _, cfg := range ways {
		t.Run(cfg.String(), func(t *testing.T) {
			r := newRig(t, newFile(t, 1<<20), cfg)
			ch := r.channel(unio.ChannelConfig{Spin: -1})
			over := make(chan struct{})
			var wg sync.WaitGroup
			wg.Go(func() {
				for {
					select {
					case <-over:
						return
					default:
					}
					other, err := r.dev.Attach(r.ctx, "", unio.ReadOnly)
					if err == nil {
						err = other.Close()
					}
					if err != nil {
						t.Error(err)
					}
				}
			})
			buf := r.buffer(256 << 10)
			began := time.Now()
			for i := 0; i < 300 && time.Since(began) < time.Second; i++ {
				r.must(ch, r.read(int64(i)*512, buf), unio.Request{Op: unio.OpFlush, Region: r.reg})
			}
			close(over)
			wg.Wait()
		})
	}
}
