package rdma

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/unio-stack/unio"
	"github.com/unio-stack/unio/internal/iwarp"
)

// revokeSize is how much memory is revoked under way: the socket does not take so much at a time.
const revokeSize = 8 << 20

// TestRevoke withdraws memory at a random moment while two peers read and write it, one of them over a slow link. As soon as Revoke, or
// Free, has returned, the memory is nobody's: it does not change, and what is in it then is sent to no one.
func TestRevoke(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	for round := range 16 {
		free := round%2 == 1
		cfg := Config{CRC: CRC(round / 2 % 2 * 2)}
		name := fmt.Sprintf("seed %d round %d", seed, round)
		if free {
			name = "free, " + name
		}
		t.Run(name, func(t *testing.T) { revoke(t, rand.New(rand.NewPCG(seed, uint64(round))), cfg, free) })
	}
}

func revoke(t *testing.T, rng *rand.Rand, cfg Config, free bool) {
	h := newHost(t, cfg, cfg)
	memory := buffer(t, revokeSize)
	e := h.expose(memory, unio.ReadWrite)
	slow := lane{rate: 400 << 20, largest: 100_000}
	k := newLink(t, h.addr(), slow, slow)
	var all sync.WaitGroup
	stop := make(chan struct{})
	for i, addr := range []string{h.addr(), k.addr()} {
		c := dialTo(t, addr, cfg)
		served := h.accept()
		// Each has a half, so that neither's CRCs are wrong by the other.
		key := Key{STag: e.Key().STag, Base: e.Key().Base + uint64(i)*revokeSize/2, Size: revokeSize / 2}
		op := []unio.Opcode{unio.OpRead, unio.OpWrite}[rng.IntN(2)]
		all.Go(func() { hammer(t, c, served, key, op, stop) })
	}
	time.Sleep(time.Duration(rng.IntN(15000)) * time.Microsecond)
	if free {
		if err := memory.Free(); err != nil {
			t.Error(err)
		}
		memory = buffer(t, revokeSize) // in the same place, as a rule
	} else if err := e.Revoke(); err != nil {
		t.Error(err)
	}
	fill(memory.Bytes(), poison)
	time.Sleep(time.Duration(rng.IntN(15000)) * time.Microsecond)
	if bytes.Count(memory.Bytes(), []byte{poison}) != revokeSize {
		t.Error("memory was changed after it was withdrawn")
	}
	close(stop)
	all.Wait()
	if bytes.Count(memory.Bytes(), []byte{poison}) != revokeSize {
		t.Error("memory was changed long after it was withdrawn")
	}
	h.check()
}

// hammer reads or writes memory until that is refused, which it must be once stop is closed.
func hammer(t *testing.T, c, served *Conn, k Key, op unio.Opcode, stop chan struct{}) {
	reg, err := c.Attach(context.Background(), k, unio.ReadWrite)
	if err != nil {
		t.Error(err)
		return
	}
	data := make([]byte, k.Size)
	for i := 0; ; i++ {
		n := len(data) >> (i % 12)
		late := false
		select {
		case <-stop:
			late = true
		default:
		}
		err := try(c, unio.Request{Op: op, Region: reg, Offset: k.Size - int64(n), Data: data[:n]})
		if bytes.IndexByte(data[:n], poison) >= 0 {
			t.Errorf("a peer read what was in the memory after it was withdrawn: %v", err)
			return
		}
		if err == nil {
			if late {
				t.Errorf("%v of memory that is withdrawn succeeded", op)
				return
			}
			continue
		}
		if !errors.Is(err, unio.ErrRevoked) && !errors.Is(err, unio.ErrDisconnected) || errors.Is(err, unio.ErrChecksum) {
			t.Error(err)
		}
		break
	}
	if err := ended(t, served); !errors.Is(err, unio.ErrRevoked) || errors.Is(err, syscall.EFAULT) {
		t.Errorf("the host's end: %v", err)
	}
	ended(t, c)
}

