package uniotest

import (
	"hash/fnv"
	"math/rand/v2"
	"sync/atomic"
	"testing"
)

// A check is one promise and the test of it.
type check struct {
	name string
	run  func(*rig)
}

// checks are the subtests of Run, in order: what later ones build on first.
var checks = []check{
	{"Info", checkInfo},
	{"Addressing", checkAddressing},
	{"Edges", checkEdges},
	{"NoCopy", checkNoCopy},
	{"BufferReuse", checkBufferReuse},
	{"Neighbours", checkNeighbours},
	{"Overlap", checkOverlap},
	{"Depth", checkDepth},
	{"ExactlyOnce", checkExactlyOnce},
	{"Silent", checkSilent},
	{"Close", checkClose},
	{"Pinned", checkPinned},
	{"Ownership", checkOwnership},
	{"Visibility", checkVisibility},
	{"Fence", checkFence},
	{"Atomics", checkAtomics},
	{"Counting", checkCounting},
	{"Append", checkAppend},
	{"WriteAtomic", checkWriteAtomic},
	{"Durability", checkDurability},
	{"Crash", checkCrash},
	{"Protection", checkProtection},
	{"Revocation", checkRevocation},
	{"BadInput", checkBadInput},
	{"Unsupported", checkUnsupported},
	{"Errors", checkErrors},
	{"Overload", checkOverload},
	{"Neglect", checkNeglect},
	{"Misuse", checkMisuse},
	{"Stats", checkStats},
	{"Resize", checkResize},
	{"File", checkFile},
	{"Idle", checkIdle},
	{"Allocations", checkAllocations},
}

// Run checks that the device keeps every promise, one subtest for each, and
// that nothing is left behind: no goroutine, descriptor, mapping or Buffer. It
// must not run in parallel with other tests, which it would blame for leaks.
func Run(t *testing.T, c Config) {
	c = c.withDefaults(t)
	s, n := seed(), scale()
	t.Logf("uniotest: seed %d, scale %d%%: repeat with -uniotest.seed=%d -uniotest.n=%d", s, n, s, n)
	before := takeInventory()
	var wedged atomic.Bool
	for _, ck := range checks {
		t.Run(ck.name, func(t *testing.T) {
			if wedged.Load() {
				t.Skip("an earlier check left the device with a request that never ended")
			}
			h := fnv.New64a()
			_, _ = h.Write([]byte(ck.name))
			r := &rig{
				T: t, cfg: c, scale: n, wedged: &wedged,
				rng: rand.New(rand.NewPCG(s, h.Sum64())),
			}
			r.open()
			ck.run(r)
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
