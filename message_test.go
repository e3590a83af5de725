package unio

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// A postbox is a device between peers that does nothing by itself: a test ends
// what was submitted, when and as it likes. Its only queue is its own.
type postbox struct {
	t    testing.TB
	info Info
	// deaf makes Cancel have no effect.
	deaf bool

	mu      sync.Mutex
	pending []*Op    // submitted; guarded by mu
	done    []func() // end what Reap finds; guarded by mu
	wake    chan struct{}
}

const postboxLimit = 4096

// newPostbox returns a channel of a postbox with a region, which the test closes.
func newPostbox(t testing.TB, info Info, depth int) (*postbox, *Channel, *Region) {
	t.Helper()
	info.Name, info.Provider = "postbox", "post"
	if info.Native == 0 {
		info.Native = Ops(OpRead, OpWrite) | MessageOps
	}
	if info.MaxMessage == 0 {
		info.MaxMessage = postboxLimit
	}
	b := &postbox{t: t, info: info, wake: make(chan struct{}, 1)}
	dev := NewDevice(b)
	ch, err := dev.NewChannel(ChannelConfig{Depth: depth, Spin: -1})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		b.deaf = false
		if err := dev.Close(); err != nil {
			t.Error(err)
		}
	})
	return b, ch, mustAttach(t, dev, ReadWrite)
}

func (b *postbox) Info() Info { return b.info }
func (b *postbox) Attach(context.Context, string, Rights) (Handle, error) {
	return postboxHandle{}, nil
}
func (b *postbox) NewQueue(QueueConfig) (Queue, error) { return b, nil }
func (b *postbox) Close() error                        { return nil }

type postboxHandle struct{}

func (postboxHandle) Size() int64  { return 1 << 20 }
func (postboxHandle) Close() error { return nil }

func (b *postbox) Submit(ops []*Op) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.pending = append(b.pending, ops...)
}

func (b *postbox) Reap() {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, end := range b.done {
		end()
	}
	b.done = b.done[:0]
}

func (b *postbox) Cancel(op *Op) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if i := slices.Index(b.pending, op); i >= 0 && !b.deaf {
		b.pending = slices.Delete(b.pending, i, i+1)
		op.Complete(0, ErrCanceled)
	}
}

func (b *postbox) Sleep() {
	select {
	case <-b.wake:
	case <-time.After(10 * time.Second):
		b.t.Error("asleep for 10 seconds: a wake-up is lost")
	}
}

func (b *postbox) Wake() {
	select {
	case b.wake <- struct{}{}:
	default:
	}
}

func (b *postbox) Counters() Counters { return Counters{} }

// take returns the pending operation of this ID, which ends as end has it when
// the queue is reaped next.
func (b *postbox) take(id uint64, end func(*Op)) *Op {
	b.t.Helper()
	b.mu.Lock()
	defer b.mu.Unlock()
	for i, op := range b.pending {
		if op.ID == id {
			b.pending = slices.Delete(b.pending, i, i+1)
			b.done = append(b.done, func() { end(op) })
			b.Wake()
			return op
		}
	}
	b.t.Fatalf("request %d is not in the queue", id)
	return nil
}

// finish ends a request in full, fail as it must not, deliver with a message.
func (b *postbox) finish(id uint64) *Op {
	b.t.Helper()
	return b.take(id, func(op *Op) { op.Complete(op.Size(), nil) })
}

func (b *postbox) fail(id uint64, err error) {
	b.t.Helper()
	b.take(id, func(op *Op) { op.Complete(0, err) })
}

func (b *postbox) deliver(id uint64, n int64, flags Flags, value uint64) {
	b.t.Helper()
	b.take(id, func(op *Op) { op.CompleteMessage(n, flags, value) })
}

// wantHeld fails the test unless the queue holds the requests of these IDs.
func (b *postbox) wantHeld(want ...uint64) {
	b.t.Helper()
	b.mu.Lock()
	defer b.mu.Unlock()
	got := []uint64{}
	for _, op := range b.pending {
		got = append(got, op.ID)
	}
	if !slices.Equal(got, append([]uint64{}, want...)) {
		b.t.Fatalf("in the queue: %v, want %v", got, want)
	}
}

func (b *postbox) holds(n int) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.pending) == n
}

