package ucx

import (
	"context"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/unio-stack/unio/bench/internal/contest"
	"github.com/unio-stack/unio/bench/internal/pair"
)

func read(t *testing.T, name string) []byte {
	t.Helper()
	text, err := os.ReadFile("testdata/" + name)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func TestParseAThroughputTest(t *testing.T) {
	o, err := Job{Test: "ucp_get", Block: 4096, Depth: 64}.parse(read(t, "ucp_get-1.13.csv"))
	if err != nil {
		t.Fatal(err)
	}
	if o.Operations != 200000 || int(o.Sample[contest.IOPS]) != 307787 || int(o.Sample[contest.Bandwidth]/1e6) != 1260 {
		t.Errorf("parsed %+v", o)
	}
	if _, ok := o.Sample[contest.P50]; ok {
		t.Error("what it prints at depth 64 is no latency of one")
	}
}

func TestParseFewIterations(t *testing.T) {
	o, err := Job{Block: 8, Depth: 1}.parse([]byte("iterations,50.0_percentile_lat,overall_lat\n   180,2.000,4.000\n"))
	if err != nil || o.Operations != 180 || o.Sample[contest.P50] != 2000 {
		t.Errorf("parsed %+v (%v)", o, err)
	}
}

// TestParseAPingPong: a round trip is twice what is printed.
func TestParseAPingPong(t *testing.T) {
	o, err := Job{Test: "tag_lat", Block: 64}.parse(read(t, "tag_lat-1.13.csv"))
	if err != nil {
		t.Fatal(err)
	}
	if o.Operations != 100000 || int(o.Sample[contest.Time]) != 6562 || int(o.Sample[contest.P50]) != 6330 {
		t.Errorf("parsed %+v", o)
	}
}

func TestParseRefusesWhatIsNoResult(t *testing.T) {
	for name, text := range map[string]string{
		"nothing":    "",
		"no CSV":     "[1786] UCX ERROR no device",
		"heading":    "iterations,50.0_percentile_lat,overall_lat\n",
		"no figures": "iterations,50.0_percentile_lat,overall_lat\nx,y,z\n",
		"none done":  "iterations,50.0_percentile_lat,overall_lat\n0,0,0\n",
		"others":     "iterations,latency\n1,1\n",
	} {
		if o, err := (Job{}).parse([]byte(text)); err == nil {
			t.Errorf("%s: %+v", name, o)
		}
	}
}

func TestCommandLines(t *testing.T) {
	c := Job{Test: "ucp_get", Block: 4096, Depth: 64}.client(9, 10, 1000)
	if got := strings.Join(c.Args, " "); got != "-p 9 127.0.0.1 -t ucp_get -s 4096 -w 10 -n 1000 -f -v -O 64" {
		t.Errorf("client: %s", got)
	}
	if got := strings.Join(c.Env, " "); got != "UCX_TLS=tcp,self UCX_NET_DEVICES=lo" {
		t.Errorf("environment: %s", got)
	}
	if got := strings.Join(Job{}.server(9).Args, " "); got != "-p 9" {
		t.Errorf("server: %s", got)
	}
	if small, large := (Job{Block: 64}).trial(), (Job{Block: 1 << 20}).trial(); small != 20000 || large != 1000 {
		t.Errorf("trials of %d and %d iterations", small, large)
	}
}

func TestAbsence(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	c := Job{Test: "ucp_get", Block: 8}.Contestant("ucx")
	if !strings.Contains(c.Absent, "ucx-utils") || c.Run != nil {
		t.Errorf("contestant %+v", c)
	}
}

// TestUCXRuns runs one real job, which has to find the number of iterations.
func TestUCXRuns(t *testing.T) {
	if err := Check(); err != nil {
		t.Skip(err)
	}
	j := Job{Test: "tag_lat", Block: 64, Time: 200 * time.Millisecond, Place: pair.Place{Client: -1, Server: -1}}
	c := j.Contestant("ucx")
	began := time.Now()
	s, err := c.Run(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	if s[contest.IOPS] <= 0 || s[contest.Time] <= 0 || s[contest.CPU] <= 0 || s[contest.TargetCPU] <= 0 || s[contest.P50] <= 0 {
		t.Errorf("sample %v", s)
	}
	t.Logf("%v after %v", s, time.Since(began))
}
