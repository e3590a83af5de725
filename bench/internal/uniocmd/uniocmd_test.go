package uniocmd

import (
	"strings"
	"testing"
	"time"
)

func TestParse(t *testing.T) {
	rep, err := parse([]byte(`{"iops": 1000, "operations": 500, "latency_ns": {"p50": 7, "p99": 9}, "syscalls_per_io": 0.25, "errors": 0}`))
	if err != nil {
		t.Fatal(err)
	}
	if rep.IOPS != 1000 || rep.Operations != 500 || rep.Latency.P99 != 9 || rep.SyscallsPerIO != 0.25 {
		t.Errorf("parsed %+v", rep)
	}
	for _, text := range []string{"", "usage:", `{"iops": 0}`, `{"iops": 10, "operations": 10, "errors": 1}`} {
		if _, err := parse([]byte(text)); err == nil {
			t.Errorf("parse(%q) succeeds", text)
		}
	}
}

func TestCommandLine(t *testing.T) {
	c := Job{Binary: "unio", URL: "mem:", RW: "randread", Depth: 4, Time: 2 * time.Second}.command()
	if got := strings.Join(c.Args, " "); got != "bench mem: --rw randread --bs 4096 --depth 4 --time 2s --json" {
		t.Errorf("arguments: %s", got)
	}
}
