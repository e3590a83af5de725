package rdma

import (
	"bytes"
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/unio-stack/unio"
	"github.com/unio-stack/unio/internal/iwarp"
)

// closingTime is how long a Close may take if the peer does not answer: a second, and what a busy machine adds.
const closingTime = 1800 * time.Millisecond

// stalling are requests that are in flight when the link stalls.
func stalling(reg *unio.Region) map[string][]unio.Request {
	large := make([]byte, hostMemory)
	return map[string][]unio.Request{
		"nothing":                      nil,
		"Write":                        {{Op: unio.OpWrite, Region: reg, Data: make([]byte, 100)}},
		"large Write":                  {{Op: unio.OpWrite, Region: reg, Data: large}, {Op: unio.OpWrite, Region: reg, Data: large}, {Op: unio.OpWrite, Region: reg, Data: large}},
		"Read":                         {{Op: unio.OpRead, Region: reg, Data: make([]byte, 100)}},
		"FetchAdd":                     {{Op: unio.OpFetchAdd, Region: reg}},
		"Recv":                         {{Op: unio.OpRecv, Data: make([]byte, 100)}},
		"Send that waits for a credit": {{Op: unio.OpSend, Data: make([]byte, 100)}},
		"all": {
			{Op: unio.OpWrite, Region: reg, Data: large},
			{Op: unio.OpRead, Region: reg, Data: make([]byte, 1000)},
			{Op: unio.OpFetchAdd, Region: reg},
			{Op: unio.OpRecv, Data: make([]byte, 100)},
			{Op: unio.OpSend, Data: make([]byte, 100)},
		},
	}
}

// TestStall waits, for all of its parts at once.
func TestStall(t *testing.T) {
	var all sync.WaitGroup
	defer all.Wait()
	for name, test := range map[string]func(*testing.T){
		"Close": testCloseOfStalledPeer, "cancel": testCancelOfStalledPeer, "cancel one after another": testCancelOneAfterAnother,
		"cancel without Reads": testCancelWriteWithoutReads,
	} {
		all.Go(func() { t.Run(name, test) })
	}
}

// testCloseOfStalledPeer closes a connection whose peer does not answer any more: soon, and everything in flight ends.
func testCloseOfStalledPeer(t *testing.T) {
	var all sync.WaitGroup
	defer all.Wait()
	for name := range stalling(nil) {
		all.Go(func() {
			t.Run(name, func(t *testing.T) {
				h := newHost(t, Config{}, Config{})
				k := newLink(t, h.addr(), lane{rate: 50 << 20}, lane{rate: 50 << 20})
				conn := dialTo(t, k.addr(), Config{})
				served := h.accept()
				reg := attach(t, conn, h.all.Key(), unio.ReadWrite)
				do(t, conn, unio.Request{Op: unio.OpRead, Region: reg, Data: make([]byte, 100)})
				k.pause(up)
				k.pause(down)
				reqs := stalling(reg)[name]
				post(t, conn, reqs...)
				time.Sleep(10 * time.Millisecond) // so that as much has left as can
				begun := time.Now()
				if err := conn.Close(); err != nil {
					t.Error(err)
				}
				if took := time.Since(begun); took > closingTime {
					t.Errorf("Close took %v", took)
				}
				done := make([]unio.Completion, 8)
				n := conn.Channel().Poll(done)
				if n != len(reqs) {
					t.Errorf("%d completions of %d requests", n, len(reqs))
				}
				for _, d := range done[:n] {
					if !errors.Is(d.Err, unio.ErrCanceled) && !errors.Is(d.Err, unio.ErrDisconnected) {
						t.Errorf("%+v", d)
					}
				}
				begun = time.Now() // the other end does not know
				if err := served.Close(); err != nil {
					t.Error(err)
				}
				if took := time.Since(begun); took > closingTime {
					t.Errorf("Close of the other end took %v", took)
				}
				h.check()
			})
		})
	}
}

// testCancelOfStalledPeer cancels what is in flight to a peer that does not answer any more: all of it ends soon, if need be
// with the connection, and its memory is ours again.
func testCancelOfStalledPeer(t *testing.T) {
	var all sync.WaitGroup
	defer all.Wait()
	for name := range stalling(nil) {
		all.Go(func() {
			t.Run(name, func(t *testing.T) {
				h := newHost(t, Config{}, Config{})
				k := newLink(t, h.addr(), lane{rate: 50 << 20}, lane{rate: 50 << 20})
				conn := dialTo(t, k.addr(), Config{KeepAlive: time.Minute})
				reg := attach(t, conn, h.all.Key(), unio.ReadWrite)
				do(t, conn, unio.Request{Op: unio.OpRead, Region: reg, Data: make([]byte, 100)})
				k.pause(up)
				k.pause(down)
				reqs := stalling(reg)[name]
				if reqs == nil {
					return
				}
				post(t, conn, reqs...)
				time.Sleep(10 * time.Millisecond)
				begun := time.Now()
				conn.Channel().CancelAll()
				for _, d := range waitFor(t, conn, len(reqs)) {
					if !errors.Is(d.Err, unio.ErrCanceled) && !errors.Is(d.Err, unio.ErrDisconnected) {
						t.Errorf("%+v", d)
					}
				}
				if took := time.Since(begun); took > closingTime {
					t.Errorf("it took %v", took)
				}
				for _, r := range reqs {
					fill(r.Data, secret)
				}
				k.resume(up)
				k.resume(down)
				if conn.Err() == nil {
					do(t, conn, unio.Request{Op: unio.OpRead, Region: reg, Data: make([]byte, 100)})
				}
				h.check()
				for _, r := range reqs {
					if (r.Op == unio.OpRead || r.Op == unio.OpRecv) && !all8(r.Data) {
						t.Errorf("the memory of a %v was changed after its end", r.Op)
					}
				}
			})
		})
	}
}

