package workload

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/unio-stack/unio"
	"github.com/unio-stack/unio/uniotest"
)

const testSize = 1 << 20

// attach opens a RAM disk and its only region.
func attach(t testing.TB, cfg uniotest.RAMDiskConfig) (*uniotest.RAMDisk, *unio.Region) {
	t.Helper()
	if cfg.Size == 0 && cfg.Image == nil {
		cfg.Size = testSize
	}
	disk := uniotest.NewRAMDisk(t, cfg)
	return disk, region(t, disk)
}

func region(t testing.TB, disk *uniotest.RAMDisk) *unio.Region {
	t.Helper()
	dev := disk.Open()
	t.Cleanup(func() {
		if err := dev.Close(); err != nil {
			t.Error(err)
		}
	})
	reg, err := dev.Attach(t.Context(), "", unio.ReadWrite)
	if err != nil {
		t.Fatal(err)
	}
	return reg
}

func access(t testing.TB, name string) Access {
	t.Helper()
	a, err := ParseAccess(name, 70)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// blockAccesses are the names of those that read and write blocks.
var blockAccesses = Accesses[:6]

// brief is a run of every kind of access in a moment.
func brief(t testing.TB, name string) Config {
	return Config{Access: access(t, name), BlockSize: 4096, Depth: 8, Time: 50 * time.Millisecond, Seed: 1}
}

func TestAccesses(t *testing.T) {
	for _, name := range blockAccesses {
		t.Run(name, func(t *testing.T) {
			_, reg := attach(t, uniotest.RAMDiskConfig{})
			cfg := brief(t, name)
			cfg.Channels, cfg.FlushEvery = 2, 10
			res, err := Run(t.Context(), reg, cfg, nil)
			if err != nil {
				t.Fatal(err)
			}
			if res.Operations == 0 || res.Errors != 0 || res.Seconds <= 0 || res.IOPS <= 0 || len(res.Timeline) == 0 {
				t.Errorf("result %+v", res)
			}
			if (res.Read != nil) != cfg.Access.Reads() || (res.Write != nil) != cfg.Access.Writes() {
				t.Errorf("reads %v, writes %v", res.Read, res.Write)
			}
			s := reg.Device().Stats()
			if s.Posted != s.Completed {
				t.Errorf("%d posted, %d completed", s.Posted, s.Completed)
			}
			if (s.BytesWritten > 0) != cfg.Access.Writes() {
				t.Errorf("%d bytes were written", s.BytesWritten)
			}
		})
	}
}

func TestParseAccess(t *testing.T) {
	if _, err := ParseAccess("trim", 0); !errors.Is(err, unio.ErrInvalid) {
		t.Error(err)
	}
	if _, err := ParseAccess("rw", 101); !errors.Is(err, unio.ErrInvalid) {
		t.Error(err)
	}
	if a, err := ParseAccess("rw", 25); err != nil || a != (Access{ReadPercent: 25}) {
		t.Error(a, err)
	}
}

func TestBadConfig(t *testing.T) {
	_, reg := attach(t, uniotest.RAMDiskConfig{})
	for name, c := range map[string]struct {
		change func(*Config)
		want   string
	}{
		"no block":          {func(c *Config) { c.BlockSize = 0 }, "block of 0"},
		"no time":           {func(c *Config) { c.Time = 0 }, "run of 0"},
		"negative ramp":     {func(c *Config) { c.Ramp = -1 }, "negative"},
		"span too large":    {func(c *Config) { c.Span = testSize + 1 }, "the device has 1 MiB"},
		"block too large":   {func(c *Config) { c.BlockSize = 2 * testSize }, "holds 0 blocks"},
		"many channels":     {func(c *Config) { c.Channels = 1000 }, "too few for 1000 channels"},
		"verify tiny":       {func(c *Config) { c.Verify, c.BlockSize = true, 32 }, "multiple of 8"},
		"verify too deep":   {func(c *Config) { c.Verify, c.Depth = true, 1000 }, "as many blocks as its depth"},
		"atomics of blocks": {func(c *Config) { c.Access = Access{Kind: FetchAdd} }, "a word has 8"},
		"verified atomics":  {func(c *Config) { c.Access, c.BlockSize, c.Verify = Access{Kind: FetchAdd}, 8, true }, "only reads and writes"},
		"durable messages":  {func(c *Config) { c.Access, c.Durable = Access{Kind: Send}, true }, "go to a device"},
		"depth of channel":  {func(c *Config) { c.Depth = 1 << 21 }, "depth is 1 to"},
	} {
		cfg := brief(t, "randread")
		c.change(&cfg)
		if _, err := Run(t.Context(), reg, cfg, nil); !errors.Is(err, unio.ErrInvalid) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want ErrInvalid with %q", name, err, c.want)
		}
	}
}

