package rdma

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"math/rand/v2"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/unio-stack/unio"
	"github.com/unio-stack/unio/internal/iwarp"
)

// partial reports whether a message has come in part.
func partial(c *Conn) bool {
	c.q.mu.Lock()
	defer c.q.mu.Unlock()
	return c.q.in.partial
}

// TestCancelRecvUnderWay cancels a Recv while half its message is there, with another Recv behind it. The message goes to
// that one, and the next message, for which the peer has been told of a Recv, is kept.
func TestCancelRecvUnderWay(t *testing.T) {
	h := newHost(t, Config{}, Config{})
	p, c := h.raw(rawConfig{unio: true, control: 0x99})
	first, second, third := make([]byte, 16), bytes.Repeat([]byte{secret}, 16), make([]byte, 16)
	post(t, c, unio.Request{ID: 1, Op: unio.OpRecv, Data: first}, unio.Request{ID: 2, Op: unio.OpRecv, Data: second})
	p.write(p.fpdu(untagged(ddpMore, iwarp.OpSend, 0, 0, 1, 0), []byte("half a m")))
	becomes(t, "half a message has come", func() bool { return partial(c) })
	c.Channel().Cancel(1)
	if d := wait(t, c); d.ID != 1 || !errors.Is(d.Err, unio.ErrCanceled) {
		t.Fatalf("%+v", d)
	}
	fill(first, secret) // it is ours again
	p.write(p.fpdu(untagged(ddpLast, iwarp.OpSend, 0, 0, 1, 8), []byte("essage")))
	if d := wait(t, c); d.ID != 2 || d.Err != nil || string(second[:d.N]) != "half a message" || !all(second[d.N:], secret) {
		t.Fatalf("%+v: %q", d, second)
	}
	p.write(p.fpdu(untagged(ddpLast, iwarp.OpSend, 0, 0, 2, 0), []byte("another")))
	time.Sleep(10 * time.Millisecond) // so that it is there before the Recv, as a rule
	post(t, c, unio.Request{ID: 3, Op: unio.OpRecv, Data: third})
	if d := wait(t, c); d.ID != 3 || d.Err != nil || string(third[:d.N]) != "another" {
		t.Errorf("%+v: %q", d, third)
	}
	if !all(first, secret) {
		t.Error("the memory of a cancelled Recv was changed")
	}
}

// TestCancelRecvForLonger cancels a Recv under way whose message is too long for the next one: that one is the reason of the end.
func TestCancelRecvForLonger(t *testing.T) {
	h := newHost(t, Config{}, Config{})
	p, c := h.raw(rawConfig{unio: true, control: 0x99})
	post(t, c, unio.Request{ID: 1, Op: unio.OpRecv, Data: make([]byte, 16)}, unio.Request{ID: 2, Op: unio.OpRecv, Data: make([]byte, 3)},
		unio.Request{ID: 3, Op: unio.OpRecv, Data: make([]byte, 16)})
	p.write(p.fpdu(untagged(ddpMore, iwarp.OpSend, 0, 0, 1, 0), []byte("half a m")))
	becomes(t, "half a message has come", func() bool { return partial(c) })
	c.Channel().Cancel(1)
	if d := wait(t, c); d.ID != 1 || !errors.Is(d.Err, unio.ErrCanceled) {
		t.Fatalf("%+v", d)
	}
	p.write(p.fpdu(untagged(ddpLast, iwarp.OpSend, 0, 0, 1, 8), []byte("essage")))
	for _, d := range waitFor(t, c, 2) {
		if errors.Is(d.Err, unio.ErrOutOfRange) != (d.ID == 2) || d.ID == 3 && !errors.Is(d.Err, unio.ErrDisconnected) {
			t.Errorf("%+v", d)
		}
	}
	p.terminate()
	h.check()
}

// TestRecvHistory posts and cancels Recvs at random while a peer sends at random, in segments, as much as it has been told it
// may. Every message comes once, in order; every Recv ends once; the peer is never told too much.
func TestRecvHistory(t *testing.T) {
	for round := range 20 {
		seed := uint64(time.Now().UnixNano()) + uint64(round)
		if !recvHistory(t, seed) {
			t.Fatalf("seed %d", seed)
		}
	}
}