// one returns the only completion that is there.
func one(t testing.TB, ch *Channel) Completion {
	t.Helper()
	done := make([]Completion, 4)
	if n := ch.Poll(done); n != 1 {
		t.Fatalf("%d completions, want 1: %+v", n, done[:n])
	}
	return done[0]
}

// Each message that is refused, with its cause and what the error says.
func TestMessageRefused(t *testing.T) {
	b, ch, reg := newPostbox(t, Info{}, 8)
	_, other := newFake(t, Info{})
	alien := mustAttach(t, other, ReadWrite)
	revoked := mustAttach(t, ch.dev, ReadWrite)
	_ = revoked.Close()
	p := make([]byte, postboxLimit+1)
	long := [][]byte{p[:postboxLimit], p[:1]}
	for _, tc := range []struct {
		name string
		req  Request
		want error
		says string
	}{
		{"recv, fence", Request{Op: OpRecv, Flags: Fence}, ErrInvalid, "no flags fence"},
		{"recv, silent", Request{Op: OpRecv, Flags: Silent, Data: p}, ErrInvalid, "no flags silent"},
		{"recv, durable", Request{Op: OpRecv, Flags: Durable}, ErrInvalid, "no flags durable"},
		{"recv, solicited", Request{Op: OpRecv, Flags: Solicited}, ErrInvalid, "no flags solicited"},
		{"recv, invalidate", Request{Op: OpRecv, Flags: Invalidate, Region: reg}, ErrInvalid, "no flags invalidate"},
		{"recv, immediate", Request{Op: OpRecv, Flags: Immediate}, ErrInvalid, "no flags immediate"},
		{"recv, two flags", Request{Op: OpRecv, Flags: Fence | Silent}, ErrInvalid, "no flags fence|silent"},
		{"recv, a region", Request{Op: OpRecv, Region: reg}, ErrInvalid, "leave Region nil"},
		{"recv, Data and Vec", Request{Op: OpRecv, Data: p, Vec: long}, ErrInvalid, "both"},
		{"recv, empty Vec", Request{Op: OpRecv, Vec: [][]byte{}}, ErrInvalid, "1 to 1024"},
		{"recv, long Vec", Request{Op: OpRecv, Vec: make([][]byte, MaxVec+1)}, ErrInvalid, "1 to 1024"},
		{"recv, empty piece", Request{Op: OpRecv, Vec: [][]byte{p, {}}}, ErrInvalid, "empty piece"},
		{"send, durable", Request{Op: OpSend, Flags: Durable, Data: p[:1]}, ErrInvalid, "no flags durable"},
		{"send, immediate", Request{Op: OpSend, Flags: Immediate}, ErrInvalid, "no flags immediate"},
		{"send, unknown flag", Request{Op: OpSend, Flags: 0x80 | Solicited}, ErrInvalid, "no flags 0x80"},
		{"send, a region", Request{Op: OpSend, Region: reg}, ErrInvalid, "leave Region nil"},
		{"send, Data and Vec", Request{Op: OpSend, Data: p[:1], Vec: long[1:]}, ErrInvalid, "both"},
		{"send, empty Vec", Request{Op: OpSend, Vec: [][]byte{}}, ErrInvalid, "1 to 1024"},
		{"send, long Vec", Request{Op: OpSend, Vec: make([][]byte, MaxVec+1)}, ErrInvalid, "1 to 1024"},
		{"send, empty piece", Request{Op: OpSend, Vec: [][]byte{nil, p[:1]}}, ErrInvalid, "empty piece"},
		{"send, too long", Request{Op: OpSend, Data: p}, ErrOutOfRange, "at most 4096 bytes"},
		{"send, too long in pieces", Request{Op: OpSend, Vec: long}, ErrOutOfRange, "at most 4096 bytes"},
		{"invalidate nothing", Request{Op: OpSend, Flags: Invalidate}, ErrInvalid, "no region to Invalidate"},
		{"invalidate the zero region", Request{Op: OpSend, Flags: Invalidate, Region: &Region{}}, ErrInvalid, "not attached"},
		{"invalidate another's", Request{Op: OpSend, Flags: Invalidate, Region: alien}, ErrInvalid, "another device"},
		{"invalidate what is revoked", Request{Op: OpSend, Flags: Invalidate, Region: revoked}, ErrRevoked, ""},
		{"invalidate, too long", Request{Op: OpSend, Flags: Invalidate, Region: reg, Data: p}, ErrOutOfRange, "at most"},
		{"invalidate, empty piece", Request{Op: OpSend, Flags: Invalidate, Region: reg, Vec: [][]byte{{}}}, ErrInvalid, "empty piece"},
		{"immediate, Data", Request{Op: OpImmediate, Data: p[:8]}, ErrInvalid, "Swap"},
		{"immediate, Vec", Request{Op: OpImmediate, Vec: [][]byte{p[:8]}}, ErrInvalid, "Swap"},
		{"immediate, empty Vec", Request{Op: OpImmediate, Vec: [][]byte{}}, ErrInvalid, "Swap"},
		{"immediate, invalidate", Request{Op: OpImmediate, Flags: Invalidate, Region: reg}, ErrInvalid, "no flags invalidate"},
		{"immediate, immediate", Request{Op: OpImmediate, Flags: Immediate}, ErrInvalid, "no flags immediate"},
		{"immediate, durable", Request{Op: OpImmediate, Flags: Durable}, ErrInvalid, "no flags durable"},
		{"immediate, a region", Request{Op: OpImmediate, Region: reg}, ErrInvalid, "leave Region nil"},
		{"read, solicited", Request{Op: OpRead, Region: reg, Data: p, Flags: Solicited}, ErrInvalid, "no flags solicited"},
		{"write, invalidate", Request{Op: OpWrite, Region: reg, Data: p, Flags: Invalidate}, ErrInvalid, "no flags invalidate"},
		{"write, immediate", Request{Op: OpWrite, Region: reg, Data: p, Flags: Immediate | Fence}, ErrInvalid, "no flags immediate"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			n, err := ch.Post(tc.req)
			wantRefused(t, n, err, &tc.req, tc.want, tc.says)
			if tc.req.Flags != Silent { // which has no effect in Do
				if err := ch.Do(context.Background(), tc.req); !errors.Is(err, tc.want) {
					t.Errorf("Do: %v", err)
				}
			}
			if log := ch.dev.Errors(); !errors.Is(log[len(log)-1].Err, tc.want) {
				t.Error("the device does not remember it")
			}
		})
	}
	if b.wantHeld(); ch.Stats().Posted != 0 {
		t.Error("something was posted")
	}
}

