package rows

import (
	"context"
	"fmt"

	"github.com/unio-stack/unio/bench/internal/contest"
)

const (
	// connections is how many are open at a time, or made after each other.
	connections = 10_000
	// connectionMemory is what a peer exposes that only keeps connections.
	connectionMemory = 16 << 20
	// leakBar is what a peer may hold more after many dials, in bytes: less than
	// any connection has, for each of them.
	leakBar = connections * 100
)

// addConnections adds what connections cost that do nothing.
func (s *Set) addConnections(c Config) {
	u := c.unio(true)
	u.Memory = connectionMemory
	idle := contest.Row{
		Name: fmt.Sprintf("remote %d idle connections, each", connections), Group: "remote",
		Unio:   contest.Contestant{Run: func(ctx context.Context) (contest.Sample, error) { return u.Idle(ctx, connections) }},
		Checks: []contest.Check{{Metric: contest.Memory, Kind: contest.Value, Bar: 16 << 10}},
	}
	dials := contest.Row{
		Name: fmt.Sprintf("remote %d dials", connections), Group: "remote",
		Unio: contest.Contestant{Run: func(ctx context.Context) (contest.Sample, error) { return u.Dials(ctx, connections) }},
		Checks: []contest.Check{
			{Metric: contest.Dials, Kind: contest.Value, AtLeast: true, Bar: 10_000},
			{Metric: contest.Descriptors, Kind: contest.Value, Bar: 0},
			{Metric: contest.Goroutines, Kind: contest.Value, Bar: 0},
			{Metric: contest.Memory, Kind: contest.Value, Bar: leakBar},
		},
	}
	s.Rows = append(s.Rows, idle, dials)
}
