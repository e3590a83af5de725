package bound

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/unio-stack/unio/bench/internal/contest"
	"github.com/unio-stack/unio/bench/internal/pair"
	"github.com/unio-stack/unio/bench/internal/process"
)

func build(t *testing.T) *Program {
	t.Helper()
	if err := Check(); err != nil {
		t.Skip(err)
	}
	p, err := Build(context.Background(), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// anywhere lets the scheduler choose.
var anywhere = pair.Place{Client: -1, Server: -1}

// modes are all that the bound does, small.
var modes = []Job{
	{Op: "read", Block: 4096, Depth: 64},
	{Op: "read", Block: 4096, Depth: 1},
	{Op: "read", Block: 40, Depth: 3},         // many answers in a segment
	{Op: "read", Block: 32 << 10, Depth: 2},   // the smallest that is received in place
	{Op: "read", Block: 256 << 10, Depth: 16}, // more than a socket buffers
	{Op: "read", Block: 1000, Depth: 1024},    // more vectors than a system call takes
	{Op: "write", Block: 4096, Depth: 64},
	{Op: "write", Block: 4096, Depth: 1},
	{Op: "write", Block: 40, Depth: 3},
	{Op: "write", Block: 32 << 10, Depth: 2},
	{Op: "write", Block: 256 << 10, Depth: 16},
	{Op: "write", Block: 1000, Depth: 1024},
	{Op: "pingpong", Block: 64},
	{Op: "pingpong", Block: 1},
	{Op: "pingpong", Block: 300_001},
}

// TestTheBytesArrive: whatever the mode, both sides find the bytes that the
// other has sent, and count as many.
func TestTheBytesArrive(t *testing.T) {
	p := build(t)
	for _, j := range modes {
		for _, spin := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s/%d/depth=%d/spin=%v", j.Op, j.Block, j.Depth, spin), func(t *testing.T) {
				j := j
				j.Huge = j.Depth == 1
				j.Memory, j.Spin, j.Verify, j.Time, j.Place = 8<<20, spin, true, 30*time.Millisecond, anywhere
				client, server := run(t, p, j)
				if client.IOs < 1 || client.Bytes != client.IOs*float64(j.Block) || client.IOPS <= 0 || client.CPU <= 0 {
					t.Errorf("client: %+v", client)
				}
				if server.IOs != client.IOs || server.Bytes != client.Bytes || server.CPU <= 0 {
					t.Errorf("client: %+v\nserver: %+v", client, server)
				}
				checked := client
				if j.Op == "write" {
					checked = server
				}
				if checked.Verified != client.IOs {
					t.Errorf("%v of %v checked", checked.Verified, client.IOs)
				}
				if one := j.Depth <= 1; one != (client.P50 > 0 && client.P99 >= client.P50) {
					t.Errorf("latencies %v and %v ns at depth %d", client.P50, client.P99, j.Depth)
				}
			})
		}
	}
}

// run runs the job's two sides and returns what both say.
func run(t *testing.T, p *Program, j Job) (client, server report) {
	t.Helper()
	both := p.Pair(j)
	err := pair.WithServer(context.Background(), j.Time, both.Server, func(ctx context.Context, s *process.Server, port int) error {
		r, err := both.Client(port).Run(ctx)
		if err != nil {
			return err
		}
		if client, err = parse(r.Output); err != nil {
			return err
		}
		line, err := s.Line(ctx)
		if err != nil {
			return err
		}
		return json.Unmarshal([]byte(line), &server)
	})
	if err != nil {
		t.Fatal(err)
	}
	return client, server
}

