package uniotest_test

import (
	"testing"

	"github.com/unio-stack/unio"
	"github.com/unio-stack/unio/uniotest"
)

// pairs are the kinds of connection that the suite must pass.
var pairs = []struct {
	name string
	cfg  uniotest.PairConfig
}{
	{"plain", uniotest.PairConfig{}},
	{"fatal", uniotest.PairConfig{Fatal: true, Inline: 3}},
	{"small", uniotest.PairConfig{Depth: 16, MaxDepth: 16, MaxMessage: 100, Window: 1}},
	{"messages", uniotest.PairConfig{Native: unio.Ops(unio.OpSend, unio.OpRecv), Depth: 200, Window: 64, Inline: 1}},
}

func TestPair(t *testing.T) {
	for _, p := range pairs {
		t.Run(p.name, func(t *testing.T) {
			made := map[*uniotest.Peer]*uniotest.Pair{}
			uniotest.RunPeers(t, uniotest.PeersConfig{
				Open: func(t testing.TB) (a, b *uniotest.Peer) {
					pair := uniotest.NewPair(t, p.cfg)
					made[pair.A] = pair
					return pair.A, pair.B
				},
				Cut: func(_ testing.TB, a, _ *uniotest.Peer) { made[a].Cut() },
			})
		})
	}
}