func TestVerifyClean(t *testing.T) {
	for _, name := range blockAccesses {
		t.Run(name, func(t *testing.T) {
			disk, reg := attach(t, uniotest.RAMDiskConfig{Short: 5, Inline: 3, BlockSize: 512, MemoryAlign: 64})
			cfg := brief(t, name)
			cfg.Verify, cfg.Channels = true, 2
			if name == "read" || name == "randread" { // something to find
				fill := brief(t, "write")
				fill.Verify, fill.Prefill = true, true
				if _, err := Run(t.Context(), region(t, disk), fill, nil); err != nil {
					t.Fatal(err)
				}
			}
			res, err := Run(t.Context(), reg, cfg, nil)
			if err != nil {
				t.Fatal(err)
			}
			if v := res.Verify; v.Checked == 0 || v.Mismatches != 0 || res.Errors != 0 {
				t.Errorf("verify %+v, %d errors %v", v, res.Errors, res.Failure)
			}
		})
	}
}

// TestVerifyFinds damages a disk in each way that can be told apart.
func TestVerifyFinds(t *testing.T) {
	const block = 4096
	for kind, damage := range map[string]func(image []byte){
		WrongChecksum:  func(b []byte) { b[5*block+777] ^= 1 },
		WrongZeroes:    func(b []byte) { clear(b[5*block : 6*block]) },
		WrongMisplaced: func(b []byte) { copy(b[5*block:6*block], b[9*block:10*block]) },
		WrongForeign:   func(b []byte) { copy(b[5*block:6*block], strings.Repeat("other data", 410)) },
	} {
		t.Run(kind, func(t *testing.T) {
			disk, reg := attach(t, uniotest.RAMDiskConfig{})
			cfg := brief(t, "write")
			cfg.Verify, cfg.Prefill = true, true
			if res, err := Run(t.Context(), reg, cfg, nil); err != nil || res.Verify.Mismatches != 0 {
				t.Fatal(res, err)
			}
			image := disk.Image()
			damage(image)
			_, reg = attach(t, uniotest.RAMDiskConfig{Image: image})
			cfg = brief(t, "read")
			cfg.Verify, cfg.Time = true, 200*time.Millisecond
			res, err := Run(t.Context(), reg, cfg, nil)
			if err != nil {
				t.Fatal(err)
			}
			v := res.Verify
			if v.Mismatches == 0 || len(v.First) == 0 || v.First[0].Offset != 5*block || v.First[0].Kind != kind {
				t.Fatalf("verify %+v of %d checked", v.First, v.Checked)
			}
			if kind == WrongChecksum && !strings.Contains(v.First[0].Detail, "1 of 4096 bytes differ, first at byte 21257") {
				t.Errorf("detail %q", v.First[0].Detail)
			}
		})
	}
}

// TestStale holds that the previous generation of a block, whole as it is, is
// found out.
func TestStale(t *testing.T) {
	b := make([]byte, 512)
	stamp(b, 512, 3, 7)
	for _, c := range []struct {
		generation uint32
		seed       uint64
		wrong      string
	}{{3, 7, ""}, {4, 7, WrongStale}, {3, 8, WrongStale}, {0, 8, ""}} {
		m := inspect(b, 512, c.generation, c.seed)
		if (m == nil) != (c.wrong == "") || m != nil && m.Kind != c.wrong {
			t.Errorf("generation %d, seed %d: %v, want %q", c.generation, c.seed, m, c.wrong)
		}
	}
}

func TestInterrupt(t *testing.T) {
	_, reg := attach(t, uniotest.RAMDiskConfig{})
	cfg := brief(t, "randrw")
	cfg.Time, cfg.Verify = time.Hour, true
	ctx, cancel := context.WithCancel(t.Context())
	mon := new(Monitor)
	go func() {
		for mon.Progress().IOPS == 0 {
			time.Sleep(time.Millisecond)
		}
		cancel()
	}()
	res, err := Run(ctx, reg, cfg, mon)
	if err != nil || !res.Interrupted || res.Operations == 0 || res.Seconds > 60 {
		t.Errorf("result %+v, %v", res, err)
	}
}

