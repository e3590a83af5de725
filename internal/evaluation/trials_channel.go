package evaluation

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"runtime/pprof"
	"sync"
	"time"

	"github.com/unio-stack/unio"
	"github.com/unio-stack/unio/provider/rdma"
)

func privateTrials() []trial {
	return []trial{
		{
			claim: "memory is reached without a system call",
			tried: "4,096 reads of mem: posted and polled on one thread, whose system calls the kernel counts",
			run: func(ctx context.Context, _ *lab) (string, error) {
				return withSubject(ctx, "mem:?size=1M", unio.ChannelConfig{}, func(s *subject) (string, error) { return s.quiet(ctx, 4096/batch) })
			},
		},
		{
			claim: "a batch for the disk costs one system call",
			tried: fmt.Sprintf("%d reads of a file, direct, given to one Post", batch),
			run: func(ctx context.Context, l *lab) (string, error) {
				return withRing(ctx, l, "", func(s *subject) (string, error) { return s.oneDoorbell(ctx) })
			},
		},
		{
			claim: "the kernel's poller takes requests from the ring without any",
			tried: fmt.Sprintf("%d reads of a file, direct, sqpoll=1, posted and polled while the poller is awake", batch),
			run: func(ctx context.Context, l *lab) (string, error) {
				return withRing(ctx, l, "&sqpoll=1", func(s *subject) (string, error) { return s.quiet(ctx, 1) })
			},
		},
		{
			claim: "a channel that is full, and that nobody polls, does not hold up another",
			tried: "two channels to a target; the first is filled and left alone, the second does 1,000 reads",
			run: func(ctx context.Context, _ *lab) (string, error) {
				return withServed(ctx, func(_ *served, c *subject) (string, error) { return c.besideFull(ctx) })
			},
		},
		{
			claim: "channels at rest use no processor",
			tried: "64 connections to the target, held for 200 ms; the target's CPU clock",
			run:   atRest,
		},
	}
}

// withRing is withSubject on the file by io_uring, and stays on one thread.
func withRing(ctx context.Context, l *lab, options string, f func(s *subject) (string, error)) (string, error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	return withSubject(ctx, "file:"+l.disk+"?direct=on&engine=io_uring"+options, unio.ChannelConfig{}, f)
}

// A tally counts the system calls of this thread: the kernel's way if it can
// be had, and otherwise as the channel counts its own.
type tally struct {
	kernel *calls // nil: not to be had
	ch     *unio.Channel
	before int64
}

func newTally(ch *unio.Channel) *tally {
	t := &tally{ch: ch}
	t.kernel, _ = countThread()
	t.before = t.sum()
	return t
}

func (t *tally) sum() int64 {
	if t.kernel != nil {
		return t.kernel.sum()
	}
	return t.ch.Stats().Syscalls
}

// taken returns how many there were since the last look. With the kernel's
// counters each look is one itself, which it does not count.
func (t *tally) taken() int64 {
	now := t.sum()
	n := now - t.before
	t.before = now
	if t.kernel != nil {
		n--
	}
	return n
}

func (t *tally) close() {
	if t.kernel != nil {
		t.kernel.close()
	}
}

// rounds is how often something is tried of which the runtime, which may take
// the thread to collect garbage or for another goroutine, can spoil one.
const rounds = 20

// quiet posts and polls so many batches, and wants that no system call is made.
func (s *subject) quiet(ctx context.Context, batches int) (string, error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	reads := s.reads()
	t := newTally(s.ch)
	defer t.close()
	least := int64(-1)
	for range rounds {
		t.taken()
		for range batches {
			if _, err := s.ch.Post(reads...); err != nil {
				return "", err
			}
			if err := s.reap(ctx, len(reads)); err != nil {
				return "", err
			}
		}
		if n := t.taken(); least < 0 || n < least {
			least = n
		}
	}
	return wantCalls(least, 0, batches*len(reads))
}