func recvHistory(t *testing.T, seed uint64) bool {
	h := newHost(t, Config{Channel: unio.ChannelConfig{Depth: 16}}, Config{})
	rng := rand.New(rand.NewPCG(seed, 0))
	p, c := h.raw(rawConfig{unio: true, control: 0x99})
	defer p.tcp.Close()
	var limit atomic.Uint32
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for {
			e, err := p.next()
			if err != nil || e.Kind != iwarp.EventMessage {
				return
			}
			if e.Segment.Opcode == iwarp.OpWrite && len(p.payload) == 4 {
				limit.Store(binary.BigEndian.Uint32(p.payload))
			}
		}
	}()
	defer func() {
		_ = p.tcp.Close()
		<-ended
	}()
	p.send(func(s *iwarp.Sender) error { return s.Write(1, 0, iwarp.Payload{}) }) // a responder waits for this
	const size = 24
	var (
		sent, got uint32 // messages
		mo        uint32 // octets of the message that is being sent
		left      int    // segments of it to come; 0: none is
		posted    = map[uint64][]byte{}
		ids       []uint64
		id        uint64
	)
	reap := func(block bool) bool {
		done := make([]unio.Completion, 16)
		n := c.Channel().Poll(done)
		if n == 0 && block {
			ctx, stop := context.WithTimeout(context.Background(), patience)
			defer stop()
			var err error
			if n, err = c.Channel().Wait(ctx, done); err != nil {
				t.Errorf("%d of %d messages have come: %v", got, sent, err)
				return false
			}
		}
		for _, d := range done[:n] {
			data, ok := posted[d.ID]
			if !ok {
				t.Errorf("%+v is no Recv's", d)
				return false
			}
			delete(posted, d.ID)
			ids = slices.DeleteFunc(ids, func(id uint64) bool { return id == d.ID })
			switch {
			case errors.Is(d.Err, unio.ErrCanceled):
				fill(data, secret)
			case d.Err != nil:
				t.Errorf("%d sent, %d received: %v", sent, got, d.Err)
				return false
			default:
				got++
				if d.N < 4 || binary.BigEndian.Uint32(data) != got || !all(data[4:d.N], byte(got)) {
					t.Errorf("message %d is %x", got, data[:d.N])
					return false
				}
			}
		}
		return true
	}
	post := func() {
		id++
		data := make([]byte, size)
		if n, _ := c.Channel().Post(unio.Request{ID: id, Op: unio.OpRecv, Data: data}); n == 1 {
			posted[id] = data
			ids = append(ids, id)
		}
	}
	segment := func() {
		if left == 0 {
			if sent == limit.Load() {
				return
			}
			sent++
			left, mo = 1+rng.IntN(3), 0
		}
		data := bytes.Repeat([]byte{byte(sent)}, rng.IntN(7))
		if mo == 0 {
			data = binary.BigEndian.AppendUint32(nil, sent)
		}
		left--
		control := byte(ddpMore)
		if left == 0 {
			control = ddpLast
		}
		_, _ = p.conn.Write(p.fpdu(untagged(control, iwarp.OpSend, 0, 0, sent, mo), data))
		mo += uint32(len(data))
	}
	for range 400 {
		switch rng.IntN(8) {
		case 0, 1:
			post()
		case 2:
			if len(ids) > 0 {
				i := rng.IntN(len(ids)) // the oldest is the one that a message comes for
				if rng.IntN(2) == 0 {
					i = 0
				}
				c.Channel().Cancel(ids[i])
			}
		case 3, 4, 5:
			segment()
		default:
			if !reap(false) {
				return false
			}
		}
		if rng.IntN(16) == 0 {
			time.Sleep(time.Duration(rng.IntN(300)) * time.Microsecond)
		}
	}
	for left > 0 {
		segment()
	}
	for got < sent {
		post()
		if !reap(true) {
			return false
		}
	}
	for d := range posted { // their memory is nobody's
		c.Channel().Cancel(d)
	}
	for len(posted) > 0 {
		if !reap(true) {
			return false
		}
	}
	return c.Err() == nil
}
