package uniotest

import (
	"math/rand/v2"
	"sync"
	"testing"

	"github.com/unio-stack/unio"
)

// PairConfig configures a Pair. The zero value works.
type PairConfig struct {
	// Native is what the peers do; default every message, Read, Write,
	// CompareSwap and FetchAdd.
	Native unio.OpSet
	// MaxMessage in bytes is the longest Send; default 1 MiB.
	MaxMessage int64
	// MaxDepth is as in unio.Info; default no limit.
	MaxDepth int
	// Depth is that of both channels; default 64.
	Depth int
	// Window is how many messages in each direction have left their sender and
	// wait for a Recv, at most; default 4. Each holds a copy of its bytes.
	Window int
	// Fatal makes what a peer is not permitted to do end the connection, as on
	// an RDMA network; otherwise it fails alone.
	Fatal bool
	// Inline makes one operation in so many end inside Submit; 0 is never.
	Inline int
	// Seed of delays and reordering.
	Seed uint64
}

func (c PairConfig) withDefaults() PairConfig {
	if c.Native == 0 {
		c.Native = unio.MessageOps | unio.Ops(unio.OpRead, unio.OpWrite, unio.OpCompareSwap, unio.OpFetchAdd)
	}
	if c.MaxMessage == 0 {
		c.MaxMessage = 1 << 20
	}
	if c.Depth == 0 {
		c.Depth = 64
	}
	if c.Window == 0 {
		c.Window = 4
	}
	return c
}

// A Pair is two devices in one process that are each other's peer, for tests of
// what is above a connection: what [RAMDisk] is for disks. Each side has one
// channel, and its own goroutine carries requests out in any order that package
// unio permits, after a random short time; messages keep theirs, and Writes come
// before the messages behind them. What the core must never submit fails the
// test.
//
// A message longer than the Recv that takes it ends the connection, as on an
// RDMA network. Closing a channel does too, once what has left it is received.
type Pair struct {
	A, B *Peer // the two sides; immutable

	tb    testing.TB
	cfg   PairConfig
	hooks pairHooks
	ends  [2]*pairEnd // of A and B; immutable

	mu     sync.Mutex // guards the ends and their queues too
	broken bool       // guarded by mu
}

// pairHooks let a test put a defect into the pair. A nil hook is no defect.
// All but sleep and close are called with Pair.mu held.
type pairHooks struct {
	perform func(q *pairQueue, op *unio.Op) pairResult
	deliver func(q *pairQueue, p parcel, recv *unio.Op) pairResult
	report  func(q *pairQueue, res pairResult)
	cancel  func(q *pairQueue, op *unio.Op) bool
	revoke  func(x *exposure)
	sever   func(e *pairEnd) bool // the connection is cut
	leave   func(e *pairEnd) bool // e's channel is closed
	sleep   func(q *pairQueue)
	close   func(q *pairQueue)
	// hasty lets messages overtake Writes, endless lets any number wait for a Recv.
	hasty, endless bool
}

// NewPair returns two connected peers with a channel each; tb is told what the
// core does wrong. Close both devices when they are no longer used.
func NewPair(tb testing.TB, cfg PairConfig) *Pair { return newPair(tb, cfg, pairHooks{}) }

func newPair(tb testing.TB, cfg PairConfig, hooks pairHooks) *Pair {
	tb.Helper()
	p := &Pair{tb: tb, cfg: cfg.withDefaults(), hooks: hooks}
	a, b := p.newEnd("a"), p.newEnd("b")
	a.peer, b.peer = b, a
	p.ends = [2]*pairEnd{a, b}
	p.A, p.B = p.open(a), p.open(b)
	return p
}

func (p *Pair) newEnd(name string) *pairEnd {
	return &pairEnd{
		pair: p, name: name,
		rng: rand.New(rand.NewPCG(p.cfg.Seed, uint64(name[0]))),
		info: unio.Info{
			Provider: "pair", Name: "peer " + name, Engine: "goroutine", Reason: "for tests",
			Native: p.cfg.Native, MaxMessage: p.cfg.MaxMessage, MaxDepth: p.cfg.MaxDepth,
			Persistence: unio.Volatile, Shared: true,
		},
		exposed: map[string]*exposure{},
	}
}

// open makes a Peer of an end.
func (p *Pair) open(e *pairEnd) *Peer {
	p.tb.Helper()
	e.dev = unio.NewDevice(e)
	ch, err := e.dev.NewChannel(unio.ChannelConfig{Depth: p.cfg.Depth})
	if err != nil {
		p.tb.Fatal(err)
	}
	return &Peer{
		Device: e.dev, Channel: ch,
		Expose: func(_ testing.TB, size int, rights unio.Rights) *Exposed { return e.expose(size, rights) },
	}
}

// Cut breaks the connection, as if its cable were cut: what is in flight on
// either side fails, and what has left but is not received is lost.
func (p *Pair) Cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.sever()
}

// sever ends the connection. Called with mu held.
func (p *Pair) sever() {
	p.broken = true
	for _, e := range p.ends {
		if h := p.hooks.sever; h == nil || !h(e) {
			e.sever()
		}
	}
}