func TestRampIsNotCounted(t *testing.T) {
	_, reg := attach(t, uniotest.RAMDiskConfig{BlockSize: 512, MemoryAlign: 512})
	cfg := brief(t, "randread")
	cfg.BlockSize = 1000 // almost every byte is copied on the way
	cfg.Ramp, cfg.Time = 300*time.Millisecond, 100*time.Millisecond
	began := time.Now()
	res, err := Run(t.Context(), reg, cfg, nil)
	if err != nil {
		t.Fatal(err)
	}
	if all := time.Since(began); res.Seconds < 0.1 || res.Seconds > (all-cfg.Ramp).Seconds() {
		t.Errorf("measured %v s of %v", res.Seconds, all)
	}
	if share := float64(res.BouncedBytes) / float64(1000*res.Operations); share < 0.9 || share > 1.1 {
		t.Errorf("%.2f of what was read was copied", share)
	}
	if all := reg.Device().Stats().Completed; res.Operations >= all/2 {
		t.Errorf("%d of %d operations counted", res.Operations, all)
	}
}

func TestPinned(t *testing.T) {
	_, reg := attach(t, uniotest.RAMDiskConfig{})
	cfg := brief(t, "randrw")
	cfg.Pinned, cfg.Channels = true, 2
	if res, err := Run(t.Context(), reg, cfg, nil); err != nil || res.Operations == 0 {
		t.Errorf("%+v, %v", res, err)
	}
}

// TestErrorsAreCounted runs over a device on which every write fails.
func TestErrorsAreCounted(t *testing.T) {
	dev := unio.NewDevice(brokenProvider{})
	defer dev.Close()
	broken, err := dev.Attach(t.Context(), "", unio.ReadWrite)
	if err != nil {
		t.Fatal(err)
	}
	cfg := brief(t, "randrw")
	cfg.Time = time.Hour
	res, err := Run(t.Context(), broken, cfg, nil)
	if err != nil {
		t.Fatal(err)
	}
	if !res.GaveUp || res.Errors < maxErrors || len(res.Failure) != maxFailures || res.Write != nil || res.Read == nil {
		t.Errorf("result %+v", res)
	}
}

func TestGenerator(t *testing.T) {
	seen := make([]int, 16)
	g := generator{state: 1, access: Access{Random: true, ReadPercent: 30}, first: 100, count: 16}
	reads := 0
	for range 16000 {
		b := g.block()
		seen[b-100]++
		if g.read() {
			reads++
		}
	}
	for i, n := range seen {
		if n < 800 || n > 1200 {
			t.Errorf("block %d was drawn %d times of 1000", i, n)
		}
	}
	if reads < 4500 || reads > 5100 {
		t.Errorf("%d reads of 4800", reads)
	}
	g = generator{access: Access{ReadPercent: 100}, first: 4, count: 3}
	for i, want := range []int64{4, 5, 6, 4, 5} {
		if b := g.block(); b != want {
			t.Errorf("sequential block %d is %d, want %d", i, b, want)
		}
	}
}

// BenchmarkLoop is what the engine itself costs for each request, over a
// device that does nothing.
func BenchmarkLoop(b *testing.B) {
	dev := unio.NewDevice(brokenProvider{works: true})
	defer dev.Close()
	reg, err := dev.Attach(b.Context(), "", unio.ReadWrite)
	if err != nil {
		b.Fatal(err)
	}
	cfg := Config{Access: Access{Random: true, ReadPercent: 100}, BlockSize: 4096, Depth: 64, Time: 300 * time.Millisecond}
	b.ReportAllocs()
	for range b.N {
		res, err := Run(b.Context(), reg, cfg, nil)
		if err != nil {
			b.Fatal(err)
		}
		b.ReportMetric(res.CPUPerIO, "cpu-ns/io")
	}
}

// TestWatchIsCalledAroundTheMeasurement: twice, and not for what is filled
// before.
func TestWatchIsCalledAroundTheMeasurement(t *testing.T) {
	for _, ramp := range []time.Duration{0, 20 * time.Millisecond} {
		_, reg := attach(t, uniotest.RAMDiskConfig{})
		cfg := brief(t, "randread")
		cfg.Prefill, cfg.Ramp = true, ramp
		var seen []unio.Stats
		cfg.Watch = func() { seen = append(seen, reg.Device().Stats()) }
		res, err := Run(t.Context(), reg, cfg, nil)
		if err != nil {
			t.Fatal(err)
		}
		if len(seen) != 2 {
			t.Fatalf("ramp %v: Watch was called %d times", ramp, len(seen))
		}
		if seen[0].BytesWritten != testSize || seen[1].BytesWritten != testSize {
			t.Errorf("ramp %v: %d bytes were filled before, %d until the end", ramp, seen[0].BytesWritten, seen[1].BytesWritten)
		}
		if n := seen[1].Completed - seen[0].Completed; n < res.Operations/2 || n > 2*res.Operations {
			t.Errorf("ramp %v: %d requests between the calls, %d in the result", ramp, n, res.Operations)
		}
	}
}