// wantCalls compares.
func wantCalls(got, want int64, requests int) (string, error) {
	figure := fmt.Sprintf("%d system calls for %d requests", got, requests)
	if got == 1 {
		figure = fmt.Sprintf("1 system call for %d requests", requests)
	}
	if got > want {
		return figure, fmt.Errorf("%s, want %d", figure, want)
	}
	return figure, nil
}

// oneDoorbell counts what Post does for a batch.
func (s *subject) oneDoorbell(ctx context.Context) (string, error) {
	reads := s.reads()
	t := newTally(s.ch)
	defer t.close()
	least := int64(-1)
	for range rounds {
		t.taken()
		if _, err := s.ch.Post(reads...); err != nil {
			return "", err
		}
		n := t.taken()
		if err := s.reap(ctx, len(reads)); err != nil {
			return "", err
		}
		if least < 0 || n < least {
			least = n
		}
	}
	return wantCalls(least, 1, len(reads))
}

// besideFull fills the channel and uses another.
func (s *subject) besideFull(ctx context.Context) (string, error) {
	reads := s.reads()
	full := 0
	for full < s.ch.Depth() {
		n, err := s.ch.Post(reads[:min(len(reads), s.ch.Depth()-full)]...)
		if err != nil {
			return "", err
		}
		full += n
	}
	if _, err := s.ch.Post(reads[0]); !errors.Is(err, unio.ErrFull) {
		return "", fmt.Errorf("the first is not full: %w", err)
	}
	other, err := s.dev.NewChannel(unio.ChannelConfig{})
	if err != nil {
		return "", err
	}
	began := time.Now()
	own := make([]byte, blockSize)
	for i := range 1000 {
		if err := other.Do(ctx, unio.Request{Op: unio.OpRead, Region: s.reg, Offset: int64(i%64) * blockSize, Data: own}); err != nil {
			return "", err
		}
	}
	return fmt.Sprintf("%d wait; 1,000 reads beside them in %v", full, time.Since(began).Round(time.Millisecond)), s.reap(ctx, full)
}

// atRest opens connections and lets them be.
func atRest(ctx context.Context, l *lab) (string, error) {
	if l.noTarget != nil {
		return "", l.noTarget
	}
	const channels, rest = 64, 200 * time.Millisecond
	return withSubject(ctx, l.targetURL+"/memory", unio.ChannelConfig{}, func(s *subject) (string, error) {
		for range channels - 1 {
			if _, err := s.dev.NewChannel(unio.ChannelConfig{}); err != nil {
				return "", err
			}
		}
		time.Sleep(rest / 4) // until what polls on for a while has stopped
		before := processCPU(l.target.pid())
		time.Sleep(rest)
		used := processCPU(l.target.pid()) - before
		figure := fmt.Sprintf("%v of CPU time in %v", used.Round(10*time.Microsecond), rest)
		if used > rest/50 {
			return figure, errors.New(figure + ", want less than 2%")
		}
		return figure, nil
	})
}

func asynchronousTrials() []trial {
	return []trial{
		{
			claim: "Post does not wait for what it posts",
			tried: "a Recv posted before there is a message for it: Post and Poll return, then the peer sends",
			run: func(ctx context.Context, _ *lab) (string, error) {
				return withPair(ctx, func(a, b *rdma.Conn) (string, error) { return postBeforeMessage(ctx, a.Channel(), b.Channel()) })
			},
		},
		{
			claim: "what a channel has no room for is refused at once, not queued",
			tried: "more requests than a channel of depth 8 holds, in one Post",
			run: func(ctx context.Context, _ *lab) (string, error) {
				return withSubject(ctx, "mem:?size=1M", unio.ChannelConfig{Depth: 8}, func(s *subject) (string, error) {
					n, err := s.ch.Post(s.reads()...)
					if n != 8 {
						return "", fmt.Errorf("%d accepted, want 8", n)
					}
					figure, err := refused("the ninth", err, unio.ErrFull)
					return fmt.Sprintf("%d of %d accepted, the next %s", n, batch, figure), err
				})
			},
		},
	}
}

