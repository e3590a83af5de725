package rows

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"strings"
	"testing"

	"github.com/unio-stack/unio/bench/internal/contest"

	"github.com/unio-stack/unio"
	"github.com/unio-stack/unio/provider"
)

// allocationRuns is over how many requests allocations are averaged.
const allocationRuns = 2000

// addAllocations adds what a request allocates, and what a channel holds.
func (s *Set) addAllocations(_ context.Context, c Config) error {
	if !c.wants("allocs") {
		return nil
	}
	f, err := s.file(c.Dir, "allocs.dat", 1<<20)
	if err != nil {
		return err
	}
	for _, medium := range []struct{ name, url string }{{"mem", "mem:?size=1MiB"}, {"file", "file://" + f.Path}} {
		for _, call := range calls {
			s.Rows = append(s.Rows, contest.Row{
				Name: call.name + " on " + medium.name, Group: "allocs",
				Unio: contest.Contestant{Run: func(ctx context.Context) (contest.Sample, error) {
					return allocations(ctx, medium.url, call.do)
				}},
				Checks: []contest.Check{{Metric: contest.Allocs, Kind: contest.Value, Bar: 0}},
			})
		}
		s.Rows = append(s.Rows, contest.Row{
			Name: "channel of depth 128 on " + medium.name, Group: "allocs",
			Unio: contest.Contestant{Run: func(ctx context.Context) (contest.Sample, error) {
				return channelMemory(ctx, medium.url)
			}},
			Checks: []contest.Check{{Metric: contest.Memory, Kind: contest.Value, Bar: 64 << 10}},
		})
	}
	return nil
}

// calls are the ways to carry out one request.
var calls = []struct {
	name string
	do   func(ctx context.Context, ch *unio.Channel, reqs []unio.Request, done []unio.Completion) error
}{
	{"Post, Poll", func(_ context.Context, ch *unio.Channel, reqs []unio.Request, done []unio.Completion) error {
		if _, err := ch.Post(reqs...); err != nil {
			return err
		}
		for ch.Poll(done) == 0 {
			runtime.Gosched()
		}
		return done[0].Err
	}},
	{"Post, Wait", func(ctx context.Context, ch *unio.Channel, reqs []unio.Request, done []unio.Completion) error {
		if _, err := ch.Post(reqs...); err != nil {
			return err
		}
		if _, err := ch.Wait(ctx, done); err != nil {
			return err
		}
		return done[0].Err
	}},
	{"Do", func(ctx context.Context, ch *unio.Channel, reqs []unio.Request, _ []unio.Completion) error {
		return ch.Do(ctx, reqs[0])
	}},
}

// allocations counts the heap allocations of each of many requests.
func allocations(ctx context.Context, url string, do func(context.Context, *unio.Channel, []unio.Request, []unio.Completion) error) (_ contest.Sample, err error) {
	dev, err := provider.Open(ctx, url)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, dev.Close()) }()
	reg, err := dev.Attach(ctx, "", unio.ReadWrite)
	if err != nil {
		return nil, err
	}
	ch, err := dev.NewChannel(unio.ChannelConfig{})
	if err != nil {
		return nil, err
	}
	buf, err := unio.NewBuffer(4096)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, buf.Free()) }()
	reqs := []unio.Request{{Op: unio.OpRead, Region: reg, Data: buf.Bytes()}}
	done := make([]unio.Completion, 1)
	var failed error
	n := testing.AllocsPerRun(allocationRuns, func() { failed = errors.Join(failed, do(ctx, ch, reqs, done)) })
	return contest.Sample{contest.Allocs: n}, failed
}

// channelMemory returns what one channel of depth 128 holds: of the Go heap,
// and of rings that it shares with the kernel.
func channelMemory(ctx context.Context, url string) (_ contest.Sample, err error) {
	const channels = 32
	dev, err := provider.Open(ctx, url)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, dev.Close()) }()
	before, err := held()
	if err != nil {
		return nil, err
	}
	open := make([]*unio.Channel, channels)
	for i := range open {
		if open[i], err = dev.NewChannel(unio.ChannelConfig{Depth: 128}); err != nil {
			return nil, err
		}
	}
	after, err := held()
	runtime.KeepAlive(open)
	return contest.Sample{contest.Memory: float64(after-before) / channels}, err
}

// held returns how many bytes of the heap are in use and of rings are mapped.
func held() (int64, error) {
	runtime.GC()
	runtime.GC() // what the first made finalizable
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	rings, err := ringBytes()
	return int64(m.HeapAlloc) + rings, err
}

// ringBytes adds up the mappings of io_uring instances.
func ringBytes() (int64, error) {
	f, err := os.Open("/proc/self/maps")
	if errors.Is(err, os.ErrNotExist) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	defer func() { _ = f.Close() }()
	var sum int64
	for lines := bufio.NewScanner(f); lines.Scan(); {
		if !strings.Contains(lines.Text(), "io_uring") {
			continue
		}
		var from, to int64
		if _, err := fmt.Sscanf(lines.Text(), "%x-%x", &from, &to); err != nil {
			return 0, fmt.Errorf("/proc/self/maps: %q: %w", lines.Text(), err)
		}
		sum += to - from
	}
	return sum, nil
}