func wantRefused(t *testing.T, n int, err error, r *Request, want error, says string) {
	t.Helper()
	var oe *OpError
	if n != 0 || !errors.Is(err, want) || !errors.As(err, &oe) {
		t.Fatalf("%d, %v, want an OpError that is %q", n, err, want)
	}
	if !strings.Contains(err.Error(), says) {
		t.Errorf("%q does not say %q", err, says)
	}
	if oe.Op != r.Op || oe.Device != "postbox" || oe.Length != r.size() || oe.BadByte != -1 || oe.Layer != LayerCore {
		t.Errorf("%+v", oe)
	}
}

// What a device does not offer is refused before anything else.
func TestMessageUnsupported(t *testing.T) {
	_, ch, _ := newPostbox(t, Info{Native: Ops(OpRead, OpSend, OpRecv)}, 8)
	n, err := ch.Post(Request{Op: OpImmediate, Data: make([]byte, 3)})
	wantRefused(t, n, err, &Request{Op: OpImmediate}, ErrUnsupported, "the device offers read,send,recv")
	r := newRig(t, Info{}, ChannelConfig{})
	for _, op := range []Opcode{OpSend, OpRecv, OpImmediate} {
		if n, err := r.ch.Post(Request{Op: op}); n != 0 || !errors.Is(err, ErrUnsupported) || !errors.Is(err, errors.ErrUnsupported) {
			t.Errorf("%v to a disk: %d, %v", op, n, err)
		}
	}
}

