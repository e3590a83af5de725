package uniotest

import (
	"encoding/binary"
	"errors"
	"os"
	"runtime"
	"slices"
	"sync"
	"testing"
	"unsafe"

	"github.com/unio-stack/unio"
)

// mutants are the devices that the suite must fail.
var mutants = []mutant{
	{
		name: "loses a completion", foundBy: []string{"Info", "Addressing", "Neighbours", "ExactlyOnce", "Visibility"},
		hooks: reportHook(300, func(q *ramQueue, _ ramResult) {
			q.mu.Lock()
			q.running--
			q.mu.Unlock()
		}),
	},
	{
		name: "doubles a completion", foundBy: []string{"Addressing", "Neighbours", "Depth", "ExactlyOnce"},
		hooks: reportHook(100, func(q *ramQueue, res ramResult) {
			q.end(res)
			q.mu.Lock()
			q.running++
			q.mu.Unlock()
			q.end(res)
		}),
	},
	{
		name: "never wakes who sleeps", foundBy: []string{"Info", "Addressing"},
		hooks: reportHook(1, func(q *ramQueue, res ramResult) {
			q.mu.Lock()
			q.running--
			q.ended = append(q.ended, res)
			q.mu.Unlock()
		}),
	},
	{
		name: "writes a neighbour", foundBy: []string{"Addressing", "Edges", "Neighbours"},
		hooks: executing(unio.OpWrite, 40, func(q *ramQueue, op *unio.Op) ramResult {
			res := q.perform(op)
			q.disk.mu.Lock()
			if end := op.Offset + op.Size(); end < q.disk.cfg.Size {
				q.disk.bytes[end] ^= 1
			}
			q.disk.mu.Unlock()
			return res
		}),
	},
	{
		name: "overruns the memory of a read", foundBy: []string{"Addressing", "Fence", "Ownership"},
		hooks: executing(unio.OpRead, 10, func(q *ramQueue, op *unio.Op) ramResult {
			res := q.perform(op)
			if op.Vec != nil {
				last := op.Vec[len(op.Vec)-1]
				*(*byte)(unsafe.Add(unsafe.Pointer(unsafe.SliceData(last)), len(last))) ^= 1
			}
			return res
		}),
	},
	{
		name: "keeps writing to the memory of a read", foundBy: []string{"Addressing", "Ownership", "Revocation", "Visibility"},
		hooks: executing(unio.OpRead, 3, func(q *ramQueue, op *unio.Op) ramResult {
			p := op.Data
			if op.Vec != nil {
				p = op.Vec[0]
			}
			old := slices.Clone(p)
			later(func() { copy(p, old) })
			return q.perform(op)
		}),
	},
	{
		name: "acknowledges writes early", foundBy: []string{"Addressing", "Edges", "Neighbours", "Ownership", "Silent", "Visibility"},
		hooks: executing(unio.OpWrite, 10, func(q *ramQueue, op *unio.Op) ramResult {
			cp := *op
			later(func() { q.disk.transfer(&cp, cp.Offset, cp.Size()) })
			return ramResult{op: op, n: op.Size()}
		}),
	},
	{
		name: "goes on with what it says is cancelled", foundBy: []string{"Ownership", "ExactlyOnce"},
		hooks: func() ramHooks {
			return ramHooks{cancel: func(q *ramQueue, op *unio.Op) bool {
				q.mu.Lock()
				defer q.mu.Unlock()
				i := slices.Index(q.pending, op)
				if i < 0 || op.Op != unio.OpRead && op.Op != unio.OpWrite {
					return false
				}
				q.pending = slices.Delete(q.pending, i, i+1)
				cp := *op
				later(func() { q.disk.transfer(&cp, cp.Offset, cp.Size()) })
				q.ended = append(q.ended, ramResult{op: op, err: unio.ErrCanceled})
				signal(q.wake)
				return true
			}}
		},
	},
	{
		name: "counts more than it has read", foundBy: []string{"Addressing"},
		hooks: executing(unio.OpRead, 20, func(q *ramQueue, op *unio.Op) ramResult {
			q.disk.transfer(op, op.Offset, op.Size()/2)
			return ramResult{op: op, n: op.Size()}
		}),
	},
	{
		name: "drops the last byte of a write", foundBy: []string{"Addressing", "Neighbours", "Edges"},
		hooks: executing(unio.OpWrite, 20, func(q *ramQueue, op *unio.Op) ramResult {
			q.disk.transfer(op, op.Offset, op.Size()-1)
			return ramResult{op: op, n: op.Size()}
		}),
	},
	{
		name: "exchanges the pieces of a vector", foundBy: []string{"Addressing"},
		hooks: executing(unio.OpWrite, 1, func(q *ramQueue, op *unio.Op) ramResult {
			cp := *op
			cp.Vec = slices.Clone(op.Vec)
			slices.Reverse(cp.Vec)
			q.disk.transfer(&cp, cp.Offset, cp.Size())
			return ramResult{op: op, n: op.Size()}
		}),
	},
	{
		name: "does not discard", foundBy: []string{"Addressing", "Edges"},
		hooks: executing(unio.OpDiscard, 1, func(_ *ramQueue, op *unio.Op) ramResult {
			return ramResult{op: op, n: op.Size()}
		}),
	},
	{
		name: "zeroes too much", foundBy: []string{"Addressing", "Edges", "Neighbours"},
		hooks: executing(unio.OpWriteZeroes, 1, func(q *ramQueue, op *unio.Op) ramResult {
			res := q.perform(op)
			q.disk.mu.Lock()
			clear(q.disk.bytes[op.Offset&^511 : op.Offset])
			q.disk.mu.Unlock()
			return res
		}),
	},
	{
		name: "returns the new value of an atomic", foundBy: []string{"Addressing", "Edges", "Atomics", "Counting"},
		hooks: executing(unio.OpFetchAdd, 1, func(q *ramQueue, op *unio.Op) ramResult {
			res := q.perform(op)
			res.word += op.Swap
			return res
		}),
	},
	{
		name: "adds in two steps", foundBy: []string{"Atomics", "Counting"},
		hooks: executing(unio.OpFetchAdd, 1, func(q *ramQueue, op *unio.Op) ramResult {
			var word [8]byte
			q.disk.move(unio.OpRead, word[:], op.Offset)
			runtime.Gosched()
			old := binary.LittleEndian.Uint64(word[:])
			binary.LittleEndian.PutUint64(word[:], old+op.Swap)
			q.disk.move(unio.OpWrite, word[:], op.Offset)
			return ramResult{op: op, n: 8, word: old}
		}),
	},
	{
		name: "swaps without comparing", foundBy: []string{"Addressing", "Edges", "Atomics"},
		hooks: executing(unio.OpCompareSwap, 1, func(q *ramQueue, op *unio.Op) ramResult {
			var old, word [8]byte
			binary.LittleEndian.PutUint64(word[:], op.Swap)
			q.disk.move(unio.OpRead, old[:], op.Offset)
			q.disk.move(unio.OpWrite, word[:], op.Offset)
			return ramResult{op: op, n: 8, word: binary.LittleEndian.Uint64(old[:])}
		}),
	},
	{
		name: "reads from a stale cache", foundBy: []string{"Addressing", "Edges", "Neighbours", "Ownership", "Visibility"},
		hooks: func() ramHooks {
			var mu sync.Mutex
			caches := map[*ramQueue]*RAMDisk{} // guarded by mu
			return ramHooks{execute: func(q *ramQueue, op *unio.Op) ramResult {
				mu.Lock()
				c := caches[q]
				if c == nil {
					c = &RAMDisk{cfg: q.disk.cfg, bytes: q.disk.Image()}
					caches[q] = c
				}
				mu.Unlock()
				from := &ramQueue{disk: c}
				if op.Op == unio.OpRead {
					return from.perform(op)
				}
				from.perform(op)
				return q.perform(op)
			}}
		},
	},
	{
		name: "fails now and then", foundBy: []string{"Info", "Addressing", "Neighbours", "ExactlyOnce"},
		hooks: executing(unio.OpRead, 200, func(_ *ramQueue, op *unio.Op) ramResult {
			return ramResult{op: op, err: errors.New("no particular reason")}
		}),
	},
	{
		name: "spins instead of sleeping", foundBy: []string{"Idle"},
		hooks: func() ramHooks {
			return ramHooks{sleep: func(q *ramQueue) {
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
		hooks: func() ramHooks {
			return ramHooks{close: func(*ramQueue) {
				go func() { select {} }()
			}}
		},
	},
	{
		name: "leaks a Buffer", foundBy: []string{""},
		hooks: func() ramHooks {
			return ramHooks{close: func(*ramQueue) { _, _ = unio.NewBuffer(4096) }}
		},
	},
	{
		name: "leaks a descriptor", foundBy: []string{""},
		hooks: func() ramHooks {
			var files []*os.File
			return ramHooks{close: func(q *ramQueue) {
				q.disk.mu.Lock()
				defer q.disk.mu.Unlock()
				f, _ := os.Open(os.DevNull)
				files = append(files, f)
			}}
		},
	},
	{
		name: "forgets what was flushed", foundBy: []string{"Crash"},
		change: crashing("flush 1/2 lost", 512),
	},
	{
		name: "tears atomic units", foundBy: []string{"Crash"},
		change: crashing("write torn 64", 512),
	},
	{
		name: "forgets everything when it is closed", foundBy: []string{"Durability"},
		change: func(c *Config) {
			c.Reopen = func(tb testing.TB, _ *unio.Device) *unio.Device { return c.Open(tb) }
		},
	},
}
