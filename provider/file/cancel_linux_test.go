package file

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/unio-stack/unio"
	"golang.org/x/sys/unix"
)

var unioDefault unio.ChannelConfig

// A stallGate is an answer of a slowDisk that waits for the test.
type stallGate struct {
	begun   chan fuseCall
	release chan unix.Errno
	over    chan struct{} // closed when nothing waits any more
	letGo   func()        // closes over
}

func newStall() *stallGate {
	g := &stallGate{begun: make(chan fuseCall, 1024), release: make(chan unix.Errno), over: make(chan struct{})}
	g.letGo = sync.OnceFunc(func() { close(g.over) })
	return g
}

// answer waits until the test lets it go, or the kernel gives up.
func (g *stallGate) answer(c fuseCall) unix.Errno {
	g.begun <- c
	select {
	case e := <-g.release:
		return e
	case <-c.interrupted:
		return unix.EINTR
	case <-g.over:
		return 0
	}
}

func (g *stallGate) await(t testing.TB) fuseCall {
	t.Helper()
	select {
	case c := <-g.begun:
		return c
	case <-time.After(patience):
		t.Fatal("the disk was not asked")
	}
	panic("unreachable")
}

func slowRig(t *testing.T, cfg Config) (*rig, *stallGate) {
	s := newSlowDisk(t, 1<<20)
	r := newRig(t, s.path, cfg)
	g := newStall()
	t.Cleanup(g.letGo) // before the device is closed
	s.decide(g.answer)
	return r, g
}

// TestCancelInPool: of what the posix engine holds, the workers' own operations
// run to their end and the others are cancelled.
func TestCancelInPool(t *testing.T) {
	needRoot(t)
	if !inChild(t, "cancel in pool", ownMounts) {
		return
	}
	r, g := slowRig(t, Config{Engine: EnginePosix, Workers: 2, Direct: Required})
	ch := r.channel(unio.ChannelConfig{Depth: 16})
	buf := r.buffer(16 * 4096)
	for i := range 16 {
		q := r.read(int64(i)*4096, buf[i*4096:][:4096])
		q.ID = uint64(i)
		if _, err := ch.Post(q); err != nil {
			t.Fatal(err)
		}
	}
	g.await(t)
	g.await(t)
	ch.CancelAll()
	cancelled := 0
	for cancelled < 14 {
		var done [16]unio.Completion
		n, err := ch.Wait(r.ctx, done[:])
		if err != nil {
			t.Fatalf("%d were cancelled: %v", cancelled, err)
		}
		for _, c := range done[:n] {
			if !errors.Is(c.Err, unio.ErrCanceled) {
				t.Errorf("request %d: %v", c.ID, c.Err)
			}
		}
		cancelled += n
	}
	g.release <- 0
	g.release <- 0
	for _, c := range r.drain(ch) {
		if c.Err != nil {
			t.Errorf("request %d, which had begun: %v", c.ID, c.Err)
		}
	}
}

// TestCancelInRing: what waits for a worker of the ring, and what such a
// worker waits for, ends when it is cancelled; whoever did not ask for it has
// its request done all the same.
func TestCancelInRing(t *testing.T) {
	needRoot(t)
	if !inChild(t, "cancel in ring", ownMounts) {
		return
	}
	for _, cfg := range []Config{{Engine: EngineRing, Direct: Required}, {Engine: EngineRing, Direct: Buffered}, {SQPoll: true, Direct: Required}} {
		t.Run(cfg.String(), func(t *testing.T) {
			r, g := slowRig(t, cfg)
			ch, other := r.channel(unio.ChannelConfig{Depth: 4}), r.channel(unio.ChannelConfig{Depth: 4})
			buf := r.buffer(4 * 65536)
			kept := r.read(3*65536, buf[3*65536:])
			if _, err := other.Post(kept); err != nil {
				t.Fatal(err)
			}
			g.await(t)
			for i := range 3 {
				q := r.read(int64(i)*65536, buf[i*65536:][:65536])
				q.ID = uint64(i)
				if _, err := ch.Post(q); err != nil {
					t.Fatal(err)
				}
			}
			g.await(t) // at least one of them has begun
			ch.CancelAll()
			stopped := 0
			// A file system need not give up what it has begun.
			defer time.AfterFunc(100*time.Millisecond, g.letGo).Stop()
			for _, c := range r.drain(ch) {
				if errors.Is(c.Err, unio.ErrCanceled) {
					stopped++
				} else if c.Err != nil {
					t.Errorf("request %d: %v", c.ID, c.Err)
				}
			}
			if stopped == 0 && cfg.Engine == EngineRing && cfg.Direct == Required {
				t.Error("nothing was cancelled, though the file system gave up")
			}
			g.letGo()
			for _, c := range r.drain(other) {
				if c.Err != nil {
					t.Errorf("another channel's request: %v", c.Err)
				}
			}
		})
	}
}

