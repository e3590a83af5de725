package uniocmd

import (
	"context"
	"encoding/json"
	"fmt"
	"syscall"
	"time"

	"github.com/unio-stack/unio/bench/internal/contest"
	"github.com/unio-stack/unio/bench/internal/pair"
	"github.com/unio-stack/unio/bench/internal/process"
)

// Pair returns the job's server and client.
func (r Remote) Pair() *pair.Pair {
	short := r
	short.Time = startupTime
	return &pair.Pair{
		Server: r.server, Client: r.operations, Startup: short.operations, Time: r.Time,
		Parse: func(output []byte) (pair.Outcome, error) {
			rep, err := parse(output)
			if err != nil {
				return pair.Outcome{}, err
			}
			s := pair.Timed(rep.IOPS, r.Block)
			s[contest.P50], s[contest.P99] = rep.Latency.P50, rep.Latency.P99
			s[contest.Syscalls] = rep.SyscallsPerIO
			return pair.Outcome{Sample: s, Operations: rep.Operations}, nil
		},
	}
}

// watchEvery is how often a peer with idle connections is looked at.
const watchEvery = 100 * time.Millisecond

// Idle measures what each of n idle connections takes of the peer's memory:
// what its resident memory grows by, as last seen while it has all of them. The
// kernel's memory for sockets is not in it.
func (r Remote) Idle(ctx context.Context, n int) (s contest.Sample, err error) {
	err = pair.WithServer(ctx, r.Time, r.peer, func(ctx context.Context, peer *process.Server, port int) error {
		descriptors, err := peer.Descriptors()
		if err != nil {
			return err
		}
		before, err := peer.Resident()
		if err != nil {
			return err
		}
		ended := make(chan error, 1)
		go func() {
			_, err := r.idle(port, n).Run(ctx)
			ended <- err
		}()
		held, err := watchIdle(peer, descriptors+n, ended)
		if err != nil {
			return err
		}
		if held == 0 {
			return fmt.Errorf("unio peer never had %d connections at a time", n)
		}
		s = contest.Sample{contest.Memory: float64(held-before) / float64(n)}
		return nil
	})
	return s, err
}

// watchIdle returns the peer's memory as last seen with so many descriptors, 0
// if it never had them. It returns when the client has ended.
func watchIdle(peer *process.Server, descriptors int, ended <-chan error) (held int64, err error) {
	tick := time.NewTicker(watchEvery)
	defer tick.Stop()
	var failed error
	for {
		select {
		case err := <-ended:
			if err == nil {
				err = failed
			}
			return held, err
		case <-tick.C:
		}
		open, err := peer.Descriptors()
		if err == nil && open >= descriptors {
			var now int64
			if now, err = peer.Resident(); err == nil {
				held = now
			}
		}
		if err != nil && failed == nil {
			failed = err
		}
	}
}

// Dials opens and closes n connections, and says how many a minute and what the
// peer has afterwards that it had not before. As many are made before it is
// looked at first, so that what it makes once and then keeps is there.
func (r Remote) Dials(ctx context.Context, n int) (s contest.Sample, err error) {
	err = pair.WithServer(ctx, time.Minute, r.peer, func(ctx context.Context, peer *process.Server, port int) error {
		if _, err := r.dials(port, n).Run(ctx); err != nil {
			return err
		}
		before, err := settled(ctx, peer)
		if err != nil {
			return err
		}
		run, err := r.dials(port, n).Run(ctx)
		if err != nil {
			return err
		}
		rep, err := parse(run.Output)
		if err != nil {
			return err
		}
		if rep.Operations != float64(n) {
			return fmt.Errorf("unio bench dialed %v times, not %d", rep.Operations, n)
		}
		after, err := settled(ctx, peer)
		if err != nil {
			return err
		}
		s = contest.Sample{
			contest.Dials:       60 * rep.IOPS,
			contest.Descriptors: float64(after.descriptors - before.descriptors),
			contest.Goroutines:  float64(after.Goroutines - before.Goroutines),
			contest.Memory:      float64(after.Heap - before.Heap),
		}
		return nil
	})
	return s, err
}

// A Status is the line that unio peer --json prints at SIGUSR1. The heap is
// what is in use after a collection.
type Status struct {
	Connections int   `json:"connections"`
	Goroutines  int   `json:"goroutines"`
	Heap        int64 `json:"heap_bytes"`
	descriptors int   // seen from outside
}

// settled returns the peer's status when its connections are gone.
func settled(ctx context.Context, peer *process.Server) (Status, error) {
	for {
		s, err := status(ctx, peer)
		if err != nil || s.Connections == 0 {
			return s, err
		}
		select {
		case <-time.After(watchEvery):
		case <-ctx.Done():
			return s, fmt.Errorf("unio peer keeps %d connections that the client has closed: %w", s.Connections, ctx.Err())
		}
	}
}

// status asks a peer how it is. Other lines that it has printed are passed over.
func status(ctx context.Context, peer *process.Server) (Status, error) {
	if err := peer.Signal(syscall.SIGUSR1); err != nil {
		return Status{}, err
	}
	for {
		line, err := peer.Line(ctx)
		if err != nil {
			return Status{}, fmt.Errorf("status of unio peer: %w", err)
		}
		var s Status
		if json.Unmarshal([]byte(line), &s) == nil && s.Goroutines > 0 {
			s.descriptors, err = peer.Descriptors()
			return s, err
		}
	}
}
