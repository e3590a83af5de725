package unio

import (
	"context"
	"encoding/binary"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// A fake is a block device in memory that does what a test tells it, when the
// test tells it, and fails the test when the core breaks the Provider contract.
type fake struct {
	t    testing.TB
	info Info
	mem  []byte // what of the region is backed; beyond it nothing is stored
	size int64  // of the region

	// onAttach, if set, decides what Attach returns.
	onAttach func(ctx context.Context, name string, rights Rights) error
	onQueue  func() error
	onClose  func() // of a handle

	mu      sync.Mutex
	queues  []*fakeQueue // guarded by mu
	handles int          // open; guarded by mu
	named   map[string]int
	closed  bool // guarded by mu
}

const fakeSize = 1 << 20

// newFake returns a fake and the device it is the provider of. The test closes
// the device, or its cleanup does.
func newFake(t testing.TB, info Info) (*fake, *Device) {
	t.Helper()
	info.Name, info.Provider = "fake0", "fake"
	if info.Native == 0 {
		info.Native = Ops(OpRead, OpWrite, OpFlush)
	}
	f := &fake{t: t, info: info, mem: make([]byte, fakeSize), size: fakeSize, named: map[string]int{}}
	dev := NewDevice(f)
	t.Cleanup(func() {
		f.release()
		if err := dev.Close(); err != nil {
			t.Error(err)
		}
		if f.handles != 0 || !f.closed {
			t.Errorf("after Device.Close: %d handles open, provider closed: %v", f.handles, f.closed)
		}
	})
	return f, dev
}

func (f *fake) Info() Info { return f.info }

func (f *fake) Attach(ctx context.Context, name string, rights Rights) (Handle, error) {
	f.mu.Lock()
	hook := f.onAttach
	if f.named[name]++; f.named[name] > 1 {
		f.t.Errorf("Attach of %q while a region of that name is open", name)
	}
	if f.closed {
		f.t.Error("Attach after Close")
	}
	f.mu.Unlock()
	if hook != nil {
		if err := hook(ctx, name, rights); err != nil {
			f.mu.Lock()
			f.named[name]--
			f.mu.Unlock()
			return nil, err
		}
	}
	f.mu.Lock()
	f.handles++
	f.mu.Unlock()
	return &fakeHandle{f: f, name: name}, nil
}

func (f *fake) NewQueue(cfg QueueConfig) (Queue, error) {
	if f.onQueue != nil {
		if err := f.onQueue(); err != nil {
			return nil, err
		}
	}
	q := &fakeQueue{f: f, depth: cfg.Depth, wake: make(chan struct{}, 1), seen: map[*Op]bool{}}
	f.mu.Lock()
	if f.closed {
		f.t.Error("NewQueue after Close")
	}
	f.queues = append(f.queues, q)
	f.mu.Unlock()
	return q, nil
}

func (f *fake) Close() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closed || f.handles != 0 {
		f.t.Errorf("provider closed twice (%v) or with %d handles open", f.closed, f.handles)
	}
	for _, q := range f.queues {
		if !q.isClosed() {
			f.t.Error("provider closed before a queue")
		}
	}
	f.closed = true
	return nil
}

// release lets every queue finish by itself from now on.
func (f *fake) release() {
	f.mu.Lock()
	queues := slices.Clone(f.queues)
	f.mu.Unlock()
	for _, q := range queues {
		q.setMode(modeAsync)
	}
}

type fakeHandle struct {
	f      *fake
	name   string
	closed bool
}

func (h *fakeHandle) Size() int64 { return h.f.size }

func (h *fakeHandle) Close() error {
	if h.f.onClose != nil {
		h.f.onClose()
	}
	h.f.mu.Lock()
	defer h.f.mu.Unlock()
	if h.closed {
		h.f.t.Error("handle closed twice")
	}
	h.closed = true
	h.f.handles--
	h.f.named[h.name]--
	return nil
}

// fakeMode is when a fakeQueue carries operations out.
type fakeMode int

const (
	modeHeld   fakeMode = iota // when the test calls finish
	modeInline                 // in Submit
	modeAsync                  // between Submit and Reap
)

