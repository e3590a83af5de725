package unio_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"runtime"
	"sync"
	"testing"

	"github.com/unio-stack/unio"
	"go.uber.org/goleak"
)

// A fileDisk is a device in memory for tests of File: it ends operations inside
// Submit or, with async, on a goroutine per queue, a random one first. It can
// be resized, made to fail in a range, and stopped.
type fileDisk struct {
	async  bool
	async2 bool // one operation in four is async
	queues int  // how many may be open; 0 is any number

	mu      sync.Mutex
	cond    sync.Cond
	stopped bool   // nothing is carried out; guarded by mu
	bytes   []byte // guarded by mu
	badFrom int64  // operations that touch [badFrom, badTo) fail; guarded by mu
	badTo   int64
	heldTo  int64 // operations that begin before it are not carried out; guarded by mu
	open    int   // queues; guarded by mu
	begun   int   // asynchronous operations submitted; guarded by mu
}

var errBadRange = errors.New("bad range")

func newFileDisk(size int) *fileDisk {
	d := &fileDisk{bytes: make([]byte, size)}
	d.cond.L = &d.mu
	return d
}

// attach opens the disk, to be closed with the test.
func (d *fileDisk) attach(t testing.TB) *unio.Region {
	t.Helper()
	dev := unio.NewDevice(d)
	reg, err := dev.Attach(context.Background(), "", unio.ReadWrite)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := dev.Close(); err != nil {
			t.Error(err)
		}
	})
	return reg
}

// file opens a File on the disk, to be closed with the test, which then must
// have left no goroutine behind.
func (d *fileDisk) file(t testing.TB, cfg unio.FileConfig) *unio.File {
	t.Helper()
	leaks := goleak.IgnoreCurrent()
	t.Cleanup(func() {
		if err := goleak.Find(leaks); err != nil {
			t.Error(err)
		}
	})
	f := unio.NewFileConfig(d.attach(t), cfg)
	t.Cleanup(func() {
		if err := f.Close(); err != nil {
			t.Error(err)
		}
	})
	return f
}

// stop keeps operations from being carried out until the returned function is called.
func (d *fileDisk) stop() (resume func()) {
	d.mu.Lock()
	d.stopped = true
	d.mu.Unlock()
	return func() {
		d.mu.Lock()
		d.stopped = false
		d.mu.Unlock()
		d.cond.Broadcast()
	}
}

// hold keeps operations that begin before to from being carried out, until
// hold(0).
func (d *fileDisk) hold(to int64) {
	d.mu.Lock()
	d.heldTo = to
	d.mu.Unlock()
	d.cond.Broadcast()
}

func (d *fileDisk) bad(from, to int64) {
	d.mu.Lock()
	d.badFrom, d.badTo = from, to
	d.mu.Unlock()
}

func (d *fileDisk) Info() unio.Info {
	return unio.Info{
		Provider: "test", Name: "dir/disk", MaxDepth: 1024,
		Native: unio.Ops(unio.OpRead, unio.OpWrite, unio.OpFlush),
	}
}

func (d *fileDisk) Attach(context.Context, string, unio.Rights) (unio.Handle, error) { return d, nil }
func (d *fileDisk) Close() error                                                     { return nil }

func (d *fileDisk) Size() int64 {
	d.mu.Lock()
	defer d.mu.Unlock()
	return int64(len(d.bytes))
}

func (d *fileDisk) Resize(_ context.Context, size int64) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.bytes = append(make([]byte, 0, size), d.bytes[:min(size, int64(len(d.bytes)))]...)[:size]
	return nil
}

func (d *fileDisk) NewQueue(unio.QueueConfig) (unio.Queue, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.queues > 0 && d.open == d.queues {
		return nil, errors.New("no more queues")
	}
	d.open++
	q := &fileQueue{disk: d, gone: make(chan struct{}), rng: rand.New(rand.NewPCG(1, uint64(d.open)))}
	q.sleeper.L = &d.mu
	go q.serve()
	return q, nil
}