// TestRevokeWhileAnswering withdraws memory while a response is under way that the peer takes its time to read: what has
// been cut still goes, or the response ends in a Terminate, but nothing that was written afterwards is sent.
func TestRevokeWhileAnswering(t *testing.T) {
	for _, c := range []struct {
		name       string
		size       int
		reads      int
		terminated bool
	}{
		{name: "much is left", size: 6 * revokeSize, reads: 1, terminated: true},
		{name: "others wait", size: 6 * revokeSize, reads: 2, terminated: true},
		{name: "small ones wait", size: 100, reads: 4},
		{name: "little is left", size: 100_000, reads: 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := newHost(t, Config{}, Config{})
			memory := buffer(t, max(c.size, revokeSize))
			fill(memory.Bytes(), secret)
			e := h.expose(memory, unio.ReadWrite)
			k := e.Key()
			p, conn := h.raw(rawConfig{SetupConfig: iwarp.SetupConfig{ORD: 8}})
			var reads []func(*iwarp.Sender) error
			for range c.reads {
				reads = append(reads, func(s *iwarp.Sender) error {
					return s.Read(iwarp.ReadRequest{SinkSTag: 7, Size: uint32(c.size), SourceSTag: k.STag, SourceTO: k.Base}, 0)
				})
			}
			p.send(reads...)
			becomes(t, "the first response is under way", func() bool {
				conn.q.mu.Lock()
				defer conn.q.mu.Unlock()
				return conn.q.stream.Sender().Waiting() < c.reads
			})
			if err := e.Revoke(); err != nil {
				t.Error(err)
			}
			fill(memory.Bytes(), poison)
			responses := 0
			for {
				ev, err := p.next()
				if bytes.IndexByte(p.payload, poison) >= 0 {
					t.Fatal("memory was sent after it was withdrawn")
				}
				if ev.Kind == iwarp.EventFault {
					t.Fatal(ev.Err)
				}
				if err == nil && ev.Segment.Opcode == iwarp.OpReadResponse {
					if responses++; responses < c.reads {
						continue
					}
					p.send(func(s *iwarp.Sender) error { // once more, which is refused
						return s.Read(iwarp.ReadRequest{SinkSTag: 7, Size: 8, SourceSTag: k.STag, SourceTO: k.Base}, 0)
					})
					continue
				}
				if err != nil || ev.Segment.Opcode != iwarp.OpTerminate {
					t.Fatalf("%+v, %v", ev, err)
				}
				if ev.Terminate.Cause != iwarp.CauseInvalidSTag {
					t.Error(ev.Terminate.Cause)
				}
				break
			}
			if c.terminated && responses == c.reads {
				t.Error("all of it was sent")
			}
			_ = p.conn.Close()
			brokenBy(t, conn, LayerRDMAP, iwarp.CauseInvalidSTag, "terminated at this end")
			h.check()
		})
	}
}

// TestInvalidateWhileAnswering has a peer withdraw what it is reading itself.
func TestInvalidateWhileAnswering(t *testing.T) {
	for _, size := range []uint32{8, 100_000, revokeSize} {
		h := newHost(t, Config{}, Config{})
		memory := buffer(t, revokeSize)
		p, conn := h.raw(rawConfig{SetupConfig: iwarp.SetupConfig{ORD: 8}})
		e, err := conn.Expose(memory, unio.ReadWrite)
		if err != nil {
			t.Fatal(err)
		}
		k := e.Key()
		post(t, conn, unio.Request{Op: unio.OpRecv, Data: make([]byte, 8)})
		p.send(func(s *iwarp.Sender) error {
			return s.Read(iwarp.ReadRequest{SinkSTag: 7, Size: size, SourceSTag: k.STag, SourceTO: k.Base}, 1)
		}, func(s *iwarp.Sender) error {
			return s.Send(iwarp.SendOptions{Invalidates: true, Invalidate: k.STag}, iwarp.Payload{})
		})
		if got := p.terminate(); got.Cause != iwarp.CauseInvalidSTag || !got.HasRead {
			t.Errorf("Terminate: %v", &got)
		}
		if d := wait(t, conn); !errors.Is(d.Err, unio.ErrDisconnected) {
			t.Errorf("%+v", d)
		}
		brokenBy(t, conn, LayerRDMAP, iwarp.CauseInvalidSTag, "terminated at this end")
		h.check()
	}
}

// TestExposeOfOne: what is exposed to one peer ends with its connection, with its Send that invalidates it, or with Revoke,
// whatever comes first, and any number of times.
func TestExposeOfOne(t *testing.T) {
	h := newHost(t, Config{}, Config{})
	c, served := h.pair(Config{})
	memory := buffer(t, 4096)
	e, err := served.Expose(memory, unio.ReadWrite)
	if err != nil {
		t.Fatal(err)
	}
	reg := attach(t, c, e.Key(), unio.ReadWrite)
	do(t, c, unio.Request{Op: unio.OpWrite, Region: reg, Data: []byte("mine")})
	got := make([]byte, 8)
	post(t, served, unio.Request{Op: unio.OpRecv, Data: got})
	do(t, c, unio.Request{Op: unio.OpSend, Region: reg, Flags: unio.Invalidate, Data: []byte("done")})
	if d := wait(t, served); d.Err != nil || d.Flags != unio.Invalidate || d.Value != uint64(e.Key().STag) || string(got[:d.N]) != "done" {
		t.Errorf("%+v %q", d, got)
	}
	for range 2 {
		if err := e.Revoke(); err != nil {
			t.Error(err)
		}
	}
	if err := try(c, unio.Request{Op: unio.OpRead, Region: reg, Data: got}); !errors.Is(err, unio.ErrRevoked) {
		t.Errorf("after it was invalidated: %v", err)
	}
	ended(t, served)
	if _, err := served.Expose(memory, unio.ReadWrite); !errors.Is(err, unio.ErrDisconnected) {
		t.Errorf("Expose to a peer that is gone: %v", err)
	}
	h.domain.mu.Lock()
	if n := len(h.domain.exposed); n != 1 {
		t.Errorf("%d exposures are left, want the host's", n)
	}
	h.domain.mu.Unlock()
	h.check()
}