// A fakeQueue is the queue of one channel of a fake.
type fakeQueue struct {
	f     *fake
	depth int
	wake  chan struct{}
	// deaf makes Cancel have no effect.
	deaf bool
	// drowsy, if set, keeps a Sleep that is over from returning until it is closed.
	drowsy chan struct{}
	// short, if set, limits how many bytes an operation moves.
	short func(op *Op) int64
	// fail, if set, makes operations fail.
	fail func(op *Op) error

	mu        sync.Mutex
	mode      fakeMode     // guarded by mu
	pending   []*Op        // submitted; guarded by mu
	done      []fakeDone   // finished, to be reaped; guarded by mu
	seen      map[*Op]bool // in flight; guarded by mu
	log       []string     // what was submitted; guarded by mu
	closed    bool         // guarded by mu
	busy      atomic.Int32
	sleeping  atomic.Int32
	sleeps    atomic.Int32
	submitted int // guarded by mu
}

type fakeDone struct {
	op   *Op
	n    int64
	word uint64
	err  error
}

func (q *fakeQueue) isClosed() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.closed
}

// exclusive fails the test when Submit, Reap and Cancel overlap.
func (q *fakeQueue) exclusive() func() {
	if q.busy.Add(1) != 1 {
		q.f.t.Error("Submit, Reap or Cancel overlap")
	}
	return func() { q.busy.Add(-1) }
}

func (q *fakeQueue) Submit(ops []*Op) {
	defer q.exclusive()()
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.closed {
		q.f.t.Error("Submit after Close")
	}
	for _, op := range ops {
		q.check(op)
		q.seen[op] = true
		q.submitted++
		q.log = append(q.log, fmt.Sprintf("%v %d+%d", op.Op, op.Offset, op.Size()))
		if q.mode == modeInline {
			q.complete(q.carryOut(op))
			continue
		}
		q.pending = append(q.pending, op)
	}
	if len(q.seen) > q.depth {
		q.f.t.Errorf("%d operations in a queue of depth %d", len(q.seen), q.depth)
	}
	if q.mode == modeAsync {
		q.finishAll()
	}
}

// check fails the test when an operation is not what Info permits.
func (q *fakeQueue) check(op *Op) {
	i := op.Region.dev.info
	bad := func(why string) {
		q.f.t.Errorf("operation %v [%d, +%d]: %s", op.Op, op.Offset, op.Size(), why)
	}
	if q.seen[op] {
		bad("submitted while in flight")
	}
	if !i.Native.Has(op.Op) {
		bad("not native")
	}
	if op.Op.isWhole() {
		return // in whatever shape
	}
	if op.Op == OpFlush {
		return
	}
	unit := int64(i.BlockSize)
	if op.Op.hasRange() {
		unit = int64(i.ZeroUnit)
	}
	if !op.Op.isAtomic() && (op.Offset%unit != 0 || op.Size()%unit != 0) {
		bad("misaligned")
	}
	if op.Size() > max(i.MaxTransfer, unit) {
		bad("longer than MaxTransfer")
	}
	if op.Offset < 0 || op.Offset+op.Size() < 0 || op.Offset+op.Size() > q.f.size {
		bad("outside the region")
	}
	if !op.Op.hasData() {
		return
	}
	for _, p := range pieces(op) {
		if addr(p)%uintptr(i.MemoryAlign) != 0 || len(p)%i.BlockSize != 0 {
			bad("misaligned memory")
		}
	}
}

func pieces(op *Op) [][]byte {
	if op.Vec != nil {
		return op.Vec
	}
	return [][]byte{op.Data}
}

// carryOut does the operation.
func (q *fakeQueue) carryOut(op *Op) fakeDone {
	if q.fail != nil {
		if err := q.fail(op); err != nil {
			return fakeDone{op: op, err: err}
		}
	}
	n := op.Size()
	if q.short != nil {
		n = min(n, q.short(op))
	}
	d := fakeDone{op: op, n: n}
	q.f.mu.Lock()
	defer q.f.mu.Unlock()
	switch {
	case op.Op.hasData():
		q.f.move(op, n)
	case op.Op.hasRange():
		clear(q.f.at(op.Offset, n))
	case op.Op.isAtomic():
		d.word = q.f.atomic(op)
	}
	return d
}