// TestBytesThatDoNotArriveAreFound: a bound that leaves out what it should do
// is found out by --verify.
func TestBytesThatDoNotArriveAreFound(t *testing.T) {
	p := build(t)
	for _, sabotage := range []struct{ name, op, code, instead string }{
		{"reads not placed", "read", "\tmemcpy(to, front(in), here);\n", ""},
		{"reads from one place", "read", "char *at = memory + r->offset;", "char *at = memory + 8;"},
		{"writes not placed", "write", "\tmemcpy(to, front(in), here);\n", "\tif (length == 48) memcpy(to, front(in), here);\n"},
		{"writes of one block", "write", "char *buffer = buffers + r->id * block;", "char *buffer = buffers;"},
		{"messages not sent back", "pingpong", "struct iovec v = {message, size};", "memset(message, 1, size); struct iovec v = {message, size};"},
	} {
		t.Run(sabotage.name, func(t *testing.T) {
			if strings.Count(source, sabotage.code) != 1 {
				t.Fatalf("%q is not in the source once", sabotage.code)
			}
			bad := compile(t, strings.Replace(source, sabotage.code, sabotage.instead, 1))
			j := Job{Op: sabotage.op, Block: 4096, Depth: 8, Memory: 8 << 20, Verify: true, Time: 20 * time.Millisecond, Place: anywhere}
			if s, err := bad.Pair(j).Run(context.Background()); err == nil {
				t.Errorf("nothing found: %v", s)
			}
			if s, err := p.Pair(j).Run(context.Background()); err != nil {
				t.Errorf("and the real one: %v (%v)", s, err)
			}
		})
	}
}

// compile compiles another source.
func compile(t *testing.T, text string) *Program {
	t.Helper()
	path := filepath.Join(t.TempDir(), "bad")
	if err := os.WriteFile(path+".c", []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("cc", "-O1", "-o", path, path+".c").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return &Program{path: path}
}

func TestASampleHasWhatRowsNeed(t *testing.T) {
	p := build(t)
	j := Job{Op: "read", Block: 4096, Depth: 1, Memory: 1 << 20, Time: 50 * time.Millisecond, Place: anywhere}
	s, err := p.Pair(j).Run(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range []contest.Metric{contest.IOPS, contest.Time, contest.Bandwidth, contest.CPU, contest.TargetCPU, contest.P50, contest.P99} {
		if s[m] <= 0 {
			t.Errorf("%s is %v", m, s[m])
		}
	}
}

func TestCongestionControlIsSet(t *testing.T) {
	p := build(t)
	j := Job{Op: "pingpong", Block: 64, Memory: 1 << 20, Congestion: "reno", Time: 10 * time.Millisecond, Place: anywhere}
	if _, err := p.Pair(j).Run(context.Background()); err != nil {
		t.Error(err)
	}
	j.Congestion = "pigeon"
	if _, err := p.Pair(j).Run(context.Background()); err == nil || !strings.Contains(err.Error(), "pigeon") {
		t.Errorf("error is %v", err)
	}
}

func TestCommandLines(t *testing.T) {
	j := Job{Op: "read", Block: 4096, Depth: 64, Memory: 1 << 20, Spin: true, Congestion: "cubic", Time: 1500 * time.Millisecond}
	if got := strings.Join(j.clientArgs(9), " "); got != "--memory=1048576 --spin --congestion=cubic read 9 64 1.5 4096" {
		t.Errorf("client: %s", got)
	}
	j.Huge, j.Verify = true, true
	if got := strings.Join(j.serverArgs(9), " "); got != "--memory=1048576 --spin --congestion=cubic --huge --verify serve 9" {
		t.Errorf("server: %s", got)
	}
	j = Job{Op: "pingpong", Block: 64, Depth: 1, Memory: 1 << 20, Time: time.Second}
	if got := strings.Join(j.clientArgs(9), " "); got != "--memory=1048576 pingpong 9 1 64" {
		t.Errorf("ping-pong: %s", got)
	}
}

func TestUsageIsChecked(t *testing.T) {
	p := build(t)
	for _, args := range []string{
		"", "serve", "read 1 1 1", "read 1 0 1 4096", "read 1 2000 1 4096", "write 1 1 1 0", "write 1 1 1 12",
		"pingpong 1 1 0", "--memory=0 serve 1", "--no-such serve 1", "--memory=4096 read 1 1 1 8192",
	} {
		err := exec.Command(p.path, strings.Fields(args)...).Run()
		if exit, ok := err.(*exec.ExitError); !ok || exit.ExitCode() != 2 {
			t.Errorf("bound %s: %v", args, err)
		}
	}
}

func TestParseRefusesWhatIsNoResult(t *testing.T) {
	for _, text := range []string{"", "bound: connect: refused", `{"ios": 0, "iops": 5}`, `{"ios": 5}`} {
		if _, err := parse([]byte(text)); err == nil {
			t.Errorf("parse(%q) succeeds", text)
		}
	}
}