// What lies at the very edge of what is allowed is posted.
func TestMessageAccepted(t *testing.T) {
	b, ch, reg := newPostbox(t, Info{BlockSize: 512, MemoryAlign: 512, MaxTransfer: 512}, 32)
	p := make([]byte, 2*postboxLimit)
	many := make([][]byte, MaxVec)
	for i := range many {
		many[i] = p[i:][:3]
	}
	reqs := []Request{
		{Op: OpSend},
		{Op: OpSend, Data: []byte{}},
		{Op: OpSend, Data: p[1:][:postboxLimit]}, // longer than a transfer, and misaligned
		{Op: OpSend, Vec: [][]byte{p[1:4], p[7:][:postboxLimit-3]}},
		{Op: OpSend, Vec: many},
		{Op: OpSend, Flags: Solicited, Data: p[:1]},
		{Op: OpSend, Flags: Solicited | Invalidate, Region: reg},
		{Op: OpSend, Offset: -5, Length: math.MaxInt64, Compare: 1, Swap: 2}, // which mean nothing
		{Op: OpRecv},
		{Op: OpRecv, Data: p}, // longer than any message
		{Op: OpRecv, Vec: many},
		{Op: OpImmediate, Swap: math.MaxUint64},
		{Op: OpImmediate, Flags: Solicited, Data: []byte{}},
	}
	mustPost(t, ch, reqs...)
	if len(b.pending) != len(reqs) {
		t.Fatalf("%d of %d requests reached the queue", len(b.pending), len(reqs))
	}
	for i, op := range b.pending {
		want := reqs[i]
		if op.Op != want.Op || op.Size() != want.size() || op.Swap != want.Swap || len(op.Vec) != len(want.Vec) {
			t.Errorf("request %d reached the queue as %+v, %d bytes", i, op.Request, op.Size())
		}
		if (op.Handle() != nil) != (want.Region != nil) {
			t.Errorf("request %d has handle %v", i, op.Handle())
		}
	}
	if s := ch.Stats(); s.Assisted != 0 || s.BouncedBytes != 0 || s.Doorbells != 1 {
		t.Errorf("messages are carried out as they are, in one batch: %+v", s)
	}
}

// A channel that copies nothing takes messages: they need no alignment.
func TestMessageNoCopy(t *testing.T) {
	b, first, _ := newPostbox(t, Info{BlockSize: 512, MemoryAlign: 512}, 4)
	_ = first.Close()
	ch, err := first.dev.NewChannel(ChannelConfig{NoCopy: true})
	if err != nil {
		t.Fatal(err)
	}
	p := make([]byte, 64)
	mustPost(t, ch, Request{Op: OpSend, ID: 1, Data: p[1:10]}, Request{Op: OpRecv, ID: 2, Data: p[11:20]})
	b.wantHeld(1, 2)
}

// A Recv neither waits for a fence nor holds one back.
func TestRecvIsOutsideFence(t *testing.T) {
	b, ch, reg := newPostbox(t, Info{}, 16)
	p := make([]byte, 8)
	mustPost(t, ch,
		Request{ID: 1, Op: OpRecv},
		Request{ID: 2, Op: OpSend, Flags: Fence}, // nothing but a Recv before it
	)
	b.wantHeld(1, 2)
	mustPost(t, ch,
		Request{ID: 3, Op: OpRead, Region: reg, Data: p, Flags: Fence}, // waits for 2
		Request{ID: 4, Op: OpRecv},
		Request{ID: 5, Op: OpImmediate, Flags: Fence}, // waits for 2 and 3
		Request{ID: 6, Op: OpRecv},
	)
	b.wantHeld(1, 2, 4, 6)
	b.finish(2)
	wantIDs(t, ch, 2)
	b.wantHeld(1, 4, 6, 3)
	b.deliver(4, 0, 0, 0) // one that fences surround
	wantIDs(t, ch, 4)
	b.wantHeld(1, 6, 3)
	b.finish(3)
	wantIDs(t, ch, 3)
	b.wantHeld(1, 6, 5)
	b.finish(5)
	b.deliver(1, 0, 0, 0)
	wantIDs(t, ch, 5, 1)
}

// Receives use up none of what fences need, and give none of it back.
func TestRecvAndManyFences(t *testing.T) {
	const depth = 4
	b, ch, _ := newPostbox(t, Info{}, depth)
	mustPost(t, ch, Request{ID: 1, Op: OpRecv})
	for id := range uint64(10 * depth) {
		mustPost(t, ch, Request{ID: 100 + id, Op: OpSend, Flags: Fence}, Request{ID: 2, Op: OpRecv})
		b.wantHeld(1, 100+id, 2)
		b.deliver(2, 0, 0, 0)
		wantIDs(t, ch, 2)
		b.finish(100 + id)
		wantIDs(t, ch, 100+id)
	}
}

