package workload

import (
	"context"

	"github.com/unio-stack/unio"
)

// A brokenProvider finishes everything at once and moves no bytes. Unless it
// works, it fails all writes.
type brokenProvider struct{ works bool }

func (p brokenProvider) Info() unio.Info {
	return unio.Info{Provider: "broken", Native: unio.Ops(unio.OpRead, unio.OpWrite, unio.OpFlush)}
}

func (p brokenProvider) Attach(context.Context, string, unio.Rights) (unio.Handle, error) {
	return brokenHandle{}, nil
}

func (p brokenProvider) NewQueue(unio.QueueConfig) (unio.Queue, error) { return brokenQueue(p), nil }
func (p brokenProvider) Close() error                                  { return nil }

type brokenHandle struct{}

func (brokenHandle) Size() int64  { return 1 << 30 }
func (brokenHandle) Close() error { return nil }

type brokenQueue struct{ works bool }

func (q brokenQueue) Submit(ops []*unio.Op) {
	for _, op := range ops {
		if op.Op == unio.OpWrite && !q.works {
			op.Complete(0, unio.ErrMedia)
			continue
		}
		op.Complete(op.Size(), nil)
	}
}

func (q brokenQueue) Reap()                   {}
func (q brokenQueue) Cancel(*unio.Op)         {}
func (q brokenQueue) Sleep()                  {}
func (q brokenQueue) Wake()                   {}
func (q brokenQueue) Counters() unio.Counters { return unio.Counters{} }
func (q brokenQueue) Close() error            { return nil }
