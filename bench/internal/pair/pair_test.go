package pair

import (
	"context"
	"errors"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/unio-stack/unio/bench/internal/contest"
	"github.com/unio-stack/unio/bench/internal/process"
	"github.com/unio-stack/unio/bench/internal/standin"
)

func TestMain(m *testing.M) { standin.TestMain(m) }

func shell(script string) process.Command {
	return process.Command{Path: "/bin/sh", Args: []string{"-c", script}, CPU: -1}
}

// server listens and does nothing else.
func server(t *testing.T) func(port int) process.Command {
	path := standin.Use(t, standin.Working)
	return func(port int) process.Command {
		return process.Command{Path: path, CPU: -1, Args: []string{"peer", "--listen", "127.0.0.1:" + strconv.Itoa(port), "--json"}}
	}
}

const busy = "i=0; while [ $i -lt 100000 ]; do i=$((i+1)); done; echo 1000"

func TestRunTakesOffTheStartupOnce(t *testing.T) {
	startups, runs := 0, 0
	p := &Pair{
		Server:  server(t),
		Client:  func(int) process.Command { runs++; return shell(busy) },
		Startup: func(int) process.Command { startups++; return shell(":") },
		Parse: func(output []byte) (Outcome, error) {
			n, err := strconv.ParseFloat(strings.TrimSpace(string(output)), 64)
			return Outcome{Sample: Timed(2*n, 8), Operations: n}, err
		},
	}
	for range 2 {
		s, err := p.Run(context.Background())
		if err != nil {
			t.Fatal(err)
		}
		if s[contest.IOPS] != 2000 || s[contest.Time] != 5e5 || s[contest.Bandwidth] != 16000 || s[contest.CPU] < 1e3 {
			t.Errorf("sample %v", s)
		}
		if cpu, ok := s[contest.TargetCPU]; !ok || cpu > s[contest.CPU] {
			t.Errorf("the server, which has nothing to do, used %v ns, the client %v", cpu, s[contest.CPU])
		}
	}
	if startups != 1 || runs != 2 {
		t.Errorf("%d startups, %d runs", startups, runs)
	}
}

func TestFailuresSayWhoFailed(t *testing.T) {
	fine := func(int) process.Command { return shell("echo 1") }
	parse := func([]byte) (Outcome, error) { return Outcome{Sample: contest.Sample{}, Operations: 1}, nil }
	for name, c := range map[string]struct {
		pair *Pair
		want string
	}{
		"server": {&Pair{Server: func(int) process.Command { return shell("echo no memory >&2; exit 1") }, Client: fine, Startup: fine, Parse: parse}, "no memory"},
		"client": {&Pair{Server: server(t), Client: func(int) process.Command { return shell("echo no route >&2; exit 1") }, Startup: fine, Parse: parse}, "no route"},
		"parser": {&Pair{Server: server(t), Client: fine, Startup: fine, Parse: func([]byte) (Outcome, error) { return Outcome{}, errors.New("no JSON") }}, "no JSON"},
	} {
		if _, err := c.pair.Run(context.Background()); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: error is %v", name, err)
		}
	}
}

func TestWhatNeverEndsIsEnded(t *testing.T) {
	began := time.Now()
	err := WithServer(context.Background(), 200*time.Millisecond-patience, server(t), func(ctx context.Context, _ *process.Server, _ int) error {
		_, err := shell("exec sleep 60").Run(ctx)
		return err
	})
	if err == nil || !strings.Contains(err.Error(), "no end after") {
		t.Errorf("error is %v", err)
	}
	if took := time.Since(began); took > 10*time.Second {
		t.Errorf("took %v", took)
	}
}
