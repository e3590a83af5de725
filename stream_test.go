package unio_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/net/nettest"

	"github.com/unio-stack/unio"
	"github.com/unio-stack/unio/uniotest"
)

// twoStreams returns both ends of a stream over a pair, whose devices the test
// closes.
func twoStreams(t testing.TB, pc uniotest.PairConfig, sc unio.StreamConfig) (a, b *unio.Stream, pair *uniotest.Pair) {
	t.Helper()
	pair = uniotest.NewPair(t, pc)
	t.Cleanup(func() {
		for _, p := range []*uniotest.Peer{pair.A, pair.B} {
			if err := p.Device.Close(); err != nil {
				t.Error(err)
			}
		}
	})
	return openStream(t, pair.A, sc), openStream(t, pair.B, sc), pair
}

// openStream makes a stream of a peer's channel, which the test closes.
func openStream(t testing.TB, p *uniotest.Peer, sc unio.StreamConfig) *unio.Stream {
	t.Helper()
	s, err := unio.NewStream(p.Channel, sc)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

// brief is for tests that leave behind what the other end does not read.
var brief = unio.StreamConfig{Linger: 20 * time.Millisecond}

func TestStreamIsAConn(t *testing.T) {
	for name, tc := range map[string]struct {
		pair   uniotest.PairConfig
		stream unio.StreamConfig
	}{
		"default": {},
		"narrow":  {uniotest.PairConfig{Window: 1, Inline: 2}, unio.StreamConfig{Segment: 100, Receives: 1, Sends: 1}},
		"inline":  {uniotest.PairConfig{Window: 64, Inline: 1}, unio.StreamConfig{Segment: 4096, Receives: 3, Sends: 2}},
	} {
		t.Run(name, func(t *testing.T) {
			tc.stream.Linger = brief.Linger
			nettest.TestConn(t, func() (net.Conn, net.Conn, func(), error) {
				pair := uniotest.NewPair(t, tc.pair)
				ends := make([]*unio.Stream, 2)
				for i, p := range []*uniotest.Peer{pair.A, pair.B} {
					var err error
					tc.stream.OnClose = p.Device.Close
					if ends[i], err = unio.NewStream(p.Channel, tc.stream); err != nil {
						return nil, nil, nil, err
					}
				}
				stop := func() {
					_ = ends[0].Close()
					_ = ends[1].Close()
				}
				return ends[0], ends[1], stop, nil
			})
		})
	}
}

// counted is a source of n random bytes, whose hash it takes.
func counted(n int64, seed uint64) (io.Reader, func() [32]byte) {
	h := sha256.New()
	rng := rand.NewChaCha8([32]byte{byte(seed), byte(seed >> 8)})
	return io.TeeReader(io.LimitReader(rng, n), h), func() [32]byte { return [32]byte(h.Sum(nil)) }
}

// TestStreamCopy moves much data in both directions at once.
func TestStreamCopy(t *testing.T) {
	const size = 64 << 20
	a, b, _ := twoStreams(t, uniotest.PairConfig{}, unio.StreamConfig{})
	var wg sync.WaitGroup
	for i, way := range [][2]*unio.Stream{{a, b}, {b, a}} {
		src, sum := counted(size, uint64(i))
		sent := make(chan [32]byte, 1)
		wg.Go(func() {
			n, err := io.Copy(way[0], src)
			if n != size || err != nil {
				t.Errorf("sent %d bytes, %v", n, err)
			}
			if err := way[0].CloseWrite(); err != nil {
				t.Error(err)
			}
			sent <- sum()
		})
		wg.Go(func() {
			h := sha256.New()
			n, err := io.Copy(h, way[1])
			if n != size || err != nil {
				t.Errorf("received %d bytes, %v", n, err)
			}
			if got := [32]byte(h.Sum(nil)); got != <-sent {
				t.Error("what was received is not what was sent")
			}
		})
	}
	wg.Wait()
}

// TestStreamAnyShape writes and reads pieces of random lengths.
func TestStreamAnyShape(t *testing.T) {
	for seed := range uint64(12) {
		rng := rand.New(rand.NewPCG(seed, 3))
		pc := uniotest.PairConfig{Seed: seed, Window: 1 + rng.IntN(10), Inline: rng.IntN(4), MaxMessage: int64(1 + rng.IntN(5000))}
		a, b, _ := twoStreams(t, pc, unio.StreamConfig{Segment: 1 + rng.IntN(5000), Receives: 1 + rng.IntN(5), Sends: 1 + rng.IntN(5)})
		want := make([]byte, 200<<10)
		_, _ = rand.NewChaCha8([32]byte{byte(seed)}).Read(want)
		var wg sync.WaitGroup
		wg.Go(func() {
			for p := want; len(p) > 0; {
				n := min(len(p), rng.IntN(20000))
				if k, err := a.Write(p[:n]); k != n || err != nil {
					t.Errorf("wrote %d of %d, %v", k, n, err)
					return
				}
				p = p[n:]
			}
			if err := a.Close(); err != nil {
				t.Error(err)
			}
		})
		var got []byte
		reads := rand.New(rand.NewPCG(seed, 4))
		for {
			p := make([]byte, reads.IntN(20000))
			n, err := b.Read(p)
			got = append(got, p[:n]...)
			if err == io.EOF {
				break
			}
			if err != nil || n == 0 && len(p) > 0 {
				t.Fatalf("seed %d: Read: %d, %v", seed, n, err)
			}
		}
		if !bytes.Equal(got, want) {
			t.Errorf("seed %d: %d bytes were read of %d that were written, or others", seed, len(got), len(want))
		}
		wg.Wait()
	}
}

func TestStreamHalfClose(t *testing.T) {
	a, b, _ := twoStreams(t, uniotest.PairConfig{}, unio.StreamConfig{})
	if _, err := a.Write([]byte("question")); err != nil {
		t.Fatal(err)
	}
	for range 2 { // it is idempotent
		if err := a.CloseWrite(); err != nil {
			t.Error(err)
		}
	}
	if n, err := a.Write([]byte("more")); n != 0 || !errors.Is(err, io.ErrClosedPipe) {
		t.Errorf("Write after CloseWrite: %d, %v", n, err)
	}
	if got, err := io.ReadAll(b); string(got) != "question" || err != nil {
		t.Errorf("%q, %v", got, err)
	}
	if n, err := b.Read(make([]byte, 1)); n != 0 || err != io.EOF {
		t.Errorf("Read at the end: %d, %v", n, err)
	}
	if _, err := b.Write([]byte("answer")); err != nil {
		t.Errorf("Write to who has ended its own side: %v", err)
	}
	if err := b.Close(); err != nil {
		t.Error(err)
	}
	if got, err := io.ReadAll(a); string(got) != "answer" || err != nil {
		t.Errorf("%q, %v", got, err)
	}
	if err := a.Close(); err != nil {
		t.Errorf("Close when the other side has closed: %v", err)
	}
	if err := a.CloseWrite(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("CloseWrite after Close: %v", err)
	}
}

// CloseWrite ends a Write that waits.
func TestStreamCloseWriteDuringWrite(t *testing.T) {
	a, b, _ := twoStreams(t, uniotest.PairConfig{}, brief)
	result := make(chan error, 1)
	go func() {
		_, err := a.Write(make([]byte, 10<<20))
		result <- err
	}()
	if _, err := io.ReadFull(b, make([]byte, defaultSegment)); err != nil {
		t.Fatal(err)
	}
	if err := a.CloseWrite(); err != nil {
		t.Fatal(err)
	}
	if err := <-result; !errors.Is(err, io.ErrClosedPipe) {
		t.Errorf("Write: %v", err)
	}
	n, err := io.Copy(io.Discard, b)
	if n > 9<<20 || n%defaultSegment != 0 || err != nil {
		t.Errorf("what was written until then: %d bytes more, %v", n, err)
	}
}

const defaultSegment = 64 << 10

// wantNetError checks that an error is a net.Error of the operation that wraps all causes.
func wantNetError(t *testing.T, what string, err error, timeout bool, causes ...error) {
	t.Helper()
	var ne net.Error
	var oe *net.OpError
	if !errors.As(err, &ne) || !errors.As(err, &oe) {
		t.Errorf("%s: %T %v, want a net.OpError", what, err, err)
		return
	}
	for _, c := range causes {
		if !errors.Is(err, c) {
			t.Errorf("%s: %v, want %v", what, err, c)
		}
	}
	if ne.Timeout() != timeout || oe.Addr == nil || oe.Source == nil || oe.Net == "" {
		t.Errorf("%s: %+v, timeout %v", what, oe, ne.Timeout())
	}
}

// TestStreamPeerClosed: what was written is read, then the end; what is written
// to who has closed fails, in time.
func TestStreamPeerClosed(t *testing.T) {
	a, b, _ := twoStreams(t, uniotest.PairConfig{}, unio.StreamConfig{})
	want := bytes.Repeat([]byte("farewell"), 30000)
	if n, err := b.Write(want); n != len(want) || err != nil {
		t.Fatal(n, err)
	}
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	var err error
	for i := 0; err == nil; i++ {
		if _, err = a.Write([]byte("anybody there?")); i > 100 {
			t.Fatal("100 Writes to who has closed succeeded")
		}
	}
	wantNetError(t, "Write to who has closed", err, false, unio.ErrDisconnected)
	if got, err := io.ReadAll(a); !bytes.Equal(got, want) || err != nil {
		t.Errorf("%d bytes of %d, %v", len(got), len(want), err)
	}
}

// TestStreamCut: a connection that breaks is an error, not an end.
func TestStreamCut(t *testing.T) {
	a, b, pair := twoStreams(t, uniotest.PairConfig{}, unio.StreamConfig{})
	var wg sync.WaitGroup
	for _, s := range []*unio.Stream{a, b} {
		wg.Go(func() {
			_, err := io.Copy(io.Discard, s)
			wantNetError(t, "Read when the connection breaks", err, false, unio.ErrDisconnected)
		})
		wg.Go(func() {
			var err error
			for err == nil {
				_, err = s.Write(make([]byte, 100<<10))
			}
			wantNetError(t, "Write when the connection breaks", err, false, unio.ErrDisconnected)
			var oe *unio.OpError
			if !errors.As(err, &oe) || oe.Op != unio.OpSend {
				t.Errorf("%v, want the OpError of a send", err)
			}
		})
	}
	time.Sleep(10 * time.Millisecond)
	pair.Cut()
	wg.Wait()
	for _, s := range []*unio.Stream{a, b} {
		if err := s.Close(); err != nil {
			t.Errorf("Close after Write has said what is lost: %v", err)
		}
	}
}

// Close says what no Write has: that something did not leave.
func TestStreamCloseSaysWhatIsLost(t *testing.T) {
	a, _, pair := twoStreams(t, uniotest.PairConfig{Window: 1}, unio.StreamConfig{Receives: 1})
	for range 6 {
		if _, err := a.Write([]byte("to be lost")); err != nil {
			t.Fatal(err)
		}
	}
	pair.Cut()
	wantNetError(t, "Close", a.Close(), false, unio.ErrDisconnected)
}

// TestStreamSlowReader: who reads slowly makes who writes wait, and gets all of it.
func TestStreamSlowReader(t *testing.T) {
	a, b, _ := twoStreams(t, uniotest.PairConfig{}, unio.StreamConfig{Segment: 4096})
	const size = 1 << 20
	var written atomic.Int64
	go func() {
		for range size / 4096 {
			n, err := a.Write(bytes.Repeat([]byte{1}, 4096))
			if written.Add(int64(n)); err != nil {
				t.Error(err)
				return
			}
		}
		_ = a.CloseWrite()
	}()
	var read int64
	buf := make([]byte, 3000)
	for i := 0; ; i++ {
		n, err := b.Read(buf)
		read += int64(n)
		if ahead := written.Load() - read; ahead > 64*4096 {
			t.Fatalf("%d bytes were written that nobody has read", ahead)
		}
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if i%20 == 0 {
			time.Sleep(time.Millisecond)
		}
	}
	if read != size {
		t.Errorf("read %d bytes of %d", read, size)
	}
}

// TestStreamClose: it gets waiting calls out, and what comes after it fails.
func TestStreamClose(t *testing.T) {
	closed := 0
	failure := errors.New("the conn did not like it")
	cfg := brief
	cfg.OnClose = func() error { closed++; return failure }
	a, b, _ := twoStreams(t, uniotest.PairConfig{}, cfg)
	var wg sync.WaitGroup
	for range 3 {
		wg.Go(func() {
			n, err := a.Read(make([]byte, 1))
			wantNetError(t, "a Read that waited", err, false, net.ErrClosed, unio.ErrClosed)
			if n != 0 {
				t.Errorf("it read %d bytes", n)
			}
		})
		wg.Go(func() {
			_, err := a.Write(make([]byte, 4<<20))
			wantNetError(t, "a Write that waited", err, false, net.ErrClosed, unio.ErrClosed)
		})
	}
	time.Sleep(5 * time.Millisecond)
	for range 3 {
		wg.Go(func() {
			if err := a.Close(); err == nil {
				t.Error("Close succeeded although nobody reads")
			}
		})
	}
	wg.Wait()
	_, err := a.Read(make([]byte, 1))
	wantNetError(t, "Read after Close", err, false, net.ErrClosed)
	_, err = a.Write([]byte{1})
	wantNetError(t, "Write after Close", err, false, net.ErrClosed)
	_, err = a.Write(nil)
	wantNetError(t, "an empty Write after Close", err, false, net.ErrClosed)
	wantNetError(t, "SetDeadline after Close", a.SetDeadline(time.Time{}), false, net.ErrClosed)
	if a.Close(); closed != 1 {
		t.Errorf("OnClose was called %d times", closed)
	}
	if err := b.Close(); !errors.Is(err, failure) {
		t.Errorf("Close does not return what OnClose does: %v", err)
	}
}

// TestStreamCloseWaits: what was written before Close arrives, however late
// somebody reads.
func TestStreamCloseWaits(t *testing.T) {
	a, b, _ := twoStreams(t, uniotest.PairConfig{Window: 1}, unio.StreamConfig{Segment: 1000, Receives: 1})
	want := bytes.Repeat([]byte("x"), 8000)
	if _, err := a.Write(want); err != nil {
		t.Fatal(err)
	}
	result := make(chan error, 1)
	go func() { result <- a.Close() }()
	time.Sleep(20 * time.Millisecond)
	select {
	case err := <-result:
		t.Fatalf("Close returned %v before everything had left", err)
	default:
	}
	_, err := a.Read(make([]byte, 1))
	wantNetError(t, "Read while Close waits", err, false, net.ErrClosed)
	_, err = a.Write(make([]byte, 1))
	wantNetError(t, "Write while Close waits", err, false, net.ErrClosed)
	if got, err := io.ReadAll(b); !bytes.Equal(got, want) || err != nil {
		t.Errorf("%d bytes of %d, %v", len(got), len(want), err)
	}
	if err := <-result; err != nil {
		t.Error(err)
	}
}

// TestStreamCloseDiscards: both sides write and do not read, and close;
// what each has written leaves because Close discards what comes.
func TestStreamCloseDiscards(t *testing.T) {
	a, b, _ := twoStreams(t, uniotest.PairConfig{}, unio.StreamConfig{Segment: 512, Receives: 2, Linger: time.Minute})
	var wg sync.WaitGroup
	for _, s := range []*unio.Stream{a, b} {
		if _, err := s.Write(make([]byte, 8*512)); err != nil {
			t.Fatal(err)
		}
	}
	for _, s := range []*unio.Stream{a, b} {
		wg.Go(func() { _ = s.Close() })
	}
	wg.Wait() // in less than Linger, or the test times out
}

// TestStreamLinger: Close gives up, says so, and leaves no gap in what the other
// side reads.
func TestStreamLinger(t *testing.T) {
	for seed := range uint64(40) {
		a, b, _ := twoStreams(t, uniotest.PairConfig{Seed: seed, Window: 1}, unio.StreamConfig{Segment: 4, Receives: 2, Linger: time.Millisecond})
		var want []byte
		for i := range byte(8) {
			want = append(want, i, i, i, i)
		}
		if _, err := a.Write(want); err != nil {
			t.Fatal(err)
		}
		var got []byte
		done := make(chan struct{})
		go func() {
			defer close(done)
			time.Sleep(time.Millisecond)
			var err error
			for buf := make([]byte, 100); err == nil; {
				var n int
				n, err = b.Read(buf)
				got = append(got, buf[:n]...)
			}
			if err != io.EOF && !errors.Is(err, unio.ErrDisconnected) {
				t.Error(err)
			}
			if err == io.EOF && len(got) < len(want) {
				t.Errorf("an end after %d bytes of %d", len(got), len(want))
			}
		}()
		err := a.Close()
		<-done
		if !bytes.HasPrefix(want, got) {
			t.Fatalf("seed %d: read % x of % x", seed, got, want)
		}
		if err == nil && len(got) < len(want) {
			t.Errorf("seed %d: Close succeeded, and %d bytes of %d arrived", seed, len(got), len(want))
		}
		if err != nil {
			wantNetError(t, "Close", err, false, unio.ErrTimeout)
		}
	}
}

// TestStreamWithoutLinger: Close does not wait at all.
func TestStreamWithoutLinger(t *testing.T) {
	a, _, _ := twoStreams(t, uniotest.PairConfig{Window: 1}, unio.StreamConfig{Receives: 1, Linger: -1})
	for range 8 {
		if _, err := a.Write([]byte("to be lost")); err != nil {
			t.Fatal(err)
		}
	}
	wantNetError(t, "Close", a.Close(), false, unio.ErrTimeout)
}

// TestStreamDeviceClosed: who closes the device, or the channel, ends the stream.
func TestStreamDeviceClosed(t *testing.T) {
	for name, end := range map[string]func(*uniotest.Peer) error{
		"device":  func(p *uniotest.Peer) error { return p.Device.Close() },
		"channel": func(p *uniotest.Peer) error { return p.Channel.Close() },
	} {
		t.Run(name, func(t *testing.T) {
			a, b, pair := twoStreams(t, uniotest.PairConfig{}, brief)
			var wg sync.WaitGroup
			for i, s := range []*unio.Stream{a, b} {
				cause := []error{unio.ErrCanceled, unio.ErrDisconnected}[i]
				wg.Go(func() {
					_, err := io.Copy(io.Discard, s)
					if !errors.Is(err, unio.ErrClosed) { // which it is if nothing was in flight
						wantNetError(t, "Read", err, false, cause)
					}
				})
				wg.Go(func() {
					for {
						_, err := s.Write(make([]byte, 1<<20))
						if err == nil {
							continue
						}
						if !errors.Is(err, unio.ErrClosed) {
							wantNetError(t, "Write", err, false, cause)
						}
						return
					}
				})
			}
			time.Sleep(5 * time.Millisecond)
			if err := end(pair.A); err != nil {
				t.Error(err)
			}
			wg.Wait()
			_ = a.Close()
			_, err := a.Read(make([]byte, 1))
			wantNetError(t, "Read after both", err, false, net.ErrClosed)
		})
	}
}

func TestStreamDeadlines(t *testing.T) {
	a, b, _ := twoStreams(t, uniotest.PairConfig{}, brief)
	if _, err := b.Write([]byte("there")); err != nil {
		t.Fatal(err)
	}
	one := make([]byte, 1)
	if _, err := a.Read(one); err != nil { // more is there to be read
		t.Fatal(err)
	}
	past := time.Now().Add(-time.Second)
	for what, set := range map[string]func(time.Time) error{"both": a.SetDeadline, "read": a.SetReadDeadline} {
		if err := set(past); err != nil {
			t.Error(err)
		}
		for _, p := range [][]byte{one, nil} {
			n, err := a.Read(p)
			if wantNetError(t, what+" deadline in the past", err, true, os.ErrDeadlineExceeded); n != 0 {
				t.Error("something was read")
			}
		}
		if err := set(time.Time{}); err != nil {
			t.Error(err)
		}
		if n, err := a.Read(one); n != 1 || err != nil {
			t.Errorf("Read without a deadline: %d, %v", n, err)
		}
	}
	_ = a.SetWriteDeadline(past)
	n, err := a.Write(one)
	if wantNetError(t, "write deadline in the past", err, true, os.ErrDeadlineExceeded); n != 0 {
		t.Error("something was written")
	}
	if n, err := a.Read(one); n != 1 || err != nil {
		t.Errorf("a write deadline concerns Read: %d, %v", n, err)
	}
	_ = a.SetWriteDeadline(time.Now().Add(time.Hour))
	if n, err := a.Write(one); n != 1 || err != nil {
		t.Errorf("Write before its deadline: %d, %v", n, err)
	}
}

// Deadlines that others set, and move, concern calls that wait already.
func TestStreamDeadlineMoves(t *testing.T) {
	a, _, _ := twoStreams(t, uniotest.PairConfig{}, brief)
	calls := map[string]struct {
		call func() (int, error)
		set  func(time.Time) error
	}{
		"Read":  {func() (int, error) { return a.Read(make([]byte, 1)) }, a.SetReadDeadline},
		"Write": {func() (int, error) { return a.Write(make([]byte, 8<<20)) }, a.SetWriteDeadline},
	}
	var wg sync.WaitGroup
	for what, c := range calls {
		wg.Go(func() {
			var early atomic.Bool
			early.Store(true)
			result := make(chan error, 1)
			_ = c.set(time.Now().Add(10 * time.Millisecond))
			go func() {
				_, err := c.call()
				if early.Load() {
					t.Errorf("%s ended before its deadline, which was moved: %v", what, err)
				}
				result <- err
			}()
			_ = c.set(time.Now().Add(time.Hour))
			time.Sleep(30 * time.Millisecond)
			early.Store(false)
			_ = c.set(time.Now().Add(-time.Second))
			wantNetError(t, what, <-result, true, os.ErrDeadlineExceeded)
		})
	}
	wg.Wait()
}

// A Write that its deadline ends says how much was sent, and that much arrives.
func TestStreamPartialWrite(t *testing.T) {
	a, b, _ := twoStreams(t, uniotest.PairConfig{}, unio.StreamConfig{Segment: 100})
	_ = a.SetWriteDeadline(time.Now().Add(10 * time.Millisecond))
	want := make([]byte, 1<<20)
	_, _ = rand.NewChaCha8([32]byte{}).Read(want)
	n, err := a.Write(want)
	wantNetError(t, "Write", err, true, os.ErrDeadlineExceeded)
	if n == 0 || n == len(want) {
		t.Fatalf("%d bytes were written with nobody reading", n)
	}
	_ = a.CloseWrite()
	if got, err := io.ReadAll(b); !bytes.Equal(got, want[:n]) || err != nil {
		t.Errorf("%d bytes arrived, %d were written, %v", len(got), n, err)
	}
}

// TestStreamStorm has many goroutines read and write both ends, with deadlines
// that others move, until one closes: no byte is lost, doubled or moved.
func TestStreamStorm(t *testing.T) {
	for seed := range uint64(4) {
		a, b, _ := twoStreams(t, uniotest.PairConfig{Seed: seed, Inline: int(seed % 3)}, unio.StreamConfig{Segment: 300, Receives: 3, Sends: 2})
		var got [256]atomic.Int64
		var sent [256]atomic.Int64
		var writers, readers sync.WaitGroup
		for g := range 4 {
			writers.Go(func() {
				rng := rand.New(rand.NewPCG(seed, uint64(g)))
				for range 50 {
					p := bytes.Repeat([]byte{byte(rng.IntN(256))}, 1+rng.IntN(1000))
					for len(p) > 0 {
						n, err := a.Write(p)
						sent[p[0]].Add(int64(n))
						if err != nil && !errors.Is(err, os.ErrDeadlineExceeded) {
							t.Error(err)
							return
						}
						if p = p[n:]; err != nil {
							runtime.Gosched()
						}
					}
				}
			})
			readers.Go(func() {
				rng := rand.New(rand.NewPCG(seed, 100+uint64(g)))
				for {
					p := make([]byte, 1+rng.IntN(700))
					n, err := b.Read(p)
					for _, c := range p[:n] {
						got[c].Add(1)
					}
					if err == io.EOF {
						return
					}
					if err != nil && !errors.Is(err, os.ErrDeadlineExceeded) {
						t.Error(err)
						return
					}
					if err != nil {
						runtime.Gosched()
					}
				}
			})
		}
		stop := make(chan struct{})
		var meddlers sync.WaitGroup
		meddlers.Go(func() {
			rng := rand.New(rand.NewPCG(seed, 7))
			for {
				select {
				case <-stop:
					_ = a.SetDeadline(time.Time{})
					_ = b.SetDeadline(time.Time{})
					return
				default:
				}
				_ = a.SetWriteDeadline(time.Now().Add(time.Duration(rng.IntN(1000)-200) * time.Microsecond))
				_ = b.SetReadDeadline(time.Now().Add(time.Duration(rng.IntN(1000)-200) * time.Microsecond))
				time.Sleep(time.Duration(rng.IntN(300)) * time.Microsecond)
			}
		})
		writers.Wait()
		if err := a.CloseWrite(); err != nil {
			t.Error(err)
		}
		close(stop)
		meddlers.Wait()
		readers.Wait()
		for c := range sent {
			if s, g := sent[c].Load(), got[c].Load(); s != g {
				t.Fatalf("seed %d: %d bytes of %#x were written and %d read", seed, s, c, g)
			}
		}
	}
}

// A message that is not of the stream is no part of it, nor its end.
func TestStreamIgnoresImmediate(t *testing.T) {
	pair := uniotest.NewPair(t, uniotest.PairConfig{})
	defer pair.A.Device.Close()
	defer pair.B.Device.Close()
	s := openStream(t, pair.B, unio.StreamConfig{Receives: 2})
	ctx := context.Background()
	for _, q := range []unio.Request{
		{Op: unio.OpImmediate, Swap: 1},
		{Op: unio.OpSend, Data: []byte("a")},
		{Op: unio.OpImmediate, Swap: 2},
		{Op: unio.OpImmediate, Swap: 3},
		{Op: unio.OpSend, Data: []byte("b")},
		{Op: unio.OpSend},
	} {
		if err := pair.A.Channel.Do(ctx, q); err != nil {
			t.Fatal(err)
		}
	}
	if got, err := io.ReadAll(s); string(got) != "ab" || err != nil {
		t.Errorf("%q, %v", got, err)
	}
}

// A message longer than Segment is an error, and says so.
func TestStreamSegmentsDisagree(t *testing.T) {
	pair := uniotest.NewPair(t, uniotest.PairConfig{})
	defer pair.A.Device.Close()
	defer pair.B.Device.Close()
	a, b := openStream(t, pair.A, unio.StreamConfig{Segment: 200}), openStream(t, pair.B, unio.StreamConfig{Segment: 100})
	if _, err := a.Write(make([]byte, 150)); err != nil {
		t.Fatal(err)
	}
	_, err := b.Read(make([]byte, 200))
	wantNetError(t, "Read", err, false, unio.ErrOutOfRange)
}

func TestStreamConfig(t *testing.T) {
	for _, tc := range []struct {
		name string
		pair uniotest.PairConfig
		cfg  unio.StreamConfig
		want error
	}{
		{"depth 3", uniotest.PairConfig{Depth: 3}, unio.StreamConfig{}, nil},
		{"depth 16", uniotest.PairConfig{Depth: 16}, unio.StreamConfig{}, nil},
		{"all of it", uniotest.PairConfig{Depth: 16}, unio.StreamConfig{Receives: 10, Sends: 5}, nil},
		{"most for receives", uniotest.PairConfig{Depth: 16}, unio.StreamConfig{Receives: 14}, nil},
		{"most for sends", uniotest.PairConfig{Depth: 16}, unio.StreamConfig{Sends: 14}, nil},
		{"segment of 1", uniotest.PairConfig{}, unio.StreamConfig{Segment: 1}, nil},
		{"depth 2", uniotest.PairConfig{Depth: 2}, unio.StreamConfig{}, unio.ErrInvalid},
		{"too many", uniotest.PairConfig{Depth: 16}, unio.StreamConfig{Receives: 10, Sends: 6}, unio.ErrInvalid},
		{"too many receives", uniotest.PairConfig{Depth: 16}, unio.StreamConfig{Receives: 15}, unio.ErrInvalid},
		{"too many sends", uniotest.PairConfig{Depth: 16}, unio.StreamConfig{Sends: 15}, unio.ErrInvalid},
		{"negative segment", uniotest.PairConfig{}, unio.StreamConfig{Segment: -1}, unio.ErrInvalid},
		{"negative receives", uniotest.PairConfig{}, unio.StreamConfig{Receives: -1}, unio.ErrInvalid},
		{"negative sends", uniotest.PairConfig{}, unio.StreamConfig{Sends: -1}, unio.ErrInvalid},
		{"no messages", uniotest.PairConfig{Native: unio.Ops(unio.OpRead, unio.OpSend)}, unio.StreamConfig{}, unio.ErrUnsupported},
	} {
		t.Run(tc.name, func(t *testing.T) {
			pair := uniotest.NewPair(t, tc.pair)
			defer pair.A.Device.Close()
			defer pair.B.Device.Close()
			a, err := unio.NewStream(pair.A.Channel, tc.cfg)
			if !errors.Is(err, tc.want) {
				t.Fatalf("%v, want %v", err, tc.want)
			}
			if err != nil {
				if n := pair.A.Channel.Stats().Posted; n != 0 {
					t.Errorf("%d requests were posted", n)
				}
				return
			}
			b, err := unio.NewStream(pair.B.Channel, tc.cfg)
			if err != nil {
				t.Fatal(err)
			}
			defer b.Close()
			defer a.Close()
			if _, err := a.Write([]byte("hello")); err != nil {
				t.Error(err)
			}
			if _, err := io.ReadFull(b, make([]byte, 5)); err != nil {
				t.Error(err)
			}
			if a.LocalAddr().String() != "peer a" || a.RemoteAddr().Network() != "unio" {
				t.Errorf("%v to %v", a.LocalAddr(), a.RemoteAddr())
			}
		})
	}
}

func TestNewStreamRefusesChannels(t *testing.T) {
	pair := uniotest.NewPair(t, uniotest.PairConfig{})
	defer pair.A.Device.Close()
	defer pair.B.Device.Close()
	if n, err := pair.A.Channel.Post(unio.Request{Op: unio.OpRecv}); n != 1 {
		t.Fatal(err)
	}
	if _, err := unio.NewStream(pair.A.Channel, unio.StreamConfig{}); !errors.Is(err, unio.ErrBusy) {
		t.Errorf("a channel with a request in flight: %v", err)
	}
	_ = pair.B.Channel.Close()
	if _, err := unio.NewStream(pair.B.Channel, unio.StreamConfig{}); !errors.Is(err, unio.ErrClosed) {
		t.Errorf("a closed channel: %v", err)
	}
	addr := &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 7471}
	other := uniotest.NewPair(t, uniotest.PairConfig{})
	defer other.A.Device.Close()
	defer other.B.Device.Close()
	s := openStream(t, other.A, unio.StreamConfig{LocalAddr: addr, RemoteAddr: addr})
	if s.LocalAddr() != addr || s.RemoteAddr() != addr {
		t.Errorf("%v to %v", s.LocalAddr(), s.RemoteAddr())
	}
}