func postBeforeMessage(ctx context.Context, to, from *unio.Channel) (string, error) {
	var done [1]unio.Completion
	data := make([]byte, 8)
	began := time.Now()
	if _, err := to.Post(unio.Request{Op: unio.OpRecv, Data: data}); err != nil {
		return "", err
	}
	took := time.Since(began)
	if n := to.Poll(done[:]); n != 0 {
		return "", errors.New("it was complete before there was a message")
	}
	if err := from.Do(ctx, unio.Request{Op: unio.OpSend, Data: []byte("message!")}); err != nil {
		return "", err
	}
	n, err := to.Wait(ctx, done[:])
	switch {
	case err != nil:
		return "", err
	case n != 1 || done[0].Err != nil || string(data) != "message!":
		return "", fmt.Errorf("%d completions, error %v, data %q", n, done[0].Err, data)
	}
	return fmt.Sprintf("Post took %v", took.Round(100*time.Nanosecond)), nil
}

// withPair joins two peers.
func withPair(ctx context.Context, f func(a, b *rdma.Conn) (string, error)) (string, error) {
	l, err := rdma.Listen(ctx, "127.0.0.1:0", rdma.Config{})
	if err != nil {
		return "", err
	}
	defer func() { _ = l.Close() }()
	a, err := rdma.Dial(ctx, l.Addr().String(), rdma.Config{})
	if err != nil {
		return "", err
	}
	defer func() { _ = a.Close() }()
	b, err := l.Accept(ctx)
	if err != nil {
		return "", err
	}
	defer func() { _ = b.Close() }()
	return f(a, b)
}

func polledTrials() []trial {
	return []trial{{
		claim: "completions of the disk are reaped without a system call",
		tried: fmt.Sprintf("%d reads of a file, direct: polled until all have come", batch),
		run: func(ctx context.Context, l *lab) (string, error) {
			return withRing(ctx, l, "", func(s *subject) (string, error) { return s.polled(ctx) })
		},
	}, {
		claim: "who does not poll sleeps, and holds no thread",
		tried: "64 connections, on each a goroutine in Wait for a message: OS threads that this takes",
		run:   sleepers,
	}}
}

// polled counts from when the batch was posted until all of it was reaped.
func (s *subject) polled(ctx context.Context) (string, error) {
	reads := s.reads()
	t := newTally(s.ch)
	defer t.close()
	least := int64(-1)
	for range rounds {
		if _, err := s.ch.Post(reads...); err != nil {
			return "", err
		}
		t.taken()
		if err := s.reap(ctx, len(reads)); err != nil {
			return "", err
		}
		if n := t.taken(); least < 0 || n < least {
			least = n
		}
	}
	return wantCalls(least, 0, len(reads))
}

// sleepers has goroutines wait on channels, and counts threads.
func sleepers(ctx context.Context, _ *lab) (string, error) {
	const many, most = 64, 8
	l, err := rdma.Listen(ctx, "127.0.0.1:0", rdma.Config{})
	if err != nil {
		return "", err
	}
	defer func() { _ = l.Close() }()
	waiting, stop := context.WithCancel(ctx)
	var all sync.WaitGroup
	defer all.Wait()
	defer stop()
	domain := rdma.NewDomain()
	threads := pprof.Lookup("threadcreate")
	before := threads.Count()
	for range many {
		c, err := rdma.Dial(ctx, l.Addr().String(), rdma.Config{Domain: domain})
		if err != nil {
			return "", err
		}
		defer func() { _ = c.Close() }()
		if _, err := c.Channel().Post(unio.Request{Op: unio.OpRecv, Data: make([]byte, 8)}); err != nil {
			return "", err
		}
		all.Go(func() { _, _ = c.Channel().Wait(waiting, make([]unio.Completion, 1)) }) // until stop
	}
	time.Sleep(50 * time.Millisecond) // until they have polled for as long as they do
	n := threads.Count() - before
	figure := fmt.Sprintf("%d threads more for %d sleepers", n, many)
	if n > most {
		return figure, fmt.Errorf("%s, want at most %d", figure, most)
	}
	return figure, nil
}
