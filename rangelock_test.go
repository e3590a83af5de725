package unio

import (
	"bytes"
	"context"
	"math/rand/v2"
	"sync"
	"testing"
	"time"
)

// Which requests of two channels may run side by side.
func TestRangeLockConflicts(t *testing.T) {
	const write, ragged, word = 0, 1, 2
	make2 := func(r *rig, kind int, off int64) Request {
		switch kind {
		case write:
			return r.req(1, OpWrite, off, 512, 0)
		case ragged:
			return r.req(1, OpWrite, off+1, 100, 0)
		}
		return Request{ID: 1, Op: OpFetchAdd, Region: r.reg, Offset: off, Swap: 1}
	}
	for _, tc := range []struct {
		name          string
		first, second int
		offset        int64
		waits         bool
	}{
		{"write, write", write, write, 0, false},
		{"write, ragged", write, ragged, 0, true},
		{"ragged, write", ragged, write, 0, true},
		{"ragged, ragged", ragged, ragged, 0, true},
		{"ragged, atomic of its block", ragged, word, 504, true},
		{"atomic, ragged of its block", word, ragged, 0, true},
		{"atomic, atomic of its block", word, word, 8, true},
		{"atomic, write", word, write, 0, true},
		{"ragged, ragged of the next block", ragged, ragged, 512, false},
		{"ragged, write of the next block", ragged, write, 512, false},
		{"atomic, atomic of the next block", word, word, 512, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r := newRig(t, Info{BlockSize: 512}, ChannelConfig{})
			b, bq := r.channel(ChannelConfig{})
			mustPost(t, r.ch, make2(r, tc.first, 0))
			mustPost(t, b, make2(r, tc.second, tc.offset))
			if waits := len(bq.ids()) == 0; waits != tc.waits {
				t.Errorf("the second waits: %v, want %v", waits, tc.waits)
			}
			r.q.setMode(modeAsync)
			for r.ch.inFlight() > 0 {
				pollIDs(r.ch)
			}
			wantIDs(t, r.ch)
			bq.setMode(modeAsync)
			for b.inFlight() > 0 {
				pollIDs(b)
			}
		})
	}
}

// A reader is never held up.
func TestRangeLockLeavesReadersAlone(t *testing.T) {
	r := newRig(t, Info{BlockSize: 512}, ChannelConfig{})
	mustPost(t, r.ch, r.req(1, OpWrite, 10, 20, 0), r.req(2, OpRead, 0, 512, 0))
	wantPending(t, r.q, 1, 2)
}

// One goroutine posts on one channel and waits on another for what overlaps.
func TestRangeLockHelpsNeglectedChannels(t *testing.T) {
	for _, tc := range []struct {
		name  string
		left  func(r *rig) Request // on the neglected channel
		right func(r *rig) Request // on the one that is waited on
	}{
		{
			"write, then ragged", func(r *rig) Request { return r.req(1, OpWrite, 0, 1024, 0) },
			func(r *rig) Request { return r.req(2, OpWrite, 500, 100, 0) },
		},
		{
			"ragged, then ragged", func(r *rig) Request { return r.req(1, OpWrite, 1, 1000, 0) },
			func(r *rig) Request { return r.req(2, OpWrite, 500, 100, 0) },
		},
		{
			"ragged, then write", func(r *rig) Request { return r.req(1, OpWrite, 1, 1000, 0) },
			func(r *rig) Request { return r.req(2, OpWrite, 512, 512, 0) },
		},
		{
			"atomic, then atomic", func(r *rig) Request { return Request{ID: 1, Op: OpFetchAdd, Region: r.reg, Swap: 1} },
			func(r *rig) Request { return Request{ID: 2, Op: OpFetchAdd, Region: r.reg, Swap: 1} },
		},
		{
			"behind a fence of the other", func(r *rig) Request { return r.req(1, OpWrite, 1, 1000, Fence) },
			func(r *rig) Request { return r.req(2, OpWrite, 500, 100, 0) },
		},
	} {
		for _, mode := range []fakeMode{modeAsync, modeHeld} {
			t.Run(tc.name, func(t *testing.T) {
				r := newRig(t, Info{BlockSize: 512}, ChannelConfig{Spin: -1})
				b, bq := r.channel(ChannelConfig{Spin: -1})
				bq.setMode(modeAsync)
				r.q.setMode(mode)
				mustPost(t, r.ch, tc.left(r))
				if mode == modeHeld { // the device is slow rather than the owner
					go func() {
						waitFor(t, "the waiter to sleep", func() bool { return bq.sleeps.Load() > 2 })
						r.q.setMode(modeAsync)
					}()
				}
				if err := b.Do(context.Background(), tc.right(r)); err != nil {
					t.Error(err)
				}
				wantIDs(t, r.ch, 1)
			})
		}
	}
}