func TestFenceOrdersMessages(t *testing.T) {
	b, ch, reg := newPostbox(t, Info{}, 16)
	p := make([]byte, 8)
	mustPost(t, ch,
		Request{ID: 1, Op: OpWrite, Region: reg, Data: p},
		Request{ID: 2, Op: OpSend, Data: p, Flags: Fence},
		Request{ID: 3, Op: OpSend, Data: p}, // does not wait for the fence
		Request{ID: 4, Op: OpWrite, Region: reg, Data: p, Flags: Fence},
		Request{ID: 5, Op: OpImmediate, Flags: Fence},
	)
	b.wantHeld(1, 3)
	b.finish(1)
	wantIDs(t, ch, 1)
	b.wantHeld(3, 2)
	b.fail(2, ErrDisconnected) // a failure is an end too
	wantIDs(t, ch, 2)
	b.finish(3)
	wantIDs(t, ch, 3)
	b.wantHeld(4)
	b.finish(4)
	wantIDs(t, ch, 4)
	b.wantHeld(5)
}

// A Recv is not held back by Silent requests, nor does it say anything of them.
func TestRecvIsOutsideSilent(t *testing.T) {
	b, ch, _ := newPostbox(t, Info{}, 16)
	mustPost(t, ch,
		Request{ID: 1, Op: OpSend, Flags: Silent},
		Request{ID: 2, Op: OpRecv},
		Request{ID: 3, Op: OpSend},
		Request{ID: 4, Op: OpRecv},
	)
	b.finish(3)
	wantIDs(t, ch) // 1 is before it
	b.deliver(4, 0, 0, 0)
	wantIDs(t, ch, 4)
	b.fail(2, ErrOutOfRange)
	wantIDs(t, ch, 2)
	b.finish(1)
	wantIDs(t, ch, 3)
}

func TestSilentMessages(t *testing.T) {
	b, ch, _ := newPostbox(t, Info{}, 2)
	mustPost(t, ch, Request{ID: 1, Op: OpSend, Flags: Silent}, Request{ID: 2, Op: OpImmediate, Flags: Silent})
	if n, err := ch.Post(Request{ID: 3, Op: OpRecv}); n != 0 || !errors.Is(err, ErrFull) {
		t.Fatalf("a third request on depth 2: %d, %v", n, err)
	}
	b.finish(1)
	mustPost(t, ch, Request{ID: 3, Op: OpRecv}) // Post makes room of what has ended
	b.fail(2, ErrDisconnected)
	if c := one(t, ch); c.ID != 2 || !errors.Is(c.Err, ErrDisconnected) {
		t.Errorf("a Silent message that failed: %+v", c)
	}
	if s := ch.Stats(); s.Posted != 3 || s.Completed != 2 || s.Failed != 1 {
		t.Errorf("%+v", s)
	}
}

// A receive takes a place until its completion has been fetched.
func TestRecvCountsAgainstDepth(t *testing.T) {
	b, ch, _ := newPostbox(t, Info{}, 2)
	if n, err := ch.Post(Request{ID: 1, Op: OpRecv}, Request{ID: 2, Op: OpRecv}, Request{ID: 3, Op: OpSend}); n != 2 || !errors.Is(err, ErrFull) {
		t.Fatalf("three requests on depth 2: %d, %v", n, err)
	}
	b.deliver(1, 0, 0, 0)
	if n, err := ch.Post(Request{ID: 3, Op: OpSend}); n != 0 || !errors.Is(err, ErrFull) {
		t.Fatalf("before its completion is fetched: %d, %v", n, err)
	}
	wantIDs(t, ch, 1)
	mustPost(t, ch, Request{ID: 3, Op: OpSend})
	b.wantHeld(2, 3)
}

