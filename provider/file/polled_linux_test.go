package file

import (
	"context"
	"errors"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"

	"github.com/unio-stack/unio"
)

// TestConformancePolled runs the suite where the disk of the temporary
// directory has poll queues; elsewhere Open must say that it has none.
func TestConformancePolled(t *testing.T) {
	path := newFile(t, 1<<20)
	for _, way := range []IOPoll{IOPollOn, IOPollHybrid} {
		dev, err := Open(context.Background(), path, Config{IOPoll: way})
		if err == nil {
			_ = dev.Close()
			scale(t, 20)
			conform(t, Config{IOPoll: way}, tempDir)
			conform(t, Config{IOPoll: way, SQPoll: true}, tempDir)
			continue
		}
		if !errors.Is(err, unio.ErrUnsupported) || !strings.Contains(err.Error(), "poll queues") {
			t.Errorf("iopoll=%s: %v", way, err)
		}
	}
}

func TestPolledWhereItCannotBe(t *testing.T) {
	_, err := Open(context.Background(), memoryDir(t)+"/disk", Config{IOPoll: IOPollOn, Create: true, Size: 4096})
	if !errors.Is(err, unio.ErrUnsupported) || !strings.Contains(err.Error(), "direct I/O") {
		t.Errorf("%v; want ErrUnsupported and why", err)
	}
}

// newPolledRig opens a sparse file on polled rings, whatever its disk can: a
// hole is read without asking the disk.
func newPolledRig(t *testing.T, cfg Config) *rig {
	t.Helper()
	path := filepath.Join(t.TempDir(), "disk")
	m, err := openMedium(path, Config{Create: true, Sparse: true, Size: 1 << 20, Direct: Required})
	if err != nil {
		t.Fatal(err)
	}
	cfg.IOPoll = IOPollOn
	d := &device{m: m, engine: engine{name: describe(cfg), newQueue: ringOr(ringSetup(cfg), false)}, pool: newPool(m, 0)}
	return newRigOn(t, unio.NewDevice(d))
}

// TestPolledRing: reads are polled for; what a polled ring cannot do is done
// beside it; and nobody sleeps who would not be woken.
func TestPolledRing(t *testing.T) {
	for _, cfg := range []Config{{}, {SQPoll: true}} {
		for _, pin := range []bool{false, true} {
			name := describe(cfg)
			if pin {
				name += " pinned"
			}
			t.Run(name, func(t *testing.T) {
				r := newPolledRig(t, cfg)
				var wg sync.WaitGroup
				wg.Go(func() {
					runtime.LockOSThread()
					defer runtime.UnlockOSThread()
					r.polledWork(pin)
				})
				wg.Wait()
			})
		}
	}
}

func (r *rig) polledWork(pin bool) {
	ch, err := r.dev.NewChannel(unio.ChannelConfig{Depth: 16, Pinned: pin, Spin: -1})
	if err != nil {
		r.Error(err)
		return
	}
	mem := noise(16 * 512)
	for round := range 50 {
		reqs := []unio.Request{
			{Op: unio.OpFlush, Region: r.reg},
			{Op: unio.OpDiscard, Region: r.reg, Length: 5000},
			{Op: unio.OpFlush, Region: r.reg, Flags: unio.Fence},
			r.read(3, mem[:100]),
		}
		for i := range 8 {
			reqs = append(reqs, r.read(int64(i+round)*512, mem[i*512:][:512]))
		}
		if _, err := ch.Post(reqs...); err != nil {
			r.Error(err)
			return
		}
		for left := len(reqs); left > 0; {
			var done [16]unio.Completion
			n, err := ch.Wait(r.ctx, done[:])
			if err != nil {
				r.Errorf("round %d, %d requests are missing: %v", round, left, err)
				return
			}
			for _, c := range done[:n] {
				if c.Err != nil {
					r.Error(c.Err)
				}
			}
			left -= n
		}
	}
	for _, b := range mem[:8*512] {
		if b != 0 {
			r.Error("a hole is not read as zeroes")
			break
		}
	}
	ctx, stop := context.WithCancel(r.ctx)
	stop()
	if err := ch.Do(ctx, unio.Request{Op: unio.OpFlush, Region: r.reg}); err != nil && !errors.Is(err, unio.ErrCanceled) {
		r.Errorf("a cancelled flush: %v", err)
	}
	if _, err := ch.Post(r.read(0, mem[:512]), unio.Request{Op: unio.OpFlush, Region: r.reg}); err != nil {
		r.Error(err)
	}
	if err := ch.Close(); err != nil {
		r.Error(err)
	}
	if n := ch.Poll(make([]unio.Completion, 4)); n != 2 {
		r.Errorf("%d completions after Close, want 2", n)
	}
}

// TestPolledTrial: a trial tells what cannot be polled from what can.
func TestPolledTrial(t *testing.T) {
	m, err := openMedium(newFile(t, 1<<20), Config{Direct: Buffered})
	if err != nil {
		t.Fatal(err)
	}
	defer m.close()
	if err := m.tryRing(ringSetup(Config{IOPoll: IOPollOn})); err == nil || !strings.Contains(err.Error(), "cannot be polled") {
		t.Errorf("buffered: %v", err)
	}
	if err := m.tryRing(ringSetup(Config{})); err != nil {
		t.Errorf("not polled: %v", err)
	}
}
