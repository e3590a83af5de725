package uniotest

import (
	"errors"
	"math/rand/v2"

	"github.com/unio-stack/unio"
)

// A duo is what one check of RunPeers works with: a rig whose device is the
// first of two connected peers.
type duo struct {
	*rig
	peers PeersConfig
	a, b  *Peer
	// sides is memory for each side's own goroutine, which is freed when all
	// connections are closed.
	sides [2]*areas
}

// A side tells which of two peers.
type side int

const (
	first side = iota
	second
)

// A channel that the suite can work with has this depth, and takes messages of
// this many bytes.
const (
	minPeerDepth   = 16
	minPeerMessage = 64
)

// connect opens a connection, which is closed at the end of the check.
func (d *duo) connect() (a, b *Peer) {
	d.Helper()
	a, b = d.peers.Open(d.T)
	for _, p := range []*Peer{a, b} {
		d.Cleanup(func() { d.end("Close of a peer", p.close) })
		if depth, size := p.Channel.Depth(), p.Device.Info().MaxMessage; depth < minPeerDepth || size < minPeerMessage {
			d.Fatalf("a channel of depth %d for messages of up to %d bytes; the suite needs %d and %d", depth, size, minPeerDepth, minPeerMessage)
		}
	}
	return a, b
}

// either is connect for checks that treat the sides differently: each is the
// first now and then.
func (d *duo) either() (a, b *Peer) {
	d.Helper()
	a, b = d.connect()
	if d.rng.IntN(2) == 0 {
		a, b = b, a
	}
	return a, b
}

// exposes ends the check where the peers expose no memory, or do not offer the
// operations on it.
func (d *duo) exposes(ops ...unio.Opcode) {
	d.Helper()
	if d.a.Expose == nil {
		d.Skip("not applicable: Peer.Expose is nil")
	}
	d.needs(ops...)
}

// window exposes memory of p and returns it with the region of it that the
// other side has.
func (d *duo) window(p *Peer, size int, rights unio.Rights) (*Exposed, *unio.Region) {
	d.Helper()
	x := p.Expose(d.T, size, rights)
	if len(x.Bytes) != size {
		d.Fatalf("Expose of %d bytes returned %d", size, len(x.Bytes))
	}
	return x, d.reach(x, rights)
}

// reach attaches exposed memory, and closes the region at the end of the check.
func (d *duo) reach(x *Exposed, rights unio.Rights) *unio.Region {
	d.Helper()
	reg, err := x.Attach(rights)
	if err != nil {
		d.Fatalf("attach exposed memory %v: %v", rights, err)
	}
	if reg.Size() != int64(len(x.Bytes)) {
		d.Fatalf("the region of %d exposed bytes has %d", len(x.Bytes), reg.Size())
	}
	d.Cleanup(func() { d.end("Close of a region of a peer's memory", reg.Close) })
	return reg
}

// half returns a rig for one side alone: its device, its region of the other's
// memory, if it has one, and memory that no earlier half of that side uses.
func (d *duo) half(s side, p *Peer, reg *unio.Region) *rig {
	d.sides[s].reset()
	return &rig{
		T: d.T, cfg: d.cfg, scale: d.scale, wedged: d.wedged, rng: d.fork(),
		dev: p.Device, reg: reg, info: d.info, ops: d.ops, areas: d.sides[s],
	}
}

// longest returns how long the messages of a check are at most: at least 64 bytes.
func (d *duo) longest() int {
	return int(min(d.a.Device.Info().MaxMessage, d.b.Device.Info().MaxMessage, maxLength))
}

// messageLength returns a random length of a message: most are short, some are
// empty, some as long as can be.
func messageLength(rng *rand.Rand, longest int) int {
	n := 0
	switch dice := rng.IntN(30); {
	case dice < 3:
	case dice < 12:
		n = 1 + rng.IntN(64)
	case dice < 21:
		n = 1 + rng.IntN(4096)
	case dice < 28:
		n = 1<<(6+rng.IntN(10)) + rng.IntN(3) - 1
	case dice == 28:
		n = 1 + rng.IntN(longest)
	default:
		n = longest - rng.IntN(3)
	}
	return min(max(n, 0), longest)
}

// lost reports whether a request failed because there is no connection.
func lost(err error) bool { return errors.Is(err, unio.ErrDisconnected) }

// forbidden reports whether err is what an access may fail with that the other
// side does not permit: the reason, or the end of the connection for it.
func forbidden(err error, reasons ...error) bool {
	for _, r := range append(reasons, unio.ErrDisconnected) {
		if errors.Is(err, r) {
			return true
		}
	}
	return false
}

// send sends one message from p, and says how that ended.
func (d *duo) send(p *Peer, q unio.Request) error {
	_, err := succeed(p.Channel, d.cfg.Patience, []unio.Request{q})
	return err
}

// exchange sends one request's message from one side to a Recv of n bytes on
// the other, and returns the Recv's completion and memory.
func (d *duo) exchange(from, to *Peer, q unio.Request, n int) (unio.Completion, []byte) {
	d.Helper()
	buf := fillOf(n, poisonByte)
	if k, err := to.Channel.Post(unio.Request{Op: unio.OpRecv, Data: buf}); k != 1 {
		d.Fatalf("Post of a Recv: %v", err)
	}
	d.check(d.send(from, q))
	all := d.drain(to.Channel)
	if len(all) != 1 {
		d.Fatalf("%d completions of one Recv: %+v", len(all), all)
	}
	return all[0], buf
}

// alive checks that the connection carries messages both ways.
func (d *duo) alive(a, b *Peer) {
	d.Helper()
	for _, way := range [][2]*Peer{{a, b}, {b, a}} {
		want := payload(d.rng, 1+d.rng.IntN(min(200, d.longest())))
		got, buf := d.exchange(way[0], way[1], unio.Request{Op: unio.OpSend, Data: want}, 200)
		if got.Err != nil || got.N != int64(len(want)) || differ(buf[:len(want)], want) >= 0 {
			d.Fatalf("the connection does not work any more: a message of %d bytes was received as %+v", len(want), got)
		}
	}
}
