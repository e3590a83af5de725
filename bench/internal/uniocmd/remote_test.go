package uniocmd

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/unio-stack/unio/bench/internal/contest"
	"github.com/unio-stack/unio/bench/internal/pair"
	"github.com/unio-stack/unio/bench/internal/standin"
)

func TestMain(m *testing.M) { standin.TestMain(m) }

// job is a small one.
func job(binary string) Remote {
	return Remote{
		Binary: binary, Op: "read", Block: 4096, Depth: 64, Memory: 1 << 20, Congestion: "cubic",
		Time: 300 * time.Millisecond, Place: pair.Place{Client: -1, Server: -1},
	}
}

func TestRemoteCommandLines(t *testing.T) {
	r := job("unio")
	for _, c := range []struct{ name, got, want string }{
		{"peer", strings.Join(r.peer(9).Args, " "), "peer --listen 127.0.0.1:9 --size 1048576 --json --congestion cubic"},
		{"operations", strings.Join(r.operations(9).Args, " "), "bench rdma://127.0.0.1:9?congestion=cubic&crc=off --json --op randread --bs 4096 --depth 64 --time 300ms"},
		{"idle", strings.Join(r.idle(9, 10).Args, " "), "bench rdma://127.0.0.1:9?congestion=cubic&crc=off --json --idle 10 --time 300ms"},
		{"dials", strings.Join(r.dials(9, 10).Args, " "), "bench rdma://127.0.0.1:9?congestion=cubic&crc=off --json --dials 10"},
	} {
		if c.got != c.want {
			t.Errorf("%s:\n got %s\nwant %s", c.name, c.got, c.want)
		}
	}
	r.Congestion, r.CRC, r.Spin, r.Op, r.Block, r.Depth = "", true, true, "pingpong", 64, 1
	if got := strings.Join(r.peer(9).Args, " "); got != "peer --listen 127.0.0.1:9 --size 1048576 --json --spin 1h" {
		t.Errorf("peer: %s", got)
	}
	if got := strings.Join(r.operations(9).Args, " "); got != "bench rdma://127.0.0.1:9?crc=on --json --op pingpong --bs 64 --depth 1 --time 300ms --spin 1h" {
		t.Errorf("operations: %s", got)
	}
}

func TestOperations(t *testing.T) {
	s, err := job(standin.Use(t, standin.Working)).Pair().Run(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	for m, want := range map[contest.Metric]float64{
		contest.IOPS: standin.IOPS, contest.Bandwidth: standin.IOPS * 4096, contest.Time: 1e9 / standin.IOPS,
		contest.P50: 7000, contest.P99: 9000, contest.Syscalls: 0.5,
	} {
		if s[m] != want {
			t.Errorf("%s is %v, want %v", m, s[m], want)
		}
	}
	if _, ok := s[contest.TargetCPU]; !ok {
		t.Errorf("no CPU time of the peer: %v", s)
	}
}

func TestIdle(t *testing.T) {
	r := job(standin.Use(t, standin.Working))
	s, err := r.Idle(context.Background(), 50)
	if err != nil {
		t.Fatal(err)
	}
	if s[contest.Memory] < 1 || s[contest.Memory] > 1<<20 {
		t.Errorf("sample %v", s)
	}
	r.Time = time.Millisecond
	if s, err := r.Idle(context.Background(), 2); err == nil || !strings.Contains(err.Error(), "never had 2") {
		t.Errorf("connections that nobody saw have %v (%v)", s, err)
	}
}

func TestDialsFindWhatIsLeaked(t *testing.T) {
	for _, c := range []struct {
		how    string
		leaked float64
	}{{standin.Working, 0}, {standin.Leaking, 100}} {
		s, err := job(standin.Use(t, c.how)).Dials(context.Background(), 100)
		if err != nil {
			t.Fatal(err)
		}
		if s[contest.Dials] != 60*standin.IOPS || s[contest.Descriptors] != c.leaked || s[contest.Goroutines] != c.leaked {
			t.Errorf("%s: %v", c.how, s)
		}
	}
}