// A stream starts no goroutine, also while calls wait.
func TestStreamHasNoGoroutine(t *testing.T) {
	pair := uniotest.NewPair(t, uniotest.PairConfig{})
	defer pair.A.Device.Close()
	defer pair.B.Device.Close()
	before := runtime.NumGoroutine()
	a, b := openStream(t, pair.A, brief), openStream(t, pair.B, brief)
	_ = a.SetReadDeadline(time.Now().Add(time.Hour))
	go func() { _, _ = a.Read(make([]byte, 1)) }()
	time.Sleep(2 * time.Millisecond)
	if n := runtime.NumGoroutine(); n > before+1 {
		t.Errorf("%d goroutines for two streams and one that reads", n-before)
	}
	_, _ = b.Write([]byte{1})
}

func TestStreamAllocatesNothing(t *testing.T) {
	if !poolsKeep {
		t.Skip("the race detector's runtime allocates")
	}
	for name, pc := range map[string]uniotest.PairConfig{"asleep": {}, "inline": {Inline: 1}} {
		a, b, _ := twoStreams(t, pc, unio.StreamConfig{})
		small, large := make([]byte, 100), make([]byte, 200<<10)
		_ = a.SetDeadline(time.Now().Add(time.Hour))
		round := func() {
			for _, p := range [][]byte{small, large} {
				if n, err := a.Write(p); n != len(p) || err != nil {
					t.Fatal(n, err)
				}
				for left := len(p); left > 0; {
					n, err := b.Read(p[:left])
					if left -= n; err != nil {
						t.Fatal(err)
					}
				}
			}
		}
		for range 100 {
			round()
		}
		per := testing.AllocsPerRun(300, round)
		for range 2 { // the runtime may have allocated for itself
			per = min(per, testing.AllocsPerRun(300, round))
		}
		if per != 0 {
			t.Errorf("%s: %v allocations for two Writes and their Reads", name, per)
		}
	}
}