// TestCloseInFlight: Close returns when the disk lets go of the memory, and
// every request has its completion.
func TestCloseInFlight(t *testing.T) {
	needRoot(t)
	if !inChild(t, "close in flight", ownMounts) {
		return
	}
	for _, cfg := range ways {
		t.Run(cfg.String(), func(t *testing.T) {
			r, g := slowRig(t, cfg)
			ch := r.channel(unio.ChannelConfig{Depth: 8})
			buf := r.buffer(8 * 65536)
			for i := range 8 {
				if _, err := ch.Post(r.read(int64(i)*65536, buf[i*65536:][:65536])); err != nil {
					t.Fatal(err)
				}
			}
			g.await(t)
			g.letGo()
			if err := r.dev.Close(); err != nil {
				t.Error(err)
			}
			var done [16]unio.Completion
			n := ch.Poll(done[:])
			for _, c := range done[:n] {
				if c.Err != nil && !errors.Is(c.Err, unio.ErrCanceled) {
					t.Error(c.Err)
				}
			}
			if n != 8 {
				t.Errorf("%d of 8 completions", n)
			}
		})
	}
}

// TestThreadExit: a goroutine that ends with its thread leaves requests behind,
// which the kernel then cancels by itself; they are done all the same.
func TestThreadExit(t *testing.T) {
	needRoot(t)
	if !inChild(t, "thread exit", ownMounts) {
		return
	}
	const depth = 128 // more than the kernel has workers
	r, g := slowRig(t, Config{Engine: EngineRing, Direct: Required})
	ch := r.channel(unio.ChannelConfig{Depth: depth})
	buf := r.buffer(depth * 4096)
	exited := make(chan int)
	onOtherThread(t, func() {
		for i := range depth {
			if _, err := ch.Post(r.read(int64(i)*4096, buf[i*4096:][:4096])); err != nil {
				t.Error(err)
			}
		}
		g.await(t)
		exited <- unix.Gettid()
	})
	awaitExit(t, <-exited)
	g.letGo()
	all := r.drain(ch)
	for _, c := range all {
		if c.Err != nil {
			t.Error(c.Err)
		}
	}
	if len(all) != depth {
		t.Errorf("%d completions of %d", len(all), depth)
	}
}

// onOtherThread runs f on a thread that ends with it: not the first of the
// process, which never does.
func onOtherThread(t *testing.T, f func()) {
	over := make(chan struct{})
	var wg sync.WaitGroup
	t.Cleanup(func() { close(over); wg.Wait() })
	var try func()
	try = func() {
		runtime.LockOSThread() // and never unlocked
		if unix.Gettid() == unix.Getpid() {
			wg.Go(try)
			<-over
			runtime.UnlockOSThread()
			return
		}
		f()
	}
	wg.Go(try)
}

// awaitExit waits until a thread of this process is on its way out, or gone.
func awaitExit(t *testing.T, tid int) {
	t.Helper()
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(time.Millisecond) {
		call, err := os.ReadFile(fmt.Sprintf("/proc/self/task/%d/syscall", tid))
		if err != nil || strings.HasPrefix(string(call), strconv.Itoa(unix.SYS_EXIT)+" ") {
			return
		}
	}
	t.Fatal("the thread lives on")
}

