package workload

import (
	"context"
	"slices"
	"sync"

	"github.com/unio-stack/unio"
)

// A peerProvider takes messages at once. If it answers, what is sent comes
// back in the oldest Recv, cut by a byte if it cuts.
type peerProvider struct{ answers, cuts bool }

func (p peerProvider) Info() unio.Info {
	return unio.Info{Provider: "peer", Name: "a peer", Native: unio.Ops(unio.OpSend, unio.OpRecv), MaxMessage: 1 << 20}
}

func (p peerProvider) Attach(context.Context, string, unio.Rights) (unio.Handle, error) {
	return brokenHandle{}, nil
}

func (p peerProvider) NewQueue(unio.QueueConfig) (unio.Queue, error) {
	return &peerQueue{peer: p, wake: make(chan struct{}, 1)}, nil
}

func (p peerProvider) Close() error { return nil }

type peerQueue struct {
	peer peerProvider
	wake chan struct{}

	mu    sync.Mutex
	recvs []*unio.Op // guarded by mu
}

func (q *peerQueue) Submit(ops []*unio.Op) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, op := range ops {
		if op.Op == unio.OpRecv {
			q.recvs = append(q.recvs, op)
			continue
		}
		if q.peer.answers {
			back := q.recvs[0]
			q.recvs = q.recvs[1:]
			n := int64(copy(back.Data, op.Data))
			if q.peer.cuts {
				n--
			}
			back.CompleteMessage(n, 0, 0)
		}
		op.Complete(op.Size(), nil)
	}
}

func (q *peerQueue) Cancel(op *unio.Op) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if i := slices.Index(q.recvs, op); i >= 0 {
		q.recvs = slices.Delete(q.recvs, i, i+1)
		op.Complete(0, unio.ErrCanceled)
	}
}

func (q *peerQueue) Reap() {}

func (q *peerQueue) Sleep() { <-q.wake }

func (q *peerQueue) Wake() {
	select {
	case q.wake <- struct{}{}:
	default:
	}
}

func (q *peerQueue) Counters() unio.Counters { return unio.Counters{} }
func (q *peerQueue) Close() error            { return nil }
