package unio

import (
	"context"
	"fmt"
	"testing"
)

// noop ends every operation as soon as it is submitted.
type noop struct{ info Info }

func (p noop) Info() Info                                             { return p.info }
func (p noop) Attach(context.Context, string, Rights) (Handle, error) { return noopHandle{}, nil }
func (p noop) NewQueue(QueueConfig) (Queue, error)                    { return noopQueue{}, nil }
func (p noop) Close() error                                           { return nil }

type noopHandle struct{}

func (noopHandle) Size() int64  { return 1 << 30 }
func (noopHandle) Close() error { return nil }

type noopQueue struct{}

func (noopQueue) Submit(ops []*Op) {
	for _, op := range ops {
		op.Complete(op.Size(), nil)
	}
}
func (noopQueue) Reap()              {}
func (noopQueue) Cancel(*Op)         {}
func (noopQueue) Sleep()             {}
func (noopQueue) Wake()              {}
func (noopQueue) Counters() Counters { return Counters{} }
func (noopQueue) Close() error       { return nil }

func benchChannel(b *testing.B, info Info) (*Channel, *Region) {
	info.Native = AllOps
	dev := NewDevice(noop{info})
	reg, err := dev.Attach(context.Background(), "", ReadWrite)
	if err != nil {
		b.Fatal(err)
	}
	ch, err := dev.NewChannel(ChannelConfig{Depth: 128})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { dev.Close() })
	return ch, reg
}

// What the core itself costs per request: the device does nothing.
func BenchmarkPostPoll(b *testing.B) {
	for _, block := range []int{1, 4096} { // without and with a range to lock
		for _, op := range []Opcode{OpRead, OpWrite} {
			b.Run(fmt.Sprintf("%v/block=%d", op, block), func(b *testing.B) {
				ch, reg := benchChannel(b, Info{BlockSize: block})
				buf, done := make([]byte, 4096), make([]Completion, 1)
				b.ReportAllocs()
				for b.Loop() {
					_, err := ch.Post(Request{Op: op, Region: reg, Offset: 4096, Data: buf})
					if ch.Poll(done) != 1 || err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}

func BenchmarkBatch32(b *testing.B) {
	ch, reg := benchChannel(b, Info{BlockSize: 4096})
	buf := make([]byte, 4096)
	done := make([]Completion, 32)
	reqs := make([]Request, 32)
	for i := range reqs {
		reqs[i] = Request{Op: OpRead, Region: reg, Offset: 4096, Data: buf}
	}
	b.ReportAllocs()
	for b.Loop() {
		_, err := ch.Post(reqs...)
		if ch.Poll(done) != 32 || err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/32, "ns/req")
}

func BenchmarkDo(b *testing.B) {
	ch, reg := benchChannel(b, Info{BlockSize: 4096})
	buf := make([]byte, 4096)
	ctx := context.Background()
	b.ReportAllocs()
	for b.Loop() {
		if err := ch.Do(ctx, Request{Op: OpRead, Region: reg, Offset: 4096, Data: buf}); err != nil {
			b.Fatal(err)
		}
	}
}
