package main

import (
	"fmt"

	"github.com/unio-stack/unio/internal/bytesize"
	"github.com/unio-stack/unio/internal/console"
	"github.com/unio-stack/unio/internal/workload"
)

// benchLine shows how a run is going, unless a program reads the output.
func (s *shell) benchLine(mon *workload.Monitor, quiet bool) *console.Live {
	if quiet {
		return nil
	}
	return s.live(func(width int) string { return benchStatus(mon.Progress(), width) })
}

// benchStatus is a line about a run: as much of it as is most important fits
// on narrow terminals.
func benchStatus(p workload.Progress, width int) string {
	bar := console.Bar(p.Fraction, min(max(width/6, 4), 20))
	switch p.Phase {
	case workload.PhaseSetup:
		return "opening"
	case workload.PhaseFill, workload.PhaseVerify:
		return fmt.Sprintf("%-6s %s %3.0f%%", p.Phase, bar, 100*p.Fraction)
	}
	s := fmt.Sprintf("%-6s %s %s  %s IOPS  %s/s  p50 %s  p99 %s", p.Phase, bar, console.Clock(p.Left),
		console.Count(p.IOPS), bytesize.Format(int64(p.BytesPerSecond)),
		console.Nanos(float64(p.P50)), console.Nanos(float64(p.P99)))
	if p.Errors > 0 {
		s += fmt.Sprintf("  %d errors", p.Errors)
	}
	return s
}
