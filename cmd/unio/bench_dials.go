package main

import (
	"context"
	"time"

	"github.com/unio-stack/unio"
	"github.com/unio-stack/unio/internal/workload"
)

// dialsTime is how long dials may take in all if no --time is given.
const dialsTime = 24 * time.Hour

// dial opens and closes channels: with a peer, each is a connection.
func (t *benchTarget) dial(ctx context.Context, cfg workload.Config, f benchFlags, mon *workload.Monitor) (*workload.Result, error) {
	if !f.given("time") {
		cfg.Time = dialsTime
	}
	return workload.Repeat(ctx, f.dials, func(context.Context) error {
		ch, err := t.dev.NewChannel(unio.ChannelConfig{Depth: f.depth, Pinned: f.pin})
		if err != nil {
			return err
		}
		return ch.Close()
	}, cfg, mon)
}
