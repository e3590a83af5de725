package uniotest

import (
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/unio-stack/unio"
)

const pairMutantEnv = "UNIOTEST_PAIR_MUTANT"

// TestPairMutants checks RunPeers as TestMutants checks Run: it must pass sound
// peers and fail each of the broken ones.
func TestPairMutants(t *testing.T) {
	names := []string{"none"}
	for i, m := range pairMutants {
		if raceDetector && m.foundBy[0] == "Allocations" {
			continue // which is not measured then
		}
		if !testing.Short() || i%4 == 0 {
			names = append(names, m.name)
		}
	}
	for _, name := range names {
		t.Run(strings.ReplaceAll(name, " ", "-"), func(t *testing.T) {
			t.Parallel()
			out, err := runPairMutant(name, "7")
			for _, seed := range []string{"8", "9"} { // what depends on timing may be missed on a busy machine
				if name != "none" && err == nil {
					out, err = runPairMutant(name, seed)
				}
			}
			switch {
			case name == "none" && err != nil:
				t.Fatalf("the suite fails sound peers: %v\n%s", err, out)
			case name != "none" && err == nil:
				t.Fatalf("the suite passes peers of which one %s:\n%s", name, out)
			case name != "none":
				pairVerdict(t, name, string(out))
			}
		})
	}
}

func runPairMutant(name, seed string) ([]byte, error) {
	cmd := exec.Command(os.Args[0], "-test.run=^TestPairMutantChild$", "-test.failfast", "-test.timeout=60s",
		"-uniotest.seed="+seed, "-uniotest.n=35")
	cmd.Env = append(os.Environ(), pairMutantEnv+"="+name)
	return cmd.CombinedOutput()
}

// pairVerdict checks that broken peers were failed by a check that names the
// defect, or by the race detector or the runtime.
func pairVerdict(t *testing.T, name, out string) {
	if strings.Contains(out, "DATA RACE") || strings.Contains(out, "panic:") || strings.Contains(out, "fatal error:") {
		t.Log("found by the race detector or the runtime")
		return
	}
	i := slices.IndexFunc(pairMutants, func(m pairMutant) bool { return m.name == name })
	for _, check := range pairMutants[i].foundBy {
		if strings.Contains(out, "--- FAIL: TestPairMutantChild/"+check+" ") || check == "" && strings.Contains(out, "left behind") {
			t.Logf("found by %s", check)
			return
		}
	}
	t.Errorf("peers of which one %s fail, but not in %q:\n%s", name, pairMutants[i].foundBy, out)
}

// TestPairMutantChild is the other process of TestPairMutants.
func TestPairMutantChild(t *testing.T) {
	name := os.Getenv(pairMutantEnv)
	if name == "" {
		t.Skip("runs in a process that TestPairMutants starts")
	}
	var cfg PairConfig
	hooks := func() pairHooks { return pairHooks{} }
	for _, m := range pairMutants {
		if m.name == name {
			cfg, hooks = m.cfg, m.hooks
		}
	}
	made := map[*Peer]*Pair{}
	RunPeers(t, PeersConfig{
		Patience: 2 * time.Second,
		Open: func(tb testing.TB) (a, b *Peer) {
			p := newPair(tb, cfg, hooks())
			made[p.A] = p
			return p.A, p.B
		},
		Cut: func(_ testing.TB, a, _ *Peer) { made[a].Cut() },
	})
}

// A pairMutant is a broken pair. Its name completes "peers of which one".
type pairMutant struct {
	name    string
	foundBy []string // checks; "" is the search for leaks
	cfg     PairConfig
	hooks   func() pairHooks
}

// performing is a defect in how one in so many operations of a kind are
// carried out.
func performing(op unio.Opcode, oneIn uint64, f func(q *pairQueue, op *unio.Op) pairResult) func() pairHooks {
	return func() pairHooks {
		now := everyNth(oneIn)
		return pairHooks{perform: func(q *pairQueue, o *unio.Op) pairResult {
			if o.Op == op && now() {
				return f(q, o)
			}
			return q.carryOut(o)
		}}
	}
}

// delivering is a defect in how one in so many messages are received.
func delivering(oneIn uint64, f func(q *pairQueue, p parcel, recv *unio.Op) pairResult) func() pairHooks {
	return func() pairHooks {
		now := everyNth(oneIn)
		return pairHooks{deliver: func(q *pairQueue, p parcel, recv *unio.Op) pairResult {
			if now() {
				return f(q, p, recv)
			}
			return q.receive(p, recv)
		}}
	}
}

// altering is a defect in what one in so many messages are received as.
func altering(oneIn uint64, f func(q *pairQueue, p parcel, res *pairResult)) func() pairHooks {
	return delivering(oneIn, func(q *pairQueue, p parcel, recv *unio.Op) pairResult {
		res := q.receive(p, recv)
		if res.err == nil {
			f(q, p, &res)
		}
		return res
	})
}

// firstPiece returns the first bytes of a request's memory.
func firstPiece(r *unio.Request) []byte {
	if r.Vec != nil {
		return r.Vec[0]
	}
	return r.Data
}
