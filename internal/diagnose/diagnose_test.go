package diagnose

import (
	"strings"
	"testing"
	"testing/fstest"

	"github.com/unio-stack/unio/internal/uring"
)

func file(s string) *fstest.MapFile { return &fstest.MapFile{Data: []byte(s + "\n")} }

// features returns those of a kernel where all is well, but for what is named.
func features(kernel uring.Version, lacking ...uring.FeatureID) *uring.Features {
	f := &uring.Features{Release: kernel.String() + ".0-test", Kernel: kernel}
	for id := uring.FeatureRing; id <= uring.FeatureVectoredFixed; id++ {
		f.List = append(f.List, uring.Feature{ID: id, Name: id.String(), Available: true, Needs: id.Needs()})
	}
	for _, id := range lacking {
		f.List[id].Available, f.List[id].Why = false, "test says so"
	}
	return f
}

func healthy() *Host {
	return &Host{
		Root: fstest.MapFS{
			"proc/loadavg": file("0.10 0.2 0.3 1/100 999"),
			"sys/devices/system/clocksource/clocksource0/current_clocksource": file("tsc"),
			"sys/devices/system/cpu/cpu0/cpufreq/scaling_governor":            file("performance"),
			"proc/self/cgroup":                       file("0::/"),
			"sys/fs/cgroup/cpu.max":                  file("max 100000"),
			"sys/module/nvme/parameters/poll_queues": file("2"),
		},
		Rings:  features(uring.Version{Major: 7, Minor: 0}),
		Limits: Limits{LockedMemory: -1, OpenFiles: -1}, CPUs: 4,
	}
}

func TestHealthy(t *testing.T) {
	for _, f := range Examine(t.Context(), healthy()) {
		if f.Status != OK || f.Fix != "" || f.Detail == "" {
			t.Errorf("%+v", f)
		}
	}
}

// TestFindings spoils one thing at a time.
func TestFindings(t *testing.T) {
	for name, c := range map[string]struct {
		spoil  func(h *Host, files fstest.MapFS)
		topic  string
		status Status
		fix    string
	}{
		"old kernel":   {func(h *Host, _ fstest.MapFS) { h.Rings = features(uring.Version{Major: 5, Minor: 15}) }, "kernel", Warn, "Linux 6.1"},
		"older kernel": {func(h *Host, _ fstest.MapFS) { h.Rings = features(uring.Version{Major: 4, Minor: 19}) }, "kernel", Fail, "came with 5.6"},
		"other system": {func(h *Host, _ fstest.MapFS) { h.Rings = new(uring.Features) }, "kernel", Fail, "on Linux"},
		"a feature": {func(h *Host, _ fstest.MapFS) {
			h.Rings = features(uring.Version{Major: 6, Minor: 1}, uring.FeatureVectoredFixed)
		}, "io_uring features", Warn, "Linux 6.15 has all"},
		"sysctl 2":      {refuse("2", ""), "io_uring", Fail, "sysctl kernel.io_uring_disabled=0"},
		"sysctl 1":      {refuse("1", ""), "io_uring", Fail, "io_uring_group"},
		"seccomp":       {refuse("0", "Seccomp:\t2"), "io_uring", Fail, "seccomp profile"},
		"no io_uring":   {refuse("0", "Seccomp:\t0"), "io_uring", Fail, "CONFIG_IO_URING"},
		"locked memory": {func(h *Host, _ fstest.MapFS) { h.Limits.LockedMemory = 8 << 20 }, "locked memory", Warn, "ulimit -l"},
		"open files":    {func(h *Host, _ fstest.MapFS) { h.Limits.OpenFiles = 256 }, "open files", Warn, "ulimit -n"},
		"governor": {func(_ *Host, f fstest.MapFS) {
			f["sys/devices/system/cpu/cpu0/cpufreq/scaling_governor"] = file("powersave")
		}, "processor speed", Warn, "cpupower"},
		"clock": {func(_ *Host, f fstest.MapFS) {
			f["sys/devices/system/clocksource/clocksource0/current_clocksource"] = file("hpet")
		}, "clock", Warn, "clocksource=tsc"},
		"load":      {func(_ *Host, f fstest.MapFS) { f["proc/loadavg"] = file("3.9 1 1 2/9 9") }, "other work", Warn, "nothing else"},
		"quota":     {func(_ *Host, f fstest.MapFS) { f["sys/fs/cgroup/cpu.max"] = file("50000 100000") }, "processor quota", Warn, "cpuset"},
		"io limit":  {func(_ *Host, f fstest.MapFS) { f["sys/fs/cgroup/io.max"] = file("8:0 riops=100") }, "I/O limit", Warn, "io.max"},
		"no path":   {func(h *Host, _ fstest.MapFS) { h.Dirs = []string{"/does/not/exist"} }, "I/O on /does/not/exist", Fail, "name a directory"},
		"no device": {func(h *Host, _ fstest.MapFS) { h.Dirs = []string{"/dev/null"} }, "I/O on /dev/null", Fail, "use another place"},
	} {
		t.Run(name, func(t *testing.T) {
			h := healthy()
			c.spoil(h, h.Root.(fstest.MapFS))
			all := Examine(t.Context(), h)
			for _, f := range all {
				if f.Topic == c.topic {
					if f.Status != c.status || !strings.Contains(f.Fix, c.fix) {
						t.Errorf("%+v; want %s with %q", f, c.status, c.fix)
					}
					return
				}
			}
			t.Errorf("nothing about %s in %+v", c.topic, all)
		})
	}
}

// refuse makes a host where rings are forbidden.
func refuse(disabled, status string) func(*Host, fstest.MapFS) {
	return func(h *Host, f fstest.MapFS) {
		h.Rings = features(uring.Version{Major: 6, Minor: 8}, uring.FeatureRing)
		f["proc/sys/kernel/io_uring_disabled"] = file(disabled)
		f["proc/self/status"] = file(status)
	}
}

func TestWorst(t *testing.T) {
	f := func(s ...Status) (all []Finding) {
		for _, s := range s {
			all = append(all, Finding{Status: s})
		}
		return all
	}
	if Worst(nil) != OK || Worst(f(OK, Warn, OK)) != Warn || Worst(f(Warn, Fail, Warn)) != Fail {
		t.Error("the worst is not found")
	}
}

// TestThisHost examines where the test runs: whatever is found must be
// complete.
func TestThisHost(t *testing.T) {
	for _, f := range Examine(t.Context(), ThisHost(t.TempDir())) {
		if f.Topic == "" || f.Detail == "" || (f.Fix == "") != (f.Status == OK) {
			t.Errorf("%+v", f)
		}
		t.Logf("%+v", f)
	}
}