// A helper that reaps for an owner asleep in Do, or in a Wait for Silent
// requests, leaves nothing that the owner would wake for: it must be woken.
func TestRangeLockHelperWakesTheOwner(t *testing.T) {
	for name, call := range map[string]func(r *rig) error{
		"Do": func(r *rig) error { return r.ch.Do(context.Background(), r.req(1, OpWrite, 0, 1024, 0)) },
		"Wait": func(r *rig) error {
			mustPost(t, r.ch, r.req(1, OpWrite, 0, 1024, Silent))
			_, err := r.ch.Wait(context.Background(), make([]Completion, 1))
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, Info{BlockSize: 512}, ChannelConfig{Spin: -1})
			got := make(chan error)
			go func() { got <- call(r) }()
			waitFor(t, "the owner to sleep", func() bool { return r.q.sleeps.Load() > 0 })
			r.q.finishQuietly() // the helper is faster than the device's signal
			r.ch.insist(r.ch.reapAsHelper)
			if err := <-got; err != nil {
				t.Error(err)
			}
		})
	}
}

// A rewrite gets its turn although writes keep coming to its neighbourhood.
func TestRangeLockRewriteIsNotStarved(t *testing.T) {
	r := newRig(t, Info{BlockSize: 512}, ChannelConfig{Depth: 8})
	b, bq := r.channel(ChannelConfig{})
	bq.setMode(modeInline)
	mustPost(t, r.ch, r.req(1, OpWrite, 4096, 512, 0)) // the same 64 KiB
	mustPost(t, b, r.req(9, OpWrite, 10, 20, 0))
	for id := uint64(2); id < 100; id++ {
		mustPost(t, r.ch, r.req(id, OpWrite, 4096, 512, 0))
		if ids := r.q.ids(); len(ids) > 0 && ids[0] < id {
			r.q.finish(ids[0])
		}
		pollIDs(r.ch)
		if len(pollIDs(b)) > 0 {
			return
		}
	}
	t.Error("98 later writes beside it have overtaken the rewrite")
}

func TestRangeLockStripes(t *testing.T) {
	const unit = 1 << lockUnitShift
	for _, tc := range []struct {
		a, b span
		want bool
	}{
		{span{0, 1}, span{1, 2}, true},
		{span{0, unit}, span{unit, unit + 1}, false},
		{span{0, unit + 1}, span{unit, unit + 1}, true},
		{span{0, 1}, span{lockStripes * unit, lockStripes*unit + 1}, true}, // they wrap
		{span{(lockStripes - 1) * unit, (lockStripes + 1) * unit}, span{0, 1}, true},
		{span{0, 1}, span{(lockStripes - 1) * unit, (lockStripes + 1) * unit}, true},
		{span{unit, unit + 1}, span{(lockStripes - 1) * unit, (lockStripes + 1) * unit}, false},
		{span{0, 2 * lockStripes * unit}, span{5 * unit, 5*unit + 1}, true},
	} {
		if a, b := tc.a.sharesStripe(tc.b), tc.b.sharesStripe(tc.a); a != tc.want || b != tc.want {
			t.Errorf("%v, %v share a stripe: %v and %v, want %v", tc.a, tc.b, a, b, tc.want)
		}
	}
}

// Many channels, each with its own bytes of the same few blocks: nobody's
// bytes are lost, nobody is stuck, and no lock is left.
func TestRangeLockNeighbours(t *testing.T) {
	const channels, rounds = 4, 300
	r := newRig(t, Info{BlockSize: 512}, ChannelConfig{})
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	var wg sync.WaitGroup
	want := make([][]byte, channels)
	for i := range channels {
		ch, q := r.channel(ChannelConfig{Depth: 4})
		q.setMode([]fakeMode{modeAsync, modeInline}[i%2])
		rng := rand.New(rand.NewPCG(seed, uint64(i)))
		wg.Go(func() {
			for range rounds {
				want[i] = make([]byte, 700)
				for k := range want[i] {
					want[i][k] = byte(rng.Uint32())
				}
				err := ch.Do(context.Background(), Request{
					Op: OpWrite, Region: r.reg, Offset: 100 + int64(i)*700, Data: want[i],
				})
				if err != nil {
					t.Error(err)
				}
				if rng.IntN(4) == 0 {
					err = ch.Do(context.Background(), Request{Op: OpFetchAdd, Region: r.reg, Offset: 0, Swap: 1})
				}
				if err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	for i, w := range want {
		if !bytes.Equal(r.mem[100+i*700:][:700], w) {
			t.Errorf("the bytes of channel %d were lost", i)
		}
	}
	l := r.reg.store.locks
	if l.excluders.Load() != 0 || len(l.holders) != 0 || len(l.waiters) != 0 {
		t.Error("ranges are still locked")
	}
	for i := range l.stripes {
		if n := l.stripes[i].Load(); n != 0 {
			t.Fatalf("stripe %d is counted %d times", i, n)
		}
	}
}
