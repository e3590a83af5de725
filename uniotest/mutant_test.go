package uniotest

import (
	"math/rand/v2"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/unio-stack/unio"
	"github.com/unio-stack/unio/uniotest/crash"
)

const mutantEnv = "UNIOTEST_MUTANT"

// TestMutants checks the suite: it must pass a sound device and fail each of
// the broken ones. Each runs in a process of its own, because a broken device
// may hang, crash and leak.
func TestMutants(t *testing.T) {
	names := []string{"none"}
	for i, m := range mutants {
		if !testing.Short() || i%4 == 0 {
			names = append(names, m.name)
		}
	}
	for _, name := range names {
		t.Run(strings.ReplaceAll(name, " ", "-"), func(t *testing.T) {
			t.Parallel()
			out, err := runMutant(t, name)
			if name == "none" {
				if err != nil {
					t.Fatalf("the suite fails a sound device: %v\n%s", err, out)
				}
				return
			}
			if err == nil {
				t.Fatalf("the suite passes a device that %s:\n%s", name, out)
			}
			verdict(t, name, out)
		})
	}
}

// runMutant runs the suite over the device of that name.
func runMutant(t *testing.T, name string) (string, error) {
	cmd := exec.Command(os.Args[0], "-test.run=^TestMutantChild$", "-test.failfast", "-test.timeout=60s",
		"-uniotest.seed=7", "-uniotest.n=60")
	cmd.Env = append(os.Environ(), mutantEnv+"="+name)
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// verdict checks that a broken device was failed by a check that names the
// defect, or by the race detector or the runtime.
func verdict(t *testing.T, name, out string) {
	if strings.Contains(out, "DATA RACE") || strings.Contains(out, "panic:") || strings.Contains(out, "fatal error:") {
		t.Log("found by the race detector or the runtime")
		return
	}
	i := slices.IndexFunc(mutants, func(m mutant) bool { return m.name == name })
	for _, check := range mutants[i].foundBy {
		if strings.Contains(out, "--- FAIL: TestMutantChild/"+check+" ") || check == "" && strings.Contains(out, "left behind") {
			t.Logf("found by %s", check)
			return
		}
	}
	t.Errorf("a device that %s fails, but not in %q:\n%s", name, mutants[i].foundBy, out)
}

// TestMutantChild is the other process of TestMutants.
func TestMutantChild(t *testing.T) {
	name := os.Getenv(mutantEnv)
	if name == "" {
		t.Skip("runs in a process that TestMutants starts")
	}
	cfg := Config{Patience: 2 * time.Second, Open: openDisk(RAMDiskConfig{}, ramHooks{})}
	for _, m := range mutants {
		if m.name == name {
			if m.hooks != nil {
				cfg.Open = openDisk(m.cfg, m.hooks())
			}
			if m.change != nil {
				m.change(&cfg)
			}
		}
	}
	Run(t, cfg)
}

func openDisk(cfg RAMDiskConfig, hooks ramHooks) func(testing.TB) *unio.Device {
	return func(tb testing.TB) *unio.Device {
		d := NewRAMDisk(tb, cfg)
		d.hooks = hooks
		return d.Open()
	}
}

// A mutant is a broken device. Its name completes "a device that".
type mutant struct {
	name    string
	foundBy []string // checks; "" is the search for leaks
	cfg     RAMDiskConfig
	hooks   func() ramHooks
	change  func(*Config)
}

// everyNth makes hooks that do something to one operation in n.
func everyNth(n uint64) func() bool {
	rng := make(chan *rand.Rand, 1)
	rng <- rand.New(rand.NewPCG(3, n))
	return func() bool {
		r := <-rng
		defer func() { rng <- r }()
		return r.Uint64N(n) == 0
	}
}

// executing is a defect in how operations of the given kind are carried out.
func executing(op unio.Opcode, oneIn uint64, f func(q *ramQueue, op *unio.Op) ramResult) func() ramHooks {
	return func() ramHooks {
		now := everyNth(oneIn)
		return ramHooks{execute: func(q *ramQueue, o *unio.Op) ramResult {
			if o.Op == op && now() {
				return f(q, o)
			}
			return q.perform(o)
		}}
	}
}

// crashing makes the suite run over crash devices that keep, or fail to keep,
// what the rules say.
func crashing(rules string, unit int) func(*Config) {
	return func(c *Config) {
		devices := map[*unio.Device]*crash.Device{}
		rng := rand.New(rand.NewPCG(5, 5))
		open := func(tb testing.TB, cfg RAMDiskConfig) *unio.Device {
			d, err := crash.Wrap(NewRAMDisk(tb, cfg).Open(), crash.Config{Rules: rules, AtomicUnit: unit})
			if err != nil {
				tb.Fatal(err)
			}
			devices[d.Device] = d
			return d.Device
		}
		c.Allocates = true
		c.Open = func(tb testing.TB) *unio.Device { return open(tb, RAMDiskConfig{}) }
		c.Crash = func(tb testing.TB, dev *unio.Device) *unio.Device {
			image, err := devices[dev].Image("", rng)
			if err != nil {
				tb.Fatal(err)
			}
			if err := dev.Close(); err != nil {
				tb.Error(err)
			}
			return open(tb, RAMDiskConfig{Image: image})
		}
	}
}

// later runs f after the operation has been reported, as a device that is not
// done with its memory does.
func later(f func()) {
	go func() {
		time.Sleep(200 * time.Microsecond)
		f()
	}()
}

func reportHook(oneIn uint64, f func(q *ramQueue, res ramResult)) func() ramHooks {
	return func() ramHooks {
		now := everyNth(oneIn)
		return ramHooks{report: func(q *ramQueue, res ramResult) {
			if now() {
				f(q, res)
				return
			}
			q.end(res)
		}}
	}
}
