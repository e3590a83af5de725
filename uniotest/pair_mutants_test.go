package uniotest

import (
	"bytes"
	"errors"
	"runtime"
	"slices"
	"unsafe"

	"github.com/unio-stack/unio"
)

// pairMutants are the pairs that RunPeers must fail.
var pairMutants = []pairMutant{
	{
		name: "loses a message", foundBy: []string{"Messages"},
		hooks: performing(unio.OpSend, 100, func(_ *pairQueue, op *unio.Op) pairResult {
			return pairResult{op: op, n: op.Size()}
		}),
	},
	{
		name: "doubles a message", foundBy: []string{"Messages"},
		hooks: performing(unio.OpSend, 100, func(q *pairQueue, op *unio.Op) pairResult {
			q.send(op)
			return q.send(op)
		}),
	},
	{
		name: "exchanges two messages", foundBy: []string{"Messages"},
		hooks: performing(unio.OpSend, 20, func(q *pairQueue, op *unio.Op) pairResult {
			res := q.send(op)
			if in := q.end.peer.inbox; len(in) > 1 {
				in[0], in[len(in)-1] = in[len(in)-1], in[0]
			}
			return res
		}),
	},
	{
		name: "gives a message to the newest Recv", foundBy: []string{"Messages"},
		hooks: delivering(1, func(q *pairQueue, p parcel, recv *unio.Op) pairResult {
			if n := len(q.recvs); n > 0 && q.recvs[n-1].Size() >= int64(len(p.data)) {
				recv, q.recvs[n-1] = q.recvs[n-1], recv
			}
			return q.receive(p, recv)
		}),
	},
	{
		name: "cuts a long message in two", foundBy: []string{"Messages"},
		hooks: performing(unio.OpSend, 1, func(q *pairQueue, op *unio.Op) pairResult {
			res := q.send(op)
			to := q.end.peer
			if p := &to.inbox[len(to.inbox)-1]; len(p.data) > 60000 {
				to.inbox = append(to.inbox, parcel{data: bytes.Clone(p.data[60000:])})
				to.inbox[len(to.inbox)-2].data = to.inbox[len(to.inbox)-2].data[:60000]
			}
			return res
		}),
	},
	{
		name: "joins two short messages", foundBy: []string{"Messages", "Backpressure"},
		hooks: performing(unio.OpSend, 1, func(q *pairQueue, op *unio.Op) pairResult {
			if in := q.end.peer.inbox; len(in) > 0 && op.Size() < 10 && in[len(in)-1].flags == 0 && op.Flags == 0 {
				in[len(in)-1].data = gather(in[len(in)-1].data, &op.Request)
				return pairResult{op: op, n: op.Size()}
			}
			return q.send(op)
		}),
	},
	{
		name: "drops the last byte of a message", foundBy: []string{"Messages"},
		hooks: altering(50, func(_ *pairQueue, _ parcel, res *pairResult) { res.n = max(0, res.n-1) }),
	},
	{
		name: "receives the pieces of a vector in the wrong order", foundBy: []string{"Messages"},
		hooks: delivering(1, func(q *pairQueue, p parcel, recv *unio.Op) pairResult {
			cp := *recv
			cp.Vec = slices.Clone(recv.Vec)
			slices.Reverse(cp.Vec)
			res := q.receive(p, &cp)
			res.op = recv
			return res
		}),
	},
	{
		name: "overruns the memory of a Recv", foundBy: []string{"Messages"},
		hooks: altering(20, func(_ *pairQueue, _ parcel, res *pairResult) {
			if last := firstPiece(&res.op.Request); len(last) > 0 {
				*(*byte)(unsafe.Add(unsafe.Pointer(unsafe.SliceData(last)), len(last))) ^= 1
			}
		}),
	},
	{
		name: "fills the rest of a Recv with zeroes", foundBy: []string{"Messages"},
		hooks: delivering(1, func(q *pairQueue, p parcel, recv *unio.Op) pairResult {
			if int64(len(p.data)) < recv.Size() {
				scatter(&recv.Request, make([]byte, recv.Size()))
			}
			return q.receive(p, recv)
		}),
	},
	{
		name: "sends what is in the memory later", foundBy: []string{"Messages", "Duplex", "Silent", "Ownership"},
		hooks: performing(unio.OpSend, 10, func(q *pairQueue, op *unio.Op) pairResult {
			res := q.send(op)
			from := q.end.peer
			p, mem := &from.inbox[len(from.inbox)-1].data, firstPiece(&op.Request)
			late := *p
			later(func() {
				q.end.pair.mu.Lock()
				copy(late, mem)
				q.end.pair.mu.Unlock()
			})
			return res
		}),
	},
	{
		name: "keeps writing to the memory of a Recv", foundBy: []string{"Messages", "Duplex", "Ownership", "Silent"},
		hooks: altering(3, func(_ *pairQueue, _ parcel, res *pairResult) {
			p := firstPiece(&res.op.Request)
			old := bytes.Clone(p)
			later(func() { copy(p, old) })
		}),
	},
	{
		name: "loses a completion", foundBy: []string{"Messages", "Duplex"},
		hooks: func() pairHooks {
			now := everyNth(200)
			return pairHooks{report: func(q *pairQueue, res pairResult) {
				if !now() {
					q.conclude(res)
				}
			}}
		},
	},
	{
		name: "doubles a completion", foundBy: []string{"Messages", "Duplex"},
		hooks: func() pairHooks {
			now := everyNth(200)
			return pairHooks{report: func(q *pairQueue, res pairResult) {
				q.conclude(res)
				if now() {
					q.conclude(res)
				}
			}}
		},
	},
	{
		name: "never wakes who sleeps", foundBy: []string{"Info", "Messages"},
		hooks: func() pairHooks {
			return pairHooks{report: func(q *pairQueue, res pairResult) { q.ended = append(q.ended, res) }}
		},
	},
	{
		name: "turns the bytes of an Immediate round", foundBy: []string{"Immediate", "Duplex"},
		hooks: altering(1, func(_ *pairQueue, _ parcel, res *pairResult) { res.value = res.value<<32 | res.value>>32 }),
	},
	{
		name: "does not say that a message was Immediate", foundBy: []string{"Duplex", "Immediate"},
		hooks: altering(1, func(_ *pairQueue, _ parcel, res *pairResult) { res.flags &^= unio.Immediate }),
	},
	{
		name: "puts Immediate bytes into memory", foundBy: []string{"Duplex", "Immediate"},
		hooks: altering(1, func(_ *pairQueue, p parcel, res *pairResult) {
			if p.flags&unio.Immediate != 0 && res.op.Size() >= 8 {
				scatter(&res.op.Request, make([]byte, 8))
			}
		}),
	},
	{
		name: "does not say that a message was solicited", foundBy: []string{"Duplex", "Solicited"},
		hooks: altering(1, func(_ *pairQueue, _ parcel, res *pairResult) { res.flags &^= unio.Solicited }),
	},
	{
		name: "takes any number of messages that nobody receives", foundBy: []string{"Backpressure"},
		hooks: func() pairHooks { return pairHooks{endless: true} },
	},
	{
		name: "breaks the connection when a message finds no Recv", foundBy: []string{"Messages", "Duplex", "Backpressure"},
		hooks: performing(unio.OpSend, 1, func(q *pairQueue, op *unio.Op) pairResult {
			res := q.send(op)
			if to := q.end.peer; to.queue != nil && len(to.queue.recvs) == 0 && len(to.inbox) > 1 {
				q.end.pair.sever()
			}
			return res
		}),
	},
	{
		name: "takes a message with a Recv that is cancelled", foundBy: []string{"Cancel", "Ownership"},
		hooks: func() pairHooks {
			return pairHooks{cancel: func(q *pairQueue, op *unio.Op) bool {
				i := slices.Index(q.recvs, op)
				if i < 0 || len(q.end.inbox) == 0 {
					return false
				}
				q.recvs = slices.Delete(q.recvs, i, i+1)
				q.end.reuse(q.end.take())
				q.report(pairResult{op: op, err: unio.ErrCanceled})
				return true
			}}
		},
	},
	{
		name:    "receives into a Recv that was cancelled",
		foundBy: []string{"Messages", "Duplex", "Immediate", "Solicited", "Silent", "Cancel", "Ownership"},
		hooks: func() pairHooks {
			return pairHooks{cancel: func(q *pairQueue, op *unio.Op) bool {
				i := slices.Index(q.recvs, op)
				if i < 0 {
					return false
				}
				q.recvs = slices.Delete(q.recvs, i, i+1)
				p := firstPiece(&op.Request)
				later(func() { copy(p, "late") })
				q.report(pairResult{op: op, err: unio.ErrCanceled})
				return true
			}}
		},
	},
	{
		name: "sends half of a message that is cancelled", foundBy: []string{"Ownership", "Close"},
		hooks: func() pairHooks {
			return pairHooks{cancel: func(q *pairQueue, op *unio.Op) bool {
				i := slices.Index(q.ops, op)
				if i < 0 || op.Op != unio.OpSend {
					return false
				}
				q.ops = slices.Delete(q.ops, i, i+1)
				q.send(op)
				to := q.end.peer
				p := &to.inbox[len(to.inbox)-1]
				p.data = p.data[:len(p.data)/2]
				q.report(pairResult{op: op, err: unio.ErrCanceled})
				return true
			}}
		},
	},
	{
		name: "cannot cancel a Recv", foundBy: []string{"Messages"},
		hooks: func() pairHooks {
			return pairHooks{cancel: func(_ *pairQueue, op *unio.Op) bool { return op.Op == unio.OpRecv }}
		},
	},
	{
		name: "cuts off what does not fit into a Recv", foundBy: []string{"TooLong"},
		hooks: delivering(1, func(q *pairQueue, p parcel, recv *unio.Op) pairResult {
			p.data = p.data[:min(int64(len(p.data)), recv.Size())]
			return q.receive(p, recv)
		}),
	},
	{
		name: "writes a neighbour in exposed memory", foundBy: []string{"Memory", "Visibility", "Placement", "History"},
		hooks: performing(unio.OpWrite, 20, func(q *pairQueue, op *unio.Op) pairResult {
			x := op.Handle().(pairHandle).exposure
			if end := op.Offset + op.Size(); end < int64(len(x.bytes)) {
				x.bytes[end] ^= 1
			}
			return q.carryOut(op)
		}),
	},
	{
		name: "acknowledges Writes early", foundBy: []string{"Memory", "Visibility", "Placement"},
		hooks: performing(unio.OpWrite, 5, func(q *pairQueue, op *unio.Op) pairResult {
			x, off, data := op.Handle().(pairHandle).exposure, op.Offset, gather(nil, &op.Request)
			later(func() {
				q.end.pair.mu.Lock()
				copy(x.bytes[off:], data)
				q.end.pair.mu.Unlock()
			})
			return pairResult{op: op, n: op.Size()}
		}),
	},
	{
		name: "lets messages overtake Writes", foundBy: []string{"Placement"},
		hooks: func() pairHooks { return pairHooks{hasty: true} },
	},
	{
		name: "returns the new value of an atomic", foundBy: []string{"Memory", "Counting", "History"},
		hooks: performing(unio.OpFetchAdd, 1, func(q *pairQueue, op *unio.Op) pairResult {
			res := q.carryOut(op)
			res.value += op.Swap
			return res
		}),
	},
	{
		name: "invalidates nothing", foundBy: []string{"Invalidate"},
		hooks: delivering(1, func(q *pairQueue, p parcel, recv *unio.Op) pairResult {
			p.invalidate = nil
			return q.receive(p, recv)
		}),
	},
	{
		name: "invalidates all memory", foundBy: []string{"Invalidate"},
		hooks: altering(1, func(q *pairQueue, p parcel, _ *pairResult) {
			if p.invalidate != nil {
				for _, x := range q.end.exposed {
					x.revoke()
				}
			}
		}),
	},
	{
		name: "goes on reading memory that is withdrawn", foundBy: []string{"Invalidate", "Revocation"},
		hooks: performing(unio.OpRead, 1, func(_ *pairQueue, op *unio.Op) pairResult {
			x := op.Handle().(pairHandle).exposure
			scatter(&op.Request, x.bytes[op.Offset:][:op.Size()])
			return pairResult{op: op, n: op.Size()}
		}),
	},
	{
		name: "withdraws memory a little late", foundBy: []string{"Revocation", "Invalidate"},
		hooks: func() pairHooks {
			return pairHooks{revoke: func(x *exposure) {
				later(func() {
					x.end.pair.mu.Lock()
					x.revoked = true
					x.end.pair.mu.Unlock()
				})
			}}
		},
	},
	{
		name: "ignores the rights of memory", foundBy: []string{"Protection"},
		cfg: PairConfig{Fatal: true},
		hooks: performing(unio.OpWrite, 1, func(q *pairQueue, op *unio.Op) pairResult {
			x := op.Handle().(pairHandle).exposure
			rights := x.rights
			defer func() { x.rights = rights }()
			x.rights = unio.ReadWrite
			return q.carryOut(op)
		}),
	},
	{
		name: "loses what has completed when a channel is closed", foundBy: []string{"Farewell"},
		hooks: func() pairHooks {
			return pairHooks{leave: func(e *pairEnd) bool {
				e.peer.inbox = e.peer.inbox[:0]
				return false
			}}
		},
	},
	{
		name: "does not tell the other side that a channel is closed", foundBy: []string{"TooLong", "Farewell", "Close"},
		hooks: func() pairHooks { return pairHooks{leave: func(*pairEnd) bool { return true }} },
	},
	{
		name: "forgets receives when the connection is cut", foundBy: []string{"Cut", "TooLong"},
		hooks: func() pairHooks {
			return pairHooks{sever: func(e *pairEnd) bool {
				if e.queue != nil {
					e.queue.failSends()
				}
				return true
			}}
		},
	},
	{
		name: "reports another error when the connection is cut", foundBy: []string{"Cut"},
		hooks: func() pairHooks {
			return pairHooks{report: func(q *pairQueue, res pairResult) {
				if errors.Is(res.err, unio.ErrDisconnected) && q.end.pair.broken {
					res.err = unio.ErrMedia
				}
				q.conclude(res)
			}}
		},
	},
	{
		name: "goes on receiving when the connection is cut", foundBy: []string{"Cut", "TooLong"},
		hooks: func() pairHooks {
			return pairHooks{sever: func(e *pairEnd) bool {
				if q := e.queue; q != nil && len(q.recvs) > 0 {
					p := firstPiece(&q.recvs[0].Request)
					later(func() { copy(p, "late") })
				}
				return false
			}}
		},
	},
	{
		name: "changes exposed memory after the connection was cut", foundBy: []string{"Cut"},
		hooks: func() pairHooks {
			return pairHooks{sever: func(e *pairEnd) bool {
				for _, x := range e.exposed {
					later(func() {
						e.pair.mu.Lock()
						x.bytes[77] ^= 1
						e.pair.mu.Unlock()
					})
				}
				return false
			}}
		},
	},
	{
		name: "allocates memory for every message", foundBy: []string{"Allocations"},
		hooks: delivering(1, func(q *pairQueue, p parcel, recv *unio.Op) pairResult {
			p.data = bytes.Clone(append(p.data, 0))[:len(p.data)]
			return q.receive(p, recv)
		}),
	},
	{
		name: "spins instead of sleeping", foundBy: []string{"Idle"},
		hooks: func() pairHooks {
			return pairHooks{sleep: func(q *pairQueue) {
				select {
				case <-q.wake:
				default:
					runtime.Gosched()
				}
			}}
		},
	},
	{
		name: "leaks a goroutine", foundBy: []string{""},
		hooks: func() pairHooks {
			return pairHooks{close: func(*pairQueue) {
				go func() { select {} }()
			}}
		},
	},
}