func all8(b []byte) bool { return all(b, secret) }

// testCancelOneAfterAnother cancels two Writes, one while the other's end is still awaited: the second does not wait for
// longer than the first would have.
func testCancelOneAfterAnother(t *testing.T) {
	l := rawListen(t)
	conn, p := l.meet(rawConfig{unio: true, SetupConfig: iwarp.SetupConfig{IRD: 16, ORD: 16}}, func(addr string) (*Conn, error) {
		return Dial(t.Context(), addr, Config{KeepAlive: time.Minute})
	})
	reg := attach(t, conn, Key{STag: 0x1200, Base: 1 << 40, Size: 1 << 20}, unio.ReadWrite)
	write := unio.Request{ID: 1, Op: unio.OpWrite, Region: reg, Data: make([]byte, 8)}
	post(t, conn, write)
	conn.Channel().Cancel(1)
	if n := conn.Channel().Poll(make([]unio.Completion, 1)); n != 0 {
		t.Fatal("a Write that is on its way has ended")
	}
	e, err := p.next() // the RTR, the Write
	for err == nil && e.Segment.Opcode != iwarp.OpReadRequest {
		e, err = p.next()
	}
	if err != nil {
		t.Fatal(err)
	}
	write.ID = 2
	post(t, conn, write)
	conn.Channel().Cancel(2)
	conn.Channel().Poll(make([]unio.Completion, 1))
	p.send(func(s *iwarp.Sender) error { return s.Respond(&e.Read, iwarp.Payload{}) })
	if d := wait(t, conn); d.ID != 1 {
		t.Fatalf("%+v", d)
	}
	begun := time.Now()
	ctx, stop := context.WithTimeout(t.Context(), 3*cancelTime)
	defer stop()
	done := make([]unio.Completion, 1)
	if n, err := conn.Channel().Wait(ctx, done); n != 1 || !errors.Is(done[0].Err, unio.ErrDisconnected) {
		t.Errorf("after %v: %+v, %v", time.Since(begun), done[0], err)
	}
}

// testCancelWriteWithoutReads cancels a Write to a peer that permits no Reads, so that nothing ever says that it is placed. It
// has not succeeded, and the connection goes on.
func testCancelWriteWithoutReads(t *testing.T) {
	l := rawListen(t)
	k := newLink(t, l.addr(), lane{rate: 50 << 20}, lane{})
	var conn *Conn
	_, p := l.meet(rawConfig{unio: true, SetupConfig: iwarp.SetupConfig{ORD: 16, RTR: iwarp.RTRWrite}}, func(string) (c *Conn, err error) {
		conn, err = Dial(t.Context(), k.addr(), Config{})
		return conn, err
	})
	if conn.Peer().ORD != 0 {
		t.Fatalf("%+v", conn.Peer())
	}
	reg := attach(t, conn, Key{STag: 0x1200, Base: 1 << 40, Size: 1 << 30}, unio.ReadWrite)
	k.pause(up)
	data := make([]byte, 32<<20) // more than the system takes
	post(t, conn, unio.Request{ID: 1, Op: unio.OpWrite, Region: reg, Data: data})
	conn.Channel().Cancel(1)
	d := wait(t, conn)
	if !errors.Is(d.Err, unio.ErrCanceled) {
		t.Errorf("%+v", d)
	}
	fill(data, secret)
	k.resume(up)
	post(t, conn, unio.Request{ID: 2, Op: unio.OpWrite, Region: reg, Data: []byte("next")})
	for {
		e, err := p.next()
		if err != nil || e.Kind != iwarp.EventMessage {
			t.Fatalf("%+v, %v", e, err)
		}
		if len(p.payload) > 4 && bytes.IndexByte(p.payload, secret) >= 0 {
			t.Fatal("the memory of a cancelled Write was sent")
		}
		if string(p.payload) == "next" {
			break
		}
	}
	if d := wait(t, conn); d.ID != 2 || d.Err != nil {
		t.Errorf("%+v", d)
	}
	time.Sleep(cancelTime + 100*time.Millisecond)
	if err := conn.Err(); err != nil {
		t.Error(err)
	}
}

// TestTerminateAndReset: a peer that says why it ends the connection, and then resets it, is heard, although it shows first
// when writing fails.
func TestTerminateAndReset(t *testing.T) {
	l := rawListen(t)
	conn, p := l.meet(rawConfig{unio: true, SetupConfig: iwarp.SetupConfig{IRD: 16, ORD: 16}}, func(addr string) (*Conn, error) {
		return Dial(t.Context(), addr, Config{})
	})
	reg := attach(t, conn, Key{STag: 0x1200, Base: 1 << 40, Size: 1 << 20}, unio.ReadWrite)
	post(t, conn, unio.Request{ID: 1, Op: unio.OpRead, Region: reg, Data: make([]byte, 8)})
	e, err := p.await(iwarp.OpReadRequest)
	if err != nil {
		t.Fatal(err)
	}
	conn.q.mu.Lock() // so that nobody reads
	p.send(func(s *iwarp.Sender) error { return s.Terminate(iwarp.TerminateRead(e.Read, 1, iwarp.RefuseAccess, 0)) })
	_ = p.tcp.SetLinger(0)
	_ = p.tcp.Close()
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(time.Millisecond) {
		conn.q.silence.probe = true // something to write
		if conn.q.transmit(); conn.q.failure != nil {
			break
		}
	}
	conn.q.mu.Unlock()
	if d := wait(t, conn); !errors.Is(d.Err, unio.ErrAccess) {
		t.Errorf("%+v", d)
	}
}
