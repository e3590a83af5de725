package uniotest

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/unio-stack/unio"
)

// A rig is what one check works with: a fresh device, its region attached for
// reading and writing, and a source of randomness. What it opens it closes at
// the end of the check.
type rig struct {
	*testing.T
	cfg    Config
	scale  int
	wedged *atomic.Bool
	rng    *rand.Rand // used by the check's own goroutine only
	dev    *unio.Device
	reg    *unio.Region
	info   unio.Info
	ops    unio.OpSet
	areas  *areas
}

// open opens the device. Buffers are made first, so that they are freed last.
func (r *rig) open() {
	r.Helper()
	r.areas = newAreas(r)
	r.use(r.cfg.Open(r.T))
}

// use makes dev the device under test.
func (r *rig) use(dev *unio.Device) {
	r.Helper()
	r.adopt(dev)
	r.dev, r.info = dev, dev.Info()
	r.ops = r.info.Native | r.info.Provided
	r.reg = r.attach(dev, r.rights())
	if r.reg.Size() < Size {
		r.Fatalf("the region has %d bytes; Config.Open must provide at least %d", r.reg.Size(), Size)
	}
}

func (r *rig) rights() unio.Rights {
	if r.info.ReadOnly {
		return unio.ReadOnly
	}
	return unio.ReadWrite
}

// adopt closes dev at the end of the check.
func (r *rig) adopt(dev *unio.Device) {
	r.Cleanup(func() { r.end("Device.Close", dev.Close) })
}

// end calls a closing function, which must return in time and without error.
func (r *rig) end(what string, f func() error) {
	r.Helper()
	if r.wedged.Load() {
		return // it would wait forever
	}
	if err, ok := within(r.cfg.Patience, f); !ok {
		r.wedged.Store(true)
		r.Errorf("%s did not return within %v", what, r.cfg.Patience)
	} else if err != nil {
		r.Errorf("%s: %v", what, err)
	}
}

// within runs f and says whether it returned in time.
func within(limit time.Duration, f func() error) (err error, ok bool) {
	done := make(chan error, 1)
	go func() { done <- f() }()
	timer := time.NewTimer(limit)
	defer timer.Stop()
	select {
	case err := <-done:
		return err, true
	case <-timer.C:
		return nil, false
	}
}

func (r *rig) attach(dev *unio.Device, rights unio.Rights) *unio.Region {
	r.Helper()
	reg, err := dev.Attach(context.Background(), r.cfg.Region, rights)
	if err != nil {
		r.Fatalf("Attach(%q, %v): %v", r.cfg.Region, rights, err)
	}
	return reg
}

func (r *rig) channel(cfg unio.ChannelConfig) *unio.Channel {
	r.Helper()
	ch, err := r.dev.NewChannel(cfg)
	if err != nil {
		r.Fatalf("NewChannel(%+v): %v", cfg, err)
	}
	r.Cleanup(func() { r.end("Channel.Close", ch.Close) })
	return ch
}

// depth returns want, or less where the device has less.
func (r *rig) depth(want int) int { return min(want, r.info.MaxDepth) }

// durable reports whether the device can carry out the mutation with Durable.
func (r *rig) durable(op unio.Opcode) bool {
	return r.info.NativeDurable.Has(op) || r.info.Native.Has(unio.OpFlush)
}

// rounds scales n.
func (r *rig) rounds(n int) int { return max(1, n*r.scale/100) }

// needs ends the check where the device does not offer the operations.
func (r *rig) needs(ops ...unio.Opcode) {
	r.Helper()
	for _, o := range ops {
		if !r.ops.Has(o) {
			r.Skipf("not applicable: the device does not offer %v, which the Unsupported check covers", o)
		}
		if r.info.ReadOnly && o != unio.OpRead && o != unio.OpFlush {
			r.Skipf("not applicable: the device is read-only; the BadInput check attaches it for writing")
		}
	}
}

// run carries out the requests and returns their completions, in their order.
func (r *rig) run(ch *unio.Channel, reqs ...unio.Request) []unio.Completion {
	r.Helper()
	done, err := drive(ch, r.cfg.Patience, reqs)
	r.check(err)
	return done
}

// must carries out the requests, which must succeed.
func (r *rig) must(ch *unio.Channel, reqs ...unio.Request) []unio.Completion {
	r.Helper()
	done, err := succeed(ch, r.cfg.Patience, reqs)
	r.check(err)
	return done
}

// check ends the check if err is not nil.
func (r *rig) check(err error) {
	r.Helper()
	if errors.Is(err, errLost) {
		r.wedged.Store(true)
	}
	if err != nil {
		r.Fatal(err)
	}
}

// drain waits until nothing is in flight and returns the completions.
func (r *rig) drain(ch *unio.Channel) []unio.Completion {
	r.Helper()
	all, err := drain(ch, r.cfg.Patience)
	r.check(err)
	return all
}

// read returns n bytes at off.
func (r *rig) read(ch *unio.Channel, off int64, n int) []byte {
	r.Helper()
	buf := make([]byte, n)
	r.must(ch, unio.Request{Op: unio.OpRead, Region: r.reg, Offset: off, Data: buf})
	return buf
}

// write stores p at off.
func (r *rig) write(ch *unio.Channel, off int64, p []byte) {
	r.Helper()
	r.must(ch, unio.Request{Op: unio.OpWrite, Region: r.reg, Offset: off, Data: p})
}

// together runs n workers at a time, each with its own randomness, and ends
// the check if one of them failed.
func (r *rig) together(n int, worker func(i int, rng *rand.Rand) error) {
	r.Helper()
	errs := make([]error, n)
	var wg sync.WaitGroup
	for i := range n {
		rng := r.fork()
		wg.Go(func() { errs[i] = worker(i, rng) })
	}
	wg.Wait()
	for _, err := range errs {
		r.check(err)
	}
}

// fork returns a source of randomness for another goroutine.
func (r *rig) fork() *rand.Rand { return rand.New(rand.NewPCG(r.rng.Uint64(), r.rng.Uint64())) }
