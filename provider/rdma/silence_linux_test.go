package rdma

import (
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/unio-stack/unio"
	"github.com/unio-stack/unio/internal/iwarp"
)

// quick is a keep-alive that a test waits out, with room for a machine that is slow.
const quick = time.Second

// TestSilence waits, for all of its parts at once.
func TestSilence(t *testing.T) {
	var all sync.WaitGroup
	all.Go(func() { t.Run("dead peer", testDeadPeer) })
	all.Go(func() { t.Run("quiet peer", testQuietPeer) })
	all.Go(func() { t.Run("long transfer", testLongTransfer) })
	all.Wait()
}

// testDeadPeer pauses the link: each end finds out in time, whether anything is in flight or not, and what is in flight ends.
func testDeadPeer(t *testing.T) {
	var all sync.WaitGroup
	defer all.Wait()
	for _, c := range []struct {
		name string
		cfg  Config
		busy bool
	}{
		{name: "idle"},
		{name: "idle, plain", cfg: Config{Verbs: true}},
		{name: "busy", busy: true},
		{name: "busy, without CRC", cfg: Config{CRC: CRCOff, Verbs: true}, busy: true},
	} {
		all.Go(func() {
			t.Run(c.name, func(t *testing.T) {
				c.cfg.KeepAlive = quick
				h := newHost(t, c.cfg, Config{CRC: c.cfg.CRC})
				k := newLink(t, h.addr(), lane{}, lane{})
				conn := dialTo(t, k.addr(), c.cfg)
				served := h.accept()
				reg := attach(t, conn, h.all.Key(), unio.ReadWrite)
				do(t, conn, unio.Request{Op: unio.OpWrite, Region: reg, Data: make([]byte, 100)})
				k.pause(up)
				k.pause(down)
				begun := time.Now()
				if c.busy {
					post(t, conn,
						unio.Request{Op: unio.OpRead, Region: reg, Data: make([]byte, 1000)},
						unio.Request{Op: unio.OpWrite, Region: reg, Data: make([]byte, 100_000)},
						unio.Request{Op: unio.OpRecv, Data: make([]byte, 1000)})
					for _, d := range waitFor(t, conn, 3) {
						if !errors.Is(d.Err, unio.ErrDisconnected) {
							t.Error(d.Err)
						}
					}
				}
				for _, c := range []*Conn{conn, served} {
					for c.Err() == nil && time.Since(begun) < patience {
						time.Sleep(time.Millisecond)
					}
					if err := c.Err(); !errors.Is(err, unio.ErrTimeout) || !errors.Is(err, unio.ErrDisconnected) || !strings.Contains(err.Error(), "not answered") {
						t.Errorf("%v", err)
					}
				}
				if took := time.Since(begun); took > 2*quick || took < quick/2 {
					t.Errorf("the dead peer was found after %v; KeepAlive is %v", took, quick)
				}
				ended(t, conn)
				ended(t, served)
				h.check()
			})
		})
	}
}

// testQuietPeer: a peer that has nothing to say, but lives, is not dead.
func testQuietPeer(t *testing.T) {
	var all sync.WaitGroup
	defer all.Wait()
	for name, cfg := range map[string]Config{"unio": {}, "plain": {Verbs: true}, "revision 1": {Plain: true}} {
		all.Go(func() {
			t.Run(name, func(t *testing.T) {
				cfg.KeepAlive = quick / 2
				h := newHost(t, cfg, Config{})
				conn, served := h.pair(cfg)
				if name != "unio" { // before its first FPDU nobody asks it
					reg := attach(t, conn, h.all.Key(), unio.ReadWrite)
					do(t, conn, unio.Request{Op: unio.OpRead, Region: reg, Data: make([]byte, 100)})
				}
				time.Sleep(2 * quick)
				if conn.Err() != nil || served.Err() != nil {
					t.Errorf("%v; %v", conn.Err(), served.Err())
				}
			})
		})
	}
}

// testLongTransfer: a peer that takes or gives a long message over a slow link says nothing meanwhile, and lives.
func testLongTransfer(t *testing.T) {
	var all sync.WaitGroup
	defer all.Wait()
	const size, rate = hostMemory - 100, 300_000
	for _, op := range []unio.Opcode{unio.OpWrite, unio.OpRead, unio.OpSend} {
		all.Go(func() {
			t.Run(op.String(), func(t *testing.T) {
				cfg := Config{KeepAlive: quick}
				h := newHost(t, cfg, Config{})
				k := newLink(t, h.addr(), lane{rate: rate}, lane{rate: rate})
				conn := dialTo(t, k.addr(), cfg)
				served := h.accept()
				r := unio.Request{Op: op, Data: make([]byte, size)}
				if op == unio.OpSend {
					post(t, served, unio.Request{Op: unio.OpRecv, Data: make([]byte, size)})
				} else {
					r.Region = attach(t, conn, h.all.Key(), unio.ReadWrite)
				}
				if err := try(conn, r); err != nil {
					t.Errorf("%v took longer than KeepAlive, and failed: %v; the other end: %v", op, err, served.Err())
				}
				if op == unio.OpSend {
					if d := wait(t, served); d.Err != nil {
						t.Error(d.Err)
					}
				}
				if conn.Err() != nil || served.Err() != nil {
					t.Errorf("%v; %v", conn.Err(), served.Err())
				}
			})
		})
	}
}

// TestPeerThatNeverReads asks for as much as it may and reads nothing: our memory does not grow, others do not notice, and
// keep-alive ends it, since its answers do not come.
func TestPeerThatNeverReads(t *testing.T) {
	h := newHost(t, Config{KeepAlive: quick, IRD: 64}, Config{})
	p, c := h.raw(rawConfig{unio: true, control: 9, SetupConfig: iwarp.SetupConfig{ORD: 64, IRD: 64}})
	before := heap()
	k := h.all.Key()
	for range 64 {
		p.send(func(s *iwarp.Sender) error {
			return s.Read(iwarp.ReadRequest{SinkSTag: 7, Size: uint32(k.Size), SourceSTag: k.STag, SourceTO: k.Base}, 0)
		})
	}
	h.check()
	becomes(t, "it is ended", func() bool { return c.Err() != nil })
	if err := c.Err(); !errors.Is(err, unio.ErrTimeout) && !errors.Is(err, unio.ErrDisconnected) {
		t.Error(err)
	}
	ended(t, c)
	if grown := heap() - before; grown > 4<<20 {
		t.Errorf("%d bytes of memory are in use that were not", grown)
	}
	h.check()
}
