// Package pair measures a client and the server that it uses: two processes,
// each on a processor of its own, joined by loopback TCP. Every contestant of
// remote I/O is run in this way.
package pair

import (
	"context"
	"fmt"
	"net"
	"sync"
	"time"

	"github.com/unio-stack/unio/bench/internal/contest"
	"github.com/unio-stack/unio/bench/internal/process"
)

// Place says where the two processes run.
type Place struct {
	Client int // processor of the client, -1 for any
	Server int // processor of the server, -1 for any
}

// A Pair is a server and a client. Run may be called again and again, by one
// goroutine at a time.
type Pair struct {
	// Server and Client make the command lines, for a port of 127.0.0.1.
	Server func(port int) process.Command
	Client func(port int) process.Command
	// Startup is the client's with next to nothing to do, whose CPU time is
	// taken off the client's.
	Startup func(port int) process.Command
	// Parse reads what the client printed.
	Parse func(output []byte) (Outcome, error)
	// Time is how long the client runs, about. A minute more is an error.
	Time time.Duration

	startup   time.Duration
	startOnce sync.Once
	startErr  error // guarded by startOnce
}

// An Outcome is what a client found: the metrics it has, and the operations
// that CPU times are divided by.
type Outcome struct {
	Sample     contest.Sample
	Operations float64
}

// patience is what a run may take longer than it should.
const patience = time.Minute

// Run starts the server, runs the client and stops the server. CPU times are
// per operation: the client's is what the whole process used less its startup,
// the server's (the target's) is what it used while the client ran.
func (p *Pair) Run(ctx context.Context) (contest.Sample, error) {
	p.startOnce.Do(func() {
		r, _, err := p.once(ctx, p.Startup)
		p.startup, p.startErr = r.CPU, err
	})
	if p.startErr != nil {
		return nil, p.startErr
	}
	r, target, err := p.once(ctx, p.Client)
	if err != nil {
		return nil, err
	}
	o, err := p.Parse(r.Output)
	if err != nil {
		return nil, err
	}
	o.Sample[contest.CPU] = process.PerOperation(r, p.startup, o.Operations)
	o.Sample[contest.TargetCPU] = process.PerOperation(process.Run{CPU: target}, 0, o.Operations)
	return o.Sample, nil
}

// once runs one client against a new server, and returns the CPU time that the
// server used meanwhile.
func (p *Pair) once(ctx context.Context, client func(port int) process.Command) (r process.Run, target time.Duration, err error) {
	err = WithServer(ctx, p.Time, p.Server, func(ctx context.Context, s *process.Server, port int) error {
		before, err := s.CPU()
		if err != nil {
			return err
		}
		if r, err = client(port).Run(ctx); err != nil {
			return err
		}
		target, err = s.CPU()
		target -= before
		return err
	})
	return r, target, err
}

// WithServer starts a server at a free port and calls use when it listens,
// which should take about as long as said. The server is stopped afterwards.
func WithServer(
	ctx context.Context, takes time.Duration, server func(port int) process.Command,
	use func(ctx context.Context, s *process.Server, port int) error,
) error {
	ctx, cancel := context.WithTimeoutCause(ctx, takes+patience, fmt.Errorf("no end after %v", takes+patience))
	defer cancel()
	port, err := freePort()
	if err != nil {
		return err
	}
	s, err := server(port).Start(ctx)
	if err != nil {
		return err
	}
	defer s.Stop()
	if err := s.WaitListening(ctx, port); err != nil {
		return err
	}
	err = use(ctx, s, port)
	if err != nil && ctx.Err() != nil {
		return fmt.Errorf("%w: %w", context.Cause(ctx), err)
	}
	return err
}

// freePort returns a TCP port that nothing uses at the moment.
func freePort() (int, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	return l.Addr().(*net.TCPAddr).Port, l.Close()
}

// Timed returns the metrics that follow from a rate of operations of so many
// bytes.
func Timed(iops float64, block int) contest.Sample {
	return contest.Sample{
		contest.IOPS:      iops,
		contest.Time:      1e9 / iops,
		contest.Bandwidth: iops * float64(block),
	}
}