// at returns the backed part of [off, off+n).
func (f *fake) at(off, n int64) []byte {
	end := int64(len(f.mem))
	return f.mem[min(off, end):min(off+n, end)]
}

func (f *fake) move(op *Op, n int64) {
	off := op.Offset
	for _, p := range pieces(op) {
		p = p[:min(n, int64(len(p)))]
		if op.Op == OpRead {
			copy(p, f.at(off, int64(len(p))))
		} else {
			copy(f.at(off, int64(len(p))), p)
		}
		off, n = off+int64(len(p)), n-int64(len(p))
	}
}

func (f *fake) atomic(op *Op) uint64 {
	word := f.at(op.Offset, 8)
	old := binary.LittleEndian.Uint64(word)
	if op.Op == OpFetchAdd {
		binary.LittleEndian.PutUint64(word, old+op.Swap)
	} else if old == op.Compare {
		binary.LittleEndian.PutUint64(word, op.Swap)
	}
	return old
}

// complete ends an operation in the core's own context.
func (q *fakeQueue) complete(d fakeDone) {
	if !q.seen[d.op] {
		q.f.t.Error("the fake ends an operation twice")
	}
	delete(q.seen, d.op)
	if d.err == nil && d.op.Op.isAtomic() {
		d.op.CompleteWord(d.word)
		return
	}
	d.op.Complete(d.n, d.err)
}

func (q *fakeQueue) Reap() {
	defer q.exclusive()()
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.closed {
		q.f.t.Error("Reap after Close")
	}
	for _, d := range q.done {
		q.complete(d)
	}
	q.done = q.done[:0]
}

func (q *fakeQueue) Cancel(op *Op) {
	defer q.exclusive()()
	q.mu.Lock()
	defer q.mu.Unlock()
	if !q.seen[op] {
		q.f.t.Error("Cancel of what is not in flight")
	}
	if i := slices.Index(q.pending, op); i >= 0 && !q.deaf {
		q.pending = slices.Delete(q.pending, i, i+1)
		q.done = append(q.done, fakeDone{op: op, err: ErrCanceled})
		q.signal()
	}
}

// Sleep is as strict as the contract permits: it returns only for a completion
// that is yet to be reaped, or a Wake.
func (q *fakeQueue) Sleep() {
	if q.sleeping.Add(1) != 1 {
		q.f.t.Error("two goroutines in Sleep")
	}
	defer q.sleeping.Add(-1)
	q.sleeps.Add(1)
	if q.isClosed() {
		q.f.t.Error("Sleep after Close")
	}
	select {
	case <-q.wake:
	case <-time.After(10 * time.Second):
		q.f.t.Error("asleep for 10 seconds: a wake-up is lost")
	}
	if q.drowsy != nil {
		<-q.drowsy
	}
	if q.isClosed() {
		q.f.t.Error("Close during Sleep")
	}
}

func (q *fakeQueue) signal() {
	select {
	case q.wake <- struct{}{}:
	default:
	}
}

func (q *fakeQueue) Wake() {
	if q.isClosed() {
		q.f.t.Error("Wake after Close")
	}
	q.signal()
}

func (q *fakeQueue) Counters() Counters { return Counters{Syscalls: 1} }

func (q *fakeQueue) Close() error {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.closed {
		q.f.t.Error("queue closed twice")
	}
	if len(q.seen) != 0 {
		q.f.t.Errorf("queue closed with %d operations in flight", len(q.seen))
	}
	if q.busy.Load() != 0 || q.sleeping.Load() != 0 {
		q.f.t.Error("queue closed while in use")
	}
	q.closed = true
	return nil
}

func (q *fakeQueue) setMode(m fakeMode) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.mode = m; m != modeHeld {
		q.finishAll()
	}
}

// finishAll carries out what is pending, for Reap to find. Called with mu held.
func (q *fakeQueue) finishAll() {
	if len(q.pending) > 0 {
		q.carryOutAll()
		q.signal()
	}
}

func (q *fakeQueue) carryOutAll() {
	for _, op := range q.pending {
		q.done = append(q.done, q.carryOut(op))
	}
	q.pending = q.pending[:0]
}

// finishQuietly carries out what is pending without ending a Sleep.
func (q *fakeQueue) finishQuietly() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.carryOutAll()
}