// TestMediaErrors: what the disk fails, fails with the place and the cause; a
// retry of the flush does not make it good.
func TestMediaErrors(t *testing.T) {
	needRoot(t)
	if !inChild(t, "media errors", ownMounts) {
		return
	}
	for _, cfg := range ways {
		t.Run(cfg.String(), func(t *testing.T) {
			s := newSlowDisk(t, 1<<20)
			r := newRig(t, s.path, cfg)
			ch := r.channel(unio.ChannelConfig{})
			buf := r.buffer(128 << 10)
			s.decide(func(c fuseCall) unix.Errno {
				if c.off+int64(c.n) > 512<<10 || c.op == fuseFsync {
					return unix.EIO
				}
				return 0
			})
			r.must(ch, r.read(0, buf))
			r.wantMedia(ch.Do(r.ctx, r.read(512<<10, buf[:4096])))
			r.wantMedia(ch.Do(r.ctx, r.read(600<<10+5, buf[:100])))
			if cfg.Direct == Required {
				r.wantMedia(ch.Do(r.ctx, r.write(512<<10, buf[:4096])))
				err := ch.Do(r.ctx, r.write(700<<10+5, buf[:100]))
				r.wantMedia(err)
			}
			r.must(ch, r.write(0, buf[:4096]))
			flush := unio.Request{Op: unio.OpFlush, Region: r.reg}
			r.wantMedia(ch.Do(r.ctx, flush))
			s.decide(nil)
			r.wantMedia(ch.Do(r.ctx, flush))
			r.must(ch, r.read(600<<10, buf)) // reads work on
			_ = r.dev.Close()
			again := newRig(t, s.path, cfg)
			again.must(again.channel(unio.ChannelConfig{}), unio.Request{Op: unio.OpFlush, Region: again.reg})
			_ = again.dev.Close()
		})
	}
}

// TestWakePinned: a pinned owner, asleep in its ring, hears of every
// cancellation, whatever it was doing when that came.
func TestWakePinned(t *testing.T) {
	needRoot(t)
	if !inChild(t, "wake pinned", ownMounts) {
		return
	}
	r, g := slowRig(t, Config{Engine: EngineRing, Direct: Required})
	buf := r.buffer(4096)
	over := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		defer close(over)
		ch, err := r.dev.NewChannel(unio.ChannelConfig{Pinned: true, Spin: -1})
		if err != nil {
			t.Error(err)
			return
		}
		defer ch.Close()
		for round := range 300 {
			if _, err := ch.Post(r.read(0, buf)); err != nil {
				t.Error(err)
				return
			}
			for range 3 { // some of no effect, in the way of the one that has
				wg.Go(func() { ch.Cancel(12345) })
			}
			wg.Go(func() {
				g.await(t)
				for range 50 {
					_ = ch.Stats() // of a ring that its owner is in
				}
				ch.CancelAll()
			})
			var done [1]unio.Completion
			if n, err := ch.Wait(r.ctx, done[:]); n != 1 || !errors.Is(done[0].Err, unio.ErrCanceled) {
				t.Errorf("round %d: %d, %v, %v", round, n, err, done[0].Err)
				g.letGo()
				return
			}
		}
	})
	wg.Wait()
	<-over
}

// TestTimeout: Do gives up when its context ends, and says so.
func TestTimeout(t *testing.T) {
	needRoot(t)
	if !inChild(t, "timeout", ownMounts) {
		return
	}
	for _, cfg := range []Config{ways[0], ways[1]} {
		t.Run(cfg.String(), func(t *testing.T) {
			r, g := slowRig(t, cfg)
			ch := r.channel(unio.ChannelConfig{})
			ctx, stop := context.WithTimeout(r.ctx, 20*time.Millisecond)
			defer stop()
			done := make(chan error, 1)
			go func() { done <- ch.Do(ctx, r.read(0, make([]byte, 4096))) }()
			g.await(t)
			var err error
			select {
			case err = <-done: // the kernel gave up
			case <-time.After(100 * time.Millisecond):
				g.letGo() // the file system does not: the memory is in use until then
				err = <-done
			}
			if err != nil && !(errors.Is(err, unio.ErrTimeout) && errors.Is(err, context.DeadlineExceeded)) {
				t.Errorf("%v", err)
			}
		})
	}
}