// A message shorter than its Recv is a whole message; no more is asked for.
func TestShortMessages(t *testing.T) {
	b, ch, _ := newPostbox(t, Info{BlockSize: 512, MaxTransfer: 512}, 8)
	mustPost(t, ch, Request{ID: 1, Op: OpRecv, Data: make([]byte, 1000)}, Request{ID: 2, Op: OpRecv, Vec: [][]byte{make([]byte, 5), make([]byte, 7)}})
	for _, tc := range []struct {
		id uint64
		n  int64
	}{{1, 7}, {2, 6}} {
		b.deliver(tc.id, tc.n, 0, 0)
		if c := one(t, ch); c.ID != tc.id || c.N != tc.n || c.Err != nil || c.Flags != 0 || c.Value != 0 {
			t.Errorf("%+v, want %d bytes of request %d", c, tc.n, tc.id)
		}
	}
	mustPost(t, ch, Request{ID: 3, Op: OpRecv, Data: make([]byte, 10)})
	b.take(3, func(op *Op) { op.Complete(4, nil) }) // the short form for a message without flags
	if c := one(t, ch); c.N != 4 || c.Err != nil {
		t.Errorf("%+v", c)
	}
	if s := ch.Stats(); s.BytesRead != 17 || s.Assisted != 0 || s.Completed != 3 {
		t.Errorf("%+v", s)
	}
}

// A completion says of what kind the message was, and says it only of a Recv.
func TestMessageCompletions(t *testing.T) {
	b, ch, reg := newPostbox(t, Info{}, 8)
	done := make([]Completion, 1)
	for _, flags := range []Flags{0, Solicited, Invalidate, Immediate, Solicited | Immediate, Solicited | Invalidate} {
		mustPost(t, ch, Request{ID: 9, Op: OpRecv, Data: make([]byte, 8)})
		b.deliver(9, 3, flags, 77)
		done[0] = Completion{Flags: 255, Value: 1, N: 1, Err: ErrBusy}
		if ch.Poll(done) != 1 || done[0] != (Completion{ID: 9, N: 3, Flags: flags, Value: 77}) {
			t.Errorf("%v: %+v", flags, done[0])
		}
	}
	for _, q := range []Request{
		{ID: 9, Op: OpSend, Flags: Solicited | Fence},
		{ID: 9, Op: OpSend, Flags: Invalidate, Region: reg, Data: make([]byte, 5)},
		{ID: 9, Op: OpImmediate, Flags: Solicited, Swap: 5},
		{ID: 9, Op: OpRecv}, // which fails
	} {
		mustPost(t, ch, q)
		want := Completion{ID: 9, N: int64(len(q.Data))}
		if q.Op == OpRecv {
			b.fail(9, ErrDisconnected)
		} else {
			b.finish(9)
		}
		done[0] = Completion{Flags: 255, Value: 1}
		if ch.Poll(done) != 1 || (done[0].Err != nil) != (q.Op == OpRecv) {
			t.Errorf("%v: %+v", q.Op, done[0])
		}
		if done[0].Err = nil; done[0] != want {
			t.Errorf("%v: %+v, want %+v", q.Op, done[0], want)
		}
	}
}

func TestRecvCancelled(t *testing.T) {
	b, ch, _ := newPostbox(t, Info{}, 8)
	mustPost(t, ch, Request{ID: 1, Op: OpRecv}, Request{ID: 2, Op: OpRecv, Data: make([]byte, 9)}, Request{ID: 3, Op: OpRecv})
	ch.Cancel(2)
	c := one(t, ch)
	var oe *OpError
	if c.ID != 2 || c.N != 0 || !errors.Is(c.Err, ErrCanceled) || !errors.As(c.Err, &oe) || oe.Layer != LayerCore || oe.Op != OpRecv || oe.Length != 9 {
		t.Errorf("%+v", c)
	}
	b.wantHeld(1, 3)
	b.deaf = true // it is too late: the message is there
	ch.Cancel(1)
	wantIDs(t, ch)
	b.deliver(1, 0, Solicited, 0)
	if c := one(t, ch); c.ID != 1 || c.Err != nil || c.Flags != Solicited {
		t.Errorf("%+v", c)
	}
	b.deaf = false
	mustPost(t, ch, Request{ID: 4, Op: OpSend, Flags: Fence})
	if err := ch.Close(); err != nil {
		t.Error(err)
	}
	left := pollIDs(ch)
	if slices.Sort(left); !slices.Equal(left, []uint64{3, 4}) {
		t.Errorf("completions of %v after Close", left)
	}
	if s := ch.Stats(); s.Posted != 4 || s.Completed != 4 || s.Failed != 3 {
		t.Errorf("%+v", s)
	}
}