// execute carries op out. Called with mu held.
func (d *fileDisk) execute(op *unio.Op) (int64, error) {
	if op.Op == unio.OpFlush {
		return 0, nil
	}
	end := op.Offset + op.Size()
	switch {
	case end > int64(len(d.bytes)):
		return 0, unio.ErrOutOfRange
	case op.Offset < d.badTo && end > d.badFrom:
		return max(0, d.badFrom-op.Offset), errBadRange
	case op.Op == unio.OpRead:
		return int64(copy(op.Data, d.bytes[op.Offset:end])), nil
	}
	return int64(copy(d.bytes[op.Offset:end], op.Data)), nil
}

type fileQueue struct {
	disk    *fileDisk
	sleeper sync.Cond
	gone    chan struct{}
	rng     *rand.Rand
	pending []*unio.Op   // guarded by disk.mu
	ended   []fileResult // guarded by disk.mu
	woken   bool         // guarded by disk.mu
	closed  bool         // guarded by disk.mu
}

type fileResult struct {
	op  *unio.Op
	n   int64
	err error
}

// Submit, like that of many devices, also ends what it finds ended.
func (q *fileQueue) Submit(ops []*unio.Op) {
	d := q.disk
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, op := range ops {
		if d.async || d.async2 && q.rng.IntN(4) == 0 || op.Offset < d.heldTo {
			q.pending = append(q.pending, op)
			d.begun++
			d.cond.Broadcast()
		} else {
			op.Complete(d.execute(op))
		}
	}
	q.reap()
}

func (q *fileQueue) serve() {
	d := q.disk
	defer close(q.gone)
	d.mu.Lock()
	defer d.mu.Unlock()
	for {
		i := q.pick()
		for i < 0 {
			if q.closed {
				return
			}
			d.cond.Wait()
			i = q.pick()
		}
		op := q.pending[i]
		q.pending[i] = q.pending[len(q.pending)-1]
		q.pending = q.pending[:len(q.pending)-1]
		n, err := d.execute(op)
		q.end(op, n, err)
	}
}

// pick returns the index of an operation to carry out, or -1. Called with
// disk.mu held.
func (q *fileQueue) pick() int {
	if q.disk.stopped || len(q.pending) == 0 {
		return -1
	}
	first := q.rng.IntN(len(q.pending))
	for i := range q.pending {
		if i = (i + first) % len(q.pending); q.pending[i].Offset >= q.disk.heldTo {
			return i
		}
	}
	return -1
}

// end makes a result reapable. Called with disk.mu held.
func (q *fileQueue) end(op *unio.Op, n int64, err error) {
	q.ended = append(q.ended, fileResult{op, n, err})
	if q.rng.IntN(2) == 0 { // let somebody else reap before the sleeper does
		q.disk.mu.Unlock()
		runtime.Gosched()
		q.disk.mu.Lock()
	}
	q.sleeper.Broadcast()
}

func (q *fileQueue) Reap() {
	q.disk.mu.Lock()
	defer q.disk.mu.Unlock()
	q.reap()
}

func (q *fileQueue) reap() {
	for _, r := range q.ended {
		r.op.Complete(r.n, r.err)
	}
	q.ended = q.ended[:0]
}

func (q *fileQueue) Cancel(op *unio.Op) {
	q.disk.mu.Lock()
	defer q.disk.mu.Unlock()
	for i, p := range q.pending {
		if p == op {
			q.pending = append(q.pending[:i], q.pending[i+1:]...)
			q.end(op, 0, unio.ErrCanceled)
			return
		}
	}
}

// Sleep returns no earlier than it has to.
func (q *fileQueue) Sleep() {
	q.disk.mu.Lock()
	defer q.disk.mu.Unlock()
	for len(q.ended) == 0 && !q.woken {
		q.sleeper.Wait()
	}
	q.woken = false
}

func (q *fileQueue) Wake() {
	q.disk.mu.Lock()
	defer q.disk.mu.Unlock()
	q.woken = true
	q.sleeper.Broadcast()
}

// Counters takes its time, and who asks holds the channel meanwhile.
func (q *fileQueue) Counters() unio.Counters {
	runtime.Gosched()
	return unio.Counters{}
}

func (q *fileQueue) Close() error {
	q.disk.mu.Lock()
	q.closed = true
	q.disk.open--
	q.disk.mu.Unlock()
	q.disk.cond.Broadcast()
	<-q.gone
	return nil
}
