package rdma

import (
	"context"
	"encoding/binary"
	"errors"
	"testing"
	"time"

	"github.com/unio-stack/unio"
)

// The network is cut in the middle of everything, and healed: each request ends once; what is Idempotent ends well, and what
// is not, was done at most once; and the next ones find all that ended well. The network may reset connections, end them in
// good order, or swallow everything until either end has given the other up.
func TestCutAndHealed(t *testing.T) {
	const rounds, each = 6, 48
	quickly := Config{KeepAlive: 400 * time.Millisecond, HandshakeTimeout: 400 * time.Millisecond}
	r := &ram{bytes: make([]byte, rounds*3*each*4096), late: true}
	addr, open := target(t, r, quickly)
	k := newLink(t, addr, lane{delay: time.Millisecond}, lane{delay: time.Millisecond})
	dev, err := OpenRegion(t.Context(), k.addr(), "ram", false, quickly)
	if err != nil {
		t.Fatal(err)
	}
	defer dev.Close()
	reg, err := dev.Attach(t.Context(), "", unio.ReadWrite)
	if err != nil {
		t.Fatal(err)
	}
	ch, err := dev.NewChannel(unio.ChannelConfig{Depth: 3 * each})
	if err != nil {
		t.Fatal(err)
	}
	lost := 0
	for round := range rounds {
		h := &healing{t: t, base: int64(round) * 3 * each * 4096, reg: reg, ch: ch}
		h.post(each)
		switch round % 3 {
		case 0:
			k.cut(true)
		case 1:
			k.cut(false)
		case 2:
			k.pause(up)
			k.pause(down)
			h.take() // what is not Idempotent: it ends when the other end has been silent for long enough
			k.resume(up)
			k.resume(down)
		}
		for len(h.ended) < 3*each {
			h.take()
		}
		lost += h.lost
		becomes(t, "what was in flight has ended at the target", func() bool { return open.Load() == 1 })
		h.verify()
	}
	if lost == 0 {
		t.Error("nothing was ever in flight when the network was cut")
	}
}

// A healing is one round: for each number an Idempotent Write, a Write that is not, and a FetchAdd, each at a place of its own.
type healing struct {
	t     *testing.T
	base  int64
	reg   *unio.Region
	ch    *unio.Channel
	reqs  []unio.Request
	ended map[uint64]error
	lost  int
}

func (h *healing) post(each int) {
	h.ended = map[uint64]error{}
	for i := range 3 * each {
		q := unio.Request{ID: uint64(i), Op: unio.OpWrite, Region: h.reg, Offset: h.base + int64(i)*4096}
		switch i % 3 {
		case 0:
			q.Flags = unio.Idempotent
			fallthrough
		case 1:
			q.Data = make([]byte, 4096)
			fill(q.Data, byte(i)|1)
		case 2:
			q.Op, q.Swap = unio.OpFetchAdd, 1
		}
		h.reqs = append(h.reqs, q)
	}
	if n, err := h.ch.Post(h.reqs...); n != len(h.reqs) {
		h.t.Fatal(err)
	}
}

// take waits for some completions.
func (h *healing) take() {
	var done [16]unio.Completion
	ctx, stop := context.WithTimeout(h.t.Context(), patience/2)
	defer stop()
	n, err := h.ch.Wait(ctx, done[:])
	if err != nil {
		h.t.Fatalf("%d of %d requests have ended, and no more do: %v", len(h.ended), len(h.reqs), err)
	}
	for _, c := range done[:n] {
		if _, twice := h.ended[c.ID]; twice {
			h.t.Fatalf("request %d has ended twice", c.ID)
		}
		h.ended[c.ID] = c.Err
		switch q := &h.reqs[c.ID]; {
		case c.Err == nil:
		case q.Flags&unio.Idempotent != 0:
			h.t.Errorf("an Idempotent %v fails: %v", q.Op, c.Err)
		case !errors.Is(c.Err, unio.ErrDisconnected):
			h.t.Errorf("%v: %v", q.Op, c.Err)
		default:
			h.lost++
		}
	}
}

// verify reads everything.
func (h *healing) verify() {
	p := make([]byte, 4096)
	for i, q := range h.reqs {
		read := unio.Request{Op: unio.OpRead, Region: h.reg, Offset: q.Offset, Data: p, Flags: unio.Idempotent}
		if err := h.ch.Do(h.t.Context(), read); err != nil {
			h.t.Fatal(err)
		}
		well := h.ended[uint64(i)] == nil
		if q.Op == unio.OpFetchAdd {
			if n := binary.LittleEndian.Uint64(p); n > 1 || well && n != 1 {
				h.t.Errorf("a FetchAdd that ended with %v was done %d times", h.ended[uint64(i)], n)
			}
			continue
		}
		if is := all(p, q.Data[0]); well && !is || !well && !is && !all(p, 0) {
			h.t.Errorf("a Write that ended with %v has left %x…", h.ended[uint64(i)], p[:4])
		}
	}
}