// Errors of messages speak of a length, and of no place in a region.
func TestMessageErrors(t *testing.T) {
	b, ch, reg := newPostbox(t, Info{}, 8)
	known := &OpError{Layer: "ddp", Peer: "there:7471", BadByte: -1, Detail: "the receive has 5 bytes", Err: ErrOutOfRange}
	for _, tc := range []struct {
		req  Request
		err  error
		want string
	}{
		{Request{Op: OpSend, Data: make([]byte, 5)}, ErrDisconnected, "post: send postbox [length 5]: disconnected"},
		{Request{Op: OpRecv, Data: make([]byte, 5)}, known, "ddp: recv postbox [length 5] at there:7471: out of range (the receive has 5 bytes)"},
		{Request{Op: OpImmediate}, ErrDisconnected, "post: immediate postbox: disconnected"},
		{Request{Op: OpSend, Flags: Invalidate, Region: reg}, ErrRevoked, "post: send postbox [length 0]: access revoked"},
	} {
		mustPost(t, ch, tc.req)
		b.fail(0, tc.err)
		c := one(t, ch)
		if c.Err == nil || c.Err.Error() != tc.want {
			t.Errorf("got  %v\nwant %s", c.Err, tc.want)
		}
		if log := ch.dev.Errors(); log[len(log)-1].Err != c.Err {
			t.Error("the device does not remember it")
		}
	}
	report := fmt.Errorf("a peer wrote where it may not: %w", ErrAccess)
	ch.dev.Report(report)
	if log := ch.dev.Errors(); log[len(log)-1].Err != report {
		t.Error("the device does not remember what was reported")
	}
}

func TestMessageStats(t *testing.T) {
	b, ch, _ := newPostbox(t, Info{}, 8)
	p := make([]byte, 100)
	mustPost(t, ch,
		Request{ID: 1, Op: OpSend, Data: p[:10]},
		Request{ID: 2, Op: OpSend, Data: p[:20], Flags: Silent},
		Request{ID: 3, Op: OpImmediate, Swap: 1},
		Request{ID: 4, Op: OpRecv, Data: p},
		Request{ID: 5, Op: OpRecv, Data: p},
		Request{ID: 6, Op: OpSend, Data: p[:30]},
	)
	for id := range uint64(3) {
		b.finish(1 + id)
	}
	b.deliver(4, 40, 0, 0)
	b.fail(5, ErrDisconnected)
	b.fail(6, ErrDisconnected)
	if n := len(pollIDs(ch)); n != 5 {
		t.Errorf("%d completions, want 5", n)
	}
	want := Stats{Posted: 6, Completed: 6, Failed: 2, BytesRead: 40, BytesWritten: 30, Doorbells: 1}
	if s := ch.Stats(); s != want {
		t.Errorf("%+v\nwant %+v", s, want)
	}
}

func TestMessageDo(t *testing.T) {
	b, ch, _ := newPostbox(t, Info{}, 8)
	do := func(ctx context.Context, r Request) chan error {
		t.Helper()
		result := make(chan error, 1)
		go func() { result <- ch.Do(ctx, r) }()
		waitFor(t, "Do to post", func() bool { return b.holds(1) })
		return result
	}
	ctx := context.Background()
	for _, q := range []Request{
		{Op: OpSend, Data: make([]byte, 9), Flags: Silent | Fence}, // Silent has no effect
		{Op: OpImmediate, Flags: Solicited},
		{Op: OpRecv, Data: make([]byte, 9)},
	} {
		result := do(ctx, q)
		if q.Op == OpRecv {
			b.deliver(0, 4, Solicited, 0)
		} else {
			b.finish(0)
		}
		if err := <-result; err != nil {
			t.Errorf("%v: %v", q.Op, err)
		}
		wantIDs(t, ch)
	}
	result := do(ctx, Request{Op: OpSend})
	b.fail(0, ErrDisconnected)
	if err := <-result; !errors.Is(err, ErrDisconnected) {
		t.Errorf("Send on a broken connection: %v", err)
	}
	brief, stop := context.WithTimeout(ctx, time.Millisecond)
	defer stop()
	if err := ch.Do(brief, Request{Op: OpRecv}); !errors.Is(err, ErrTimeout) || !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Recv without a message in time: %v", err)
	}
	b.wantHeld()
	if n := ch.inFlight(); n != 0 {
		t.Errorf("%d in flight", n)
	}
}

