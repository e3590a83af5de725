package uniotest

import (
	"hash/fnv"
	"math/rand/v2"
	"sync/atomic"
	"testing"
	"time"

	"github.com/unio-stack/unio"
)

// A Peer is one side of a connection, as a test of the suite finds it.
type Peer struct {
	// Device and Channel are the connection's; the channel has nothing in
	// flight, a depth of 16 or more, and takes messages of 64 bytes or more.
	Device  *unio.Device
	Channel *unio.Channel
	// Expose makes size bytes of zeroed memory reachable for the other side.
	// What has to be freed is withdrawn and freed by t.Cleanup. Leave Expose nil
	// where peers exchange messages only.
	Expose func(t testing.TB, size int, rights unio.Rights) *Exposed
	// Close ends this side of the connection; default Device.Close.
	Close func() error
}

func (p *Peer) close() error {
	if p.Close != nil {
		return p.Close()
	}
	return p.Device.Close()
}

// Exposed is memory that the other side of a connection may reach.
type Exposed struct {
	// Bytes is the memory. The test reads it when it knows that the other
	// side's requests have ended.
	Bytes []byte
	// Attach returns the other side's region of it. The suite closes it.
	Attach func(rights unio.Rights) (*unio.Region, error)
	// Revoke withdraws it: when it returns nothing of the other side touches
	// the memory any more.
	Revoke func() error
}

// PeersConfig says how to reach the connections under test.
type PeersConfig struct {
	// Open returns the two sides of a fresh connection, which the suite closes.
	// It is called several times, also while earlier connections are open.
	// Required.
	Open func(t testing.TB) (a, b *Peer)
	// Cut breaks a connection without either side's doing, as a cable does that
	// is cut. Both sides must find out within Patience. Leave it nil where that
	// cannot be simulated.
	Cut func(t testing.TB, a, b *Peer)
	// Allocates says that the peers are test doubles that allocate memory for
	// every request.
	Allocates bool
	// Patience is how long a request may take before it counts as lost;
	// default 20 seconds.
	Patience time.Duration
}

// A peersCheck is one promise between peers and the test of it.
type peersCheck struct {
	name string
	run  func(*duo)
}

// peersChecks are the subtests of RunPeers, in order.
var peersChecks = []peersCheck{
	{"Info", checkPeersInfo},
	{"Messages", checkPeersMessages},
	{"Duplex", checkPeersDuplex},
	{"Immediate", checkPeersImmediate},
	{"Solicited", checkPeersSolicited},
	{"Silent", checkPeersSilent},
	{"Fence", checkPeersFence},
	{"Backpressure", checkPeersBackpressure},
	{"Depth", checkPeersDepth},
	{"Cancel", checkPeersCancel},
	{"Ownership", checkPeersOwnership},
	{"TooLong", checkPeersTooLong},
	{"Memory", checkPeersMemory},
	{"Visibility", checkPeersVisibility},
	{"Placement", checkPeersPlacement},
	{"Counting", checkPeersCounting},
	{"History", checkPeersHistory},
	{"Invalidate", checkPeersInvalidate},
	{"Revocation", checkPeersRevocation},
	{"Protection", checkPeersProtection},
	{"Farewell", checkPeersFarewell},
	{"Close", checkPeersClose},
	{"Cut", checkPeersCut},
	{"BadInput", checkPeersBadInput},
	{"Stats", checkPeersStats},
	{"Idle", checkPeersIdle},
	{"Allocations", checkPeersAllocations},
}

// RunPeers checks that connected peers keep every promise, one subtest for
// each, and that nothing is left behind, as [Run] does for devices: messages,
// exposed memory, and how connections end. Some promises are kept in one of two
// ways: what a peer may not do fails alone, or ends the connection. It must not
// run in parallel with other tests, which it would blame for leaks.
func RunPeers(t *testing.T, c PeersConfig) {
	if c.Open == nil {
		t.Fatal("uniotest: PeersConfig.Open is nil; it must open a connection to test")
	}
	if c.Patience <= 0 {
		c.Patience = defaultPatience
	}
	s, n := seed(), scale()
	t.Logf("uniotest: seed %d, scale %d%%: repeat with -uniotest.seed=%d -uniotest.n=%d", s, n, s, n)
	before := takeInventory()
	var wedged atomic.Bool
	for _, ck := range peersChecks {
		t.Run(ck.name, func(t *testing.T) {
			if wedged.Load() {
				t.Skip("an earlier check left a connection with a request that never ended")
			}
			h := fnv.New64a()
			_, _ = h.Write([]byte(ck.name))
			d := &duo{peers: c, rig: &rig{
				T: t, cfg: Config{Patience: c.Patience}, scale: n, wedged: &wedged,
				rng: rand.New(rand.NewPCG(s, h.Sum64())),
			}}
			d.areas = newAreas(d.rig)
			d.sides = [2]*areas{newAreas(d.rig), newAreas(d.rig)}
			d.a, d.b = d.either()
			d.info = d.a.Device.Info()
			d.ops = d.info.Native | d.info.Provided
			ck.run(d)
		})
	}
	if wedged.Load() {
		t.Log("leaks not looked for: a request never ended")
		return
	}
	for _, leak := range before.leaks() {
		t.Errorf("left behind: %s", leak)
	}
}
