package unio

import (
	"context"
	"testing"
)

// Requests cost no allocation in the steady state, whatever their shape.
func TestNoAllocations(t *testing.T) {
	block := Info{BlockSize: 512, MemoryAlign: 512, Native: Ops(OpRead, OpWrite, OpFlush)}
	plain, cancellable := context.Background(), context.Context(nil)
	cancellable, cancel := context.WithCancel(plain)
	defer cancel()
	for _, tc := range []struct {
		name string
		ctx  context.Context
		req  Request
	}{
		{"read", plain, Request{Op: OpRead, Data: aligned(512, 512)}},
		{"cancellable", cancellable, Request{Op: OpRead, Data: aligned(512, 512)}},
		{"write", plain, Request{Op: OpWrite, Data: aligned(512, 512)}},
		{"fence", plain, Request{Op: OpWrite, Flags: Fence, Data: aligned(512, 512)}},
		{"durable", plain, Request{Op: OpWrite, Flags: Durable, Data: aligned(512, 512)}},
		{"Vec", plain, Request{Op: OpWrite, Vec: [][]byte{aligned(512, 512), aligned(512, 512)}}},
		{"long Vec", plain, Request{Op: OpWrite, Vec: [][]byte{aligned(4096, 512), aligned(512, 512)}}},
		{"ragged Vec", plain, Request{Op: OpWrite, Vec: [][]byte{aligned(100, 512), aligned(512, 512)}}},
		{"ragged", plain, Request{Op: OpWrite, Offset: 3, Data: aligned(700, 512)}},
		{"atomic", plain, Request{Op: OpFetchAdd, Offset: 8, Swap: 1, Data: make([]byte, 8)}},
		{"zeroes", plain, Request{Op: OpWriteZeroes, Offset: 8, Length: 4000}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			block.MaxTransfer = 4096
			dev := NewDevice(noop{block})
			defer dev.Close()
			ch, err := dev.NewChannel(ChannelConfig{})
			if err != nil {
				t.Fatal(err)
			}
			q := tc.req
			q.Region = mustAttach(t, dev, ReadWrite)
			done := make([]Completion, 4)
			wantNone := func(call string, f func()) {
				t.Helper()
				if n := testing.AllocsPerRun(200, f); n != 0 {
					t.Errorf("%s: %v allocations per request", call, n)
				}
			}
			wantNone("Post and Poll", func() {
				_, err = ch.Post(q)
				if ch.Poll(done) != 1 || done[0].Err != nil || err != nil {
					t.Fatal(err, done[0].Err)
				}
			})
			wantNone("Post and Wait", func() {
				_, err = ch.Post(q, q)
				if n, _ := ch.Wait(tc.ctx, done); n != 2 || done[0].Err != nil || err != nil {
					t.Fatal(err, done[0].Err)
				}
			})
			wantNone("Do", func() {
				if err := ch.Do(tc.ctx, q); err != nil {
					t.Fatal(err)
				}
			})
			q.Flags |= Silent
			wantNone("Silent", func() {
				if _, err = ch.Post(q, q); err != nil || ch.Poll(done) != 0 {
					t.Fatal(err)
				}
			})
		})
	}
}

// Neither does sleeping, nor waiting for a range that another channel holds.
func TestNoAllocationsAsleep(t *testing.T) {
	dev := NewDevice(&lazy{noop: noop{Info{BlockSize: 512, Native: Ops(OpRead, OpWrite)}}})
	defer dev.Close()
	reg := mustAttach(t, dev, ReadWrite)
	ch, err := dev.NewChannel(ChannelConfig{Spin: -1})
	if err != nil {
		t.Fatal(err)
	}
	ctx := t.Context()
	data, done := make([]byte, 512), make([]Completion, 2)
	allocs := testing.AllocsPerRun(200, func() {
		_, err := ch.Post(Request{Op: OpWrite, Region: reg, Offset: 1, Data: data[:9]},
			Request{Op: OpWrite, Region: reg, Offset: 20, Data: data[:9]}) // waits for the first
		if err != nil {
			t.Fatal(err)
		}
		for n := 0; n < 2; {
			k, err := ch.Wait(ctx, done)
			if err != nil {
				t.Fatal(err)
			}
			n += k
		}
	})
	if allocs != 0 || ch.Stats().Sleeps == 0 {
		t.Errorf("%v allocations, %d sleeps", allocs, ch.Stats().Sleeps)
	}
}

// lazy is a noop that ends operations only after a Sleep.
type lazy struct{ noop }

func (l *lazy) NewQueue(QueueConfig) (Queue, error) { return &lazyQueue{}, nil }

type lazyQueue struct {
	noopQueue
	ops   []*Op
	slept bool
}

func (q *lazyQueue) Submit(ops []*Op) { q.ops = append(q.ops, ops...) }
func (q *lazyQueue) Sleep()           { q.slept = true }

func (q *lazyQueue) Reap() {
	if !q.slept {
		return
	}
	q.slept = false
	for _, op := range q.ops {
		op.Complete(op.Size(), nil)
	}
	q.ops = q.ops[:0]
}