// Wait waits for a message, also when all that was sent was Silent.
func TestWaitForRecv(t *testing.T) {
	b, ch, _ := newPostbox(t, Info{}, 8)
	mustPost(t, ch, Request{ID: 1, Op: OpRecv}, Request{ID: 2, Op: OpSend, Flags: Silent})
	got := make(chan []Completion)
	go func() {
		done := make([]Completion, 4)
		n, err := ch.Wait(context.Background(), done)
		if err != nil {
			t.Error(err)
		}
		got <- done[:n]
	}()
	b.finish(2)
	select {
	case done := <-got:
		t.Fatalf("Wait returned %+v with a receive in flight", done)
	case <-time.After(5 * time.Millisecond):
	}
	b.deliver(1, 0, Immediate, 6)
	if done := <-got; len(done) != 1 || done[0] != (Completion{ID: 1, Flags: Immediate, Value: 6}) {
		t.Errorf("%+v", done)
	}
}

// A region is closed only when no message that invalidates it is in flight.
func TestRegionCloseWaitsForInvalidate(t *testing.T) {
	b, ch, reg := newPostbox(t, Info{}, 8)
	mustPost(t, ch, Request{ID: 1, Op: OpSend, Region: reg, Flags: Invalidate})
	closed := make(chan error, 1)
	go func() { closed <- reg.Close() }()
	waitFor(t, "Close to begin", reg.revoked.Load)
	if n, err := ch.Post(Request{ID: 2, Op: OpSend, Region: reg, Flags: Invalidate}); n != 0 || !errors.Is(err, ErrRevoked) {
		t.Errorf("Post after Close: %d, %v", n, err)
	}
	select {
	case err := <-closed:
		t.Fatalf("Close returned %v with the message in flight", err)
	case <-time.After(5 * time.Millisecond):
	}
	b.finish(1)
	if err := <-closed; err != nil {
		t.Error(err)
	}
	wantIDs(t, ch, 1)
}

// What others change cannot be changed in steps.
func TestSharedDeviceComposesNoAtomics(t *testing.T) {
	_, ch, reg := newPostbox(t, Info{Shared: true}, 8)
	if i := ch.dev.Info(); i.Provided != Ops(OpWriteZeroes) {
		t.Errorf("provided: %v", i.Provided)
	}
	for _, op := range []Opcode{OpCompareSwap, OpFetchAdd} {
		if _, err := ch.Post(Request{Op: op, Region: reg}); !errors.Is(err, ErrUnsupported) {
			t.Errorf("%v: %v", op, err)
		}
	}
	if reg.store.locks != nil {
		t.Error("ranges are locked although nothing is rewritten in steps")
	}
}

func TestMessageNames(t *testing.T) {
	for got, want := range map[string]string{
		MessageOps.String():                  "send,recv,immediate",
		(AllOps & MessageOps).String():       "",
		OpImmediate.String():                 "immediate",
		opEnd.String():                       "op(13)",
		(Solicited | Invalidate).String():    "solicited|invalidate",
		(Silent | Immediate | 0x80).String(): "silent|immediate|0x80",
	} {
		if got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

// Messages cost no allocation in the steady state.
func TestMessagesAllocateNothing(t *testing.T) {
	dev := NewDevice(noop{Info{Native: AllOps | MessageOps, MaxMessage: 1 << 20}})
	defer dev.Close()
	ch, err := dev.NewChannel(ChannelConfig{})
	if err != nil {
		t.Fatal(err)
	}
	ctx := t.Context()
	p, done := make([]byte, 512), make([]Completion, 8)
	reqs := []Request{
		{Op: OpRecv, Data: p},
		{Op: OpSend, Data: p},
		{Op: OpSend, Vec: [][]byte{p[:3], p[7:99]}, Flags: Fence},
		{Op: OpSend, Flags: Solicited},
		{Op: OpImmediate, Swap: 4, Flags: Silent},
		{Op: OpImmediate, Swap: 4},
	}
	allocs := testing.AllocsPerRun(200, func() {
		if n, err := ch.Post(reqs...); n != len(reqs) {
			t.Fatal(n, err)
		}
		if n, err := ch.Wait(ctx, done); n != len(reqs)-1 {
			t.Fatal(n, err)
		}
		for i := range reqs {
			if err := ch.Do(ctx, reqs[i]); err != nil {
				t.Fatal(err)
			}
		}
	})
	if allocs != 0 {
		t.Errorf("%v allocations for %d messages", allocs, 2*len(reqs))
	}
}