// finish carries out the pending operation of a request with this ID, for Reap
// to find, and fails the test if there is none.
func (q *fakeQueue) finish(id uint64) {
	q.f.t.Helper()
	q.mu.Lock()
	defer q.mu.Unlock()
	for i, op := range q.pending {
		if op.ID == id {
			q.pending = slices.Delete(q.pending, i, i+1)
			q.done = append(q.done, q.carryOut(op))
			q.signal()
			return
		}
	}
	q.f.t.Fatalf("request %d is not in the queue", id)
}

// ids returns the IDs of the requests whose operations are pending.
func (q *fakeQueue) ids() []uint64 {
	q.mu.Lock()
	defer q.mu.Unlock()
	out := []uint64{}
	for _, op := range q.pending {
		out = append(out, op.ID)
	}
	return out
}

// takeLog returns what was submitted since the last call.
func (q *fakeQueue) takeLog() []string {
	q.mu.Lock()
	defer q.mu.Unlock()
	l := q.log
	q.log = nil
	return l
}

// A rig is one channel of a fake with one region.
type rig struct {
	*fake
	dev *Device
	reg *Region
	ch  *Channel
	q   *fakeQueue
}

func newRig(t testing.TB, info Info, cfg ChannelConfig) *rig {
	t.Helper()
	f, dev := newFake(t, info)
	r := &rig{fake: f, dev: dev, reg: mustAttach(t, dev, ReadWrite)}
	r.ch, r.q = r.channel(cfg)
	return r
}

// channel opens one more channel.
func (r *rig) channel(cfg ChannelConfig) (*Channel, *fakeQueue) {
	r.t.Helper()
	ch, err := r.dev.NewChannel(cfg)
	if err != nil {
		r.t.Fatal(err)
	}
	return ch, ch.q.(*fakeQueue)
}

func mustAttach(t testing.TB, dev *Device, rights Rights) *Region {
	t.Helper()
	reg, err := dev.Attach(context.Background(), "", rights)
	if err != nil {
		t.Fatal(err)
	}
	return reg
}

// req returns a request of n bytes at off.
func (r *rig) req(id uint64, op Opcode, off int64, n int, flags Flags) Request {
	q := Request{ID: id, Op: op, Region: r.reg, Offset: off, Flags: flags}
	if op.hasData() {
		q.Data = aligned(n, 4096)
	} else if op.hasRange() {
		q.Length = int64(n)
	}
	return q
}

// aligned returns n bytes at a multiple of align.
func aligned(n, align int) []byte {
	b := make([]byte, n+align)
	skip := -addr(b) & uintptr(align-1)
	return b[skip : int(skip)+n : int(skip)+n]
}

func mustPost(t testing.TB, ch *Channel, reqs ...Request) {
	t.Helper()
	if n, err := ch.Post(reqs...); n != len(reqs) || err != nil {
		t.Fatalf("Post: %d of %d, %v", n, len(reqs), err)
	}
}

// pollIDs returns the IDs of the completions that are there.
func pollIDs(ch *Channel) []uint64 {
	done := make([]Completion, 64)
	ids := []uint64{}
	for _, c := range done[:ch.Poll(done)] {
		ids = append(ids, c.ID)
	}
	return ids
}

// wantIDs fails the test unless the completions that are there are these.
func wantIDs(t testing.TB, ch *Channel, want ...uint64) {
	t.Helper()
	got := pollIDs(ch)
	if !slices.Equal(got, append([]uint64{}, want...)) {
		t.Fatalf("completions of %v, want %v", got, want)
	}
}

// wantPending fails the test unless the queue holds the requests of these IDs.
func wantPending(t testing.TB, q *fakeQueue, want ...uint64) {
	t.Helper()
	if got := q.ids(); !slices.Equal(got, append([]uint64{}, want...)) {
		t.Fatalf("in the queue: %v, want %v", got, want)
	}
}

// waitFor waits until what another goroutine does has made cond true.
func waitFor(t testing.TB, what string, cond func() bool) {
	t.Helper()
	deadline := time.Now().Add(10 * time.Second)
	for !cond() {
		if time.Now().After(deadline) {
			t.Fatalf("waited 10 seconds for %s", what)
		}
		time.Sleep(20 * time.Microsecond)
	}
}
