package rdma

import (
	"bytes"
	"crypto/tls"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/unio-stack/unio"
	"github.com/unio-stack/unio/internal/iwarp"
)

// A flood is what a peer sends without end.
type flood struct {
	name string
	cfg  rawConfig
	// octets are what is sent, again and again; they are made for one connection.
	octets func(p *raw, h *host) []byte
	// goesOn says that it does not stop before this end closes the connection; others stop after floodSize octets.
	goesOn  bool
	secured bool // over TLS too
}

// floodSize is enough to see memory grow that grows with each message.
const floodSize = 2 << 20

// TestFlood has peers send without end: others do not notice, memory does not grow, and Close ends it.
func TestFlood(t *testing.T) {
	depths := iwarp.SetupConfig{IRD: 16, ORD: 16}
	// many is a lot of the same; messages that are numbered cannot be repeated, so they are as many as there can be.
	many := func(p *raw, n int, begin func(i int) func(*iwarp.Sender) error) (octets []byte) {
		for i := range n {
			octets = append(octets, p.cut(begin(i))...)
		}
		return octets
	}
	write := func(size int) func(*raw, *host) []byte {
		return func(p *raw, h *host) []byte {
			k := h.all.Key()
			return many(p, max(1, 60_000/(size+20)), func(int) func(*iwarp.Sender) error {
				return func(s *iwarp.Sender) error { return s.Write(k.STag, k.Base, iwarp.Payload{Data: make([]byte, size)}) }
			})
		}
	}
	for _, c := range []flood{
		{name: "empty Writes", octets: write(0)},
		{name: "small Writes", secured: true, octets: write(1)},
		{name: "large Writes", goesOn: true, secured: true, octets: write(200_000)},
		{name: "empty Writes to nowhere", octets: func(p *raw, h *host) []byte {
			return bytes.Repeat(p.fpdu(tagged(ddpLast, iwarp.OpWrite, 0xdead, 1)), 2000)
		}},
		{name: "credits", cfg: rawConfig{unio: true, control: 9}, octets: func(p *raw, h *host) []byte {
			return many(p, 2000, func(i int) func(*iwarp.Sender) error {
				return func(s *iwarp.Sender) error {
					return s.Write(p.trailer.control, 0, iwarp.Payload{Data: []byte{byte(i >> 8), byte(i), 0, 0}})
				}
			})
		}},
		{name: "a message without end", octets: func(p *raw, h *host) []byte {
			k := h.all.Key()
			return bytes.Repeat(p.fpdu(tagged(ddpMore, iwarp.OpWrite, k.STag, k.Base)), 2000) // segments of nothing
		}},
	} {
		for _, secured := range []bool{false, true} {
			name := c.name
			if secured {
				name += ", TLS"
			}
			if secured && !c.secured {
				continue
			}
			t.Run(name, func(t *testing.T) {
				c.cfg.SetupConfig = depths
				testFlood(t, c, secured)
			})
		}
	}
}

func testFlood(t *testing.T, c flood, secured bool) {
	var cfg, dialed Config
	var client *tls.Config
	if secured {
		a := newAuthority(t)
		cfg.TLS, dialed.TLS, client = a.server(), a.client(), a.client()
		client.ServerName = "127.0.0.1"
	}
	h := newHost(t, cfg, dialed)
	var flooding, closing sync.WaitGroup
	defer flooding.Wait()
	var served []*Conn
	var peers []*raw
	before := heap()
	for range 2 {
		p := rawConnect(t, h.addr())
		if client != nil {
			p.conn = tls.Client(p.tcp, client)
		}
		p.initiate(c.cfg)
		served = append(served, h.accept())
		peers = append(peers, p)
		octets := c.octets(p, h)
		flooding.Go(func() {
			for sent := 0; c.goesOn || sent < floodSize; sent += len(octets) {
				if _, err := p.conn.Write(octets); err != nil {
					return
				}
			}
		})
	}
	time.Sleep(20 * time.Millisecond) // of flood
	h.check()
	if grown := heap() - before; grown > floodSize {
		t.Errorf("%d bytes of memory are in use that were not", grown)
	}
	for i, conn := range served {
		begun := time.Now()
		err := conn.Err()
		if took := time.Since(begun); err != nil || took > closingTime {
			t.Errorf("%v, after %v", err, took)
		}
		if !c.goesOn {
			_ = peers[i].tcp.Close()
		}
		closing.Go(func() {
			if err := conn.Close(); err != nil {
				t.Error(err)
			}
			if took := time.Since(begun); took > 4*closingTime { // the machine has much to do
				t.Errorf("Close took %v", took)
			}
		})
	}
	closing.Wait()
	h.check()
}

// TestFloodOfRequests has a peer ask for more and more without reading what it gets: as soon as it may not, it is refused.
func TestFloodOfRequests(t *testing.T) {
	h := newHost(t, Config{IRD: 16}, Config{})
	for _, op := range []iwarp.Opcode{iwarp.OpReadRequest, iwarp.OpAtomicRequest} {
		p, c := h.raw(rawConfig{unio: true, control: 9, SetupConfig: iwarp.SetupConfig{IRD: 16, ORD: 16}})
		before := heap()
		k := h.all.Key()
		for i := uint32(1); ; i++ {
			body := readRequest(8, k.STag, k.Base)
			if op == iwarp.OpAtomicRequest {
				body = atomicRequestBody(0, i, k.STag, k.Base)
			}
			_ = p.conn.SetWriteDeadline(time.Now().Add(patience))
			if _, err := p.conn.Write(p.fpdu(untagged(ddpLast, op, 0, 1, i, 0), body)); err != nil {
				break // refused, in the end
			}
			if i%1000 == 0 && c.Err() != nil {
				break
			}
		}
		if err := c.Err(); !errors.Is(err, unio.ErrBusy) && !errors.Is(err, unio.ErrDisconnected) {
			t.Error(err)
		}
		if grown := heap() - before; grown > 4<<20 {
			t.Errorf("%d bytes of memory are in use that were not", grown)
		}
		_ = p.conn.Close()
		h.check()
	}
}
