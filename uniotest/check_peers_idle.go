package uniotest

import (
	"context"
	"fmt"
	"math/rand/v2"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/unio-stack/unio"
)

// checkPeersIdle: connections cost no processor time while nothing is sent, also
// while both sides wait for a message; and the message ends the wait.
func checkPeersIdle(d *duo) {
	const quiet = 200 * time.Millisecond
	for range 4 {
		d.connect()
	}
	runtime.GC()
	cpu := processorTime()
	d.together(2, func(i int, _ *rand.Rand) error {
		if i == 0 {
			time.Sleep(quiet)
			used := processorTime() - cpu
			d.Logf("waiting %v for a message used %v of processor time", quiet, used)
			if used > quiet/3 && processorTime() != 0 {
				d.Errorf("waiting %v for a message used %v of processor time", quiet, used)
			}
			return d.send(d.a, unio.Request{Op: unio.OpSend, Data: []byte("wake up")})
		}
		done, err := drive(d.b.Channel, d.cfg.Patience, []unio.Request{{Op: unio.OpRecv, Data: make([]byte, numberedSize)}})
		if err == nil && done[0].Err != nil {
			err = done[0].Err
		}
		return err
	})
	if s := d.b.Channel.Stats().Sleeps; s < 1 || s > 20 {
		d.Errorf("waiting %v for a message slept %d times", quiet, s)
	}
}

// checkPeersAllocations: in steady state a message allocates nothing, on neither
// side, of whatever kind it is; nor does a request to the other's memory.
func checkPeersAllocations(d *duo) {
	if raceDetector {
		d.Skip("not measured: the race detector's runtime allocates")
	}
	if d.peers.Allocates {
		d.Skip("not applicable: PeersConfig.Allocates is set")
	}
	r := d.receiver()
	defer r.stop()
	for _, c := range d.steady(d.sides[first].buffer[:128<<10]) {
		once := func() { d.repeat(r, c) }
		for range 30 {
			once() // into the steady state
		}
		per := testing.AllocsPerRun(100, once)
		for range 2 { // the runtime may have allocated for itself
			per = min(per, testing.AllocsPerRun(100, once))
		}
		if per != 0 {
			d.Errorf("%s: %v allocations for %d requests, want none", c.name, per, len(c.reqs)+len(c.recvs))
		}
	}
}

// A steadyTalk is what one side posts and the other receives, again and again.
type steadyTalk struct {
	steadyCase
	recvs []unio.Request
}

// repeat carries out the talk, without allocating anything itself.
func (d *duo) repeat(r *receiver, c steadyTalk) {
	if n, err := d.b.Channel.Post(c.recvs...); n != len(c.recvs) {
		d.Fatal(n, err)
	}
	r.begin <- len(c.recvs)
	if n, err := d.a.Channel.Post(c.reqs...); n != len(c.reqs) {
		d.Fatal(n, err)
	}
	mine := collect(r.ctx, d.a.Channel, c.completions())
	d.check(<-r.ended)
	d.check(mine)
}

// A receiver is a goroutine that fetches the second side's completions while
// the first fetches its own.
type receiver struct {
	ctx   context.Context
	begin chan int // with how many
	ended chan error
	stop  func()
}

func (d *duo) receiver() *receiver {
	ctx, cancel := context.WithTimeout(context.Background(), 4*d.cfg.Patience)
	r := &receiver{ctx: ctx, begin: make(chan int), ended: make(chan error, 1)}
	var wg sync.WaitGroup
	wg.Go(func() {
		for n := range r.begin {
			r.ended <- collect(ctx, d.b.Channel, n)
		}
	})
	r.stop = func() {
		close(r.begin)
		cancel()
		wg.Wait()
	}
	return r
}

// collect fetches n completions without errors.
func collect(ctx context.Context, ch *unio.Channel, n int) error {
	var done [8]unio.Completion
	for n > 0 {
		k, err := ch.Wait(ctx, done[:])
		if k == 0 || err != nil {
			return fmt.Errorf("%w: %d completions are missing: %w", errLost, n, err)
		}
		for _, c := range done[:k] {
			if c.Err != nil {
				return c.Err
			}
		}
		n -= k
	}
	return nil
}

// steady returns the talks: what a posts from one half of the memory, b receives
// into the other.
func (d *duo) steady(buf []byte) []steadyTalk {
	mine, theirs := buf[:len(buf)/2], buf[len(buf)/2:]
	size := min(4096, d.longest())
	recv := unio.Request{Op: unio.OpRecv, Data: theirs[:size]}
	send := func(p []byte, f unio.Flags) unio.Request { return unio.Request{Op: unio.OpSend, Data: p, Flags: f} }
	var batch, recvs []unio.Request
	for i := range 8 {
		batch = append(batch, send(mine[i*512:][:min(512, size)], 0))
		recvs = append(recvs, unio.Request{Op: unio.OpRecv, Data: theirs[i*512:][:512]})
	}
	vec := unio.Request{Op: unio.OpSend, Vec: [][]byte{mine[:(size+1)/2], mine[4096:][:size/2]}}
	if size < 2 {
		vec.Vec = vec.Vec[:1]
	}
	cases := []steadyTalk{
		{steadyCase{"small message", []unio.Request{send(mine[:min(64, size)], 0)}}, []unio.Request{recv}},
		{steadyCase{"message", []unio.Request{send(mine[:size], 0)}}, []unio.Request{recv}},
		{steadyCase{"empty message", []unio.Request{send(nil, unio.Solicited)}}, []unio.Request{recv}},
		{steadyCase{"batch of messages", batch}, recvs},
		{steadyCase{"message in pieces", []unio.Request{vec}}, []unio.Request{{Op: unio.OpRecv, Vec: [][]byte{theirs[:50], theirs[60 : 60+size]}}}},
		{steadyCase{"silent and fenced messages", []unio.Request{send(mine[:1], unio.Silent), send(mine[:1], unio.Fence)}}, recvs[:2]},
		{steadyCase{"immediate message", []unio.Request{{Op: unio.OpImmediate, Swap: 1}}}, []unio.Request{{Op: unio.OpRecv}}},
	}
	if d.a.Expose != nil {
		_, reg := d.window(d.b, exposedSize, unio.ReadWrite)
		cases = append(
			cases,
			steadyTalk{steadyCase: steadyCase{"read", []unio.Request{{Op: unio.OpRead, Region: reg, Data: mine[:4096]}}}},
			steadyTalk{steadyCase: steadyCase{"fetch-add", []unio.Request{{Op: unio.OpFetchAdd, Region: reg, Swap: 1}}}},
			steadyTalk{steadyCase{"write and message", []unio.Request{{Op: unio.OpWrite, Region: reg, Data: mine[:4096]}, send(mine[:8], 0)}}, []unio.Request{recv}},
		)
	}
	var offered []steadyTalk
	for _, c := range cases {
		if d.ops.Has(c.reqs[0].Op) {
			offered = append(offered, c)
		}
	}
	return offered
}
