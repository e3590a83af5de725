package rows

import (
	"context"
	"fmt"
	"os"

	"github.com/unio-stack/unio/bench/internal/bound"
	"github.com/unio-stack/unio/bench/internal/contest"
	"github.com/unio-stack/unio/bench/internal/media"
	"github.com/unio-stack/unio/bench/internal/uniocmd"
)

// The names of the baselines of a target.
const (
	localName = "local"
	sumName   = "local+bound"
)

// addTarget adds storage that a target serves over loopback TCP: memory against
// the bound, a disk against unio on the same disk, and files in memory, where
// the processor is the limit, against the costs of both added up.
func (s *Set) addTarget(ctx context.Context, c Config) error {
	if !c.wants("target") {
		return nil
	}
	dir, err := os.MkdirTemp("", "unio-bench-")
	if err != nil {
		return err
	}
	s.dirs = append(s.dirs, dir)
	limit, err := bound.Build(ctx, dir)
	if err != nil {
		return err
	}
	for _, crc := range []bool{false, true} {
		for _, r := range remoteCases(crc, c.Quick) {
			if r.block == 4096 {
				s.Rows = append(s.Rows, targetMemoryRow(r, c, limit, crc))
			}
		}
	}
	return s.addTargetFiles(ctx, c, limit)
}

// targetMemoryRow is the peers' row, with a target in the place of the peer.
func targetMemoryRow(r remoteCase, c Config, limit *bound.Program, crc bool) contest.Row {
	r.ucx = nil
	row := r.row(c, limit, crc)
	u := c.unio(crc)
	u.Op, u.Block, u.Depth, u.Spin = r.op, r.block, r.depth, c.Spin
	u.Export = fmt.Sprintf("mem:?size=%d&populate=1", c.Size)
	row.Name, row.Group = "target memory "+row.Name[len("remote "):], "target"
	row.Unio.Run = u.Pair().Run
	for i := range row.Checks {
		if row.Checks[i].Metric == contest.TargetCPU && r.op == "read" && r.depth > 1 && !crc {
			row.Checks[i].NoBar, row.Checks[i].Bar = false, 1.3
		}
	}
	return row
}

// addTargetFiles adds 4 KiB at depth 64 on files.
func (s *Set) addTargetFiles(ctx context.Context, c Config, limit *bound.Program) error {
	for _, m := range []struct {
		name, dir, query string
		ready            func(*media.File) error
		sum              bool // the baseline is both costs
	}{
		{"disk", c.Dir, "?direct=on", (*media.File).Drop, false},
		{"page cache", c.Dir, "?direct=off", (*media.File).Warm, true},
		{"shm", c.Shm, "", (*media.File).Warm, true},
	} {
		f, err := s.file(m.dir, "target.dat", c.Size)
		if err != nil {
			return err
		}
		if err := m.ready(f); err != nil {
			return err
		}
		for _, op := range []string{"read", "write"} {
			u := c.unio(false)
			u.Op, u.Block, u.Depth, u.Export = op, 4096, 64, "file://"+f.Path+m.query
			local := uniocmd.Job{Binary: c.Unio, URL: u.Export, RW: "rand" + op, Depth: u.Depth, Time: c.Time, CPU: c.CPU}
			row := contest.Row{
				Name: fmt.Sprintf("target %s 4k %s depth %d", m.name, op, u.Depth), Group: "target", Unio: contest.Contestant{Run: u.Pair().Run},
				Baselines: []contest.Contestant{{Name: localName, Run: local.Run}},
				Checks:    []contest.Check{{Metric: contest.IOPS, Kind: contest.Ratio, AtLeast: true, Bar: 0.9, Against: localName}},
			}
			if m.sum {
				b := limit.Pair(bound.Job{
					Op: op, Block: u.Block, Depth: u.Depth, Memory: c.Size, Huge: c.Huge, Spin: c.Spin,
					Congestion: c.Congestion, Time: c.Time, Place: c.place(),
				})
				row.Baselines = []contest.Contestant{{Name: sumName, Run: inTurn(local.Run, b.Run)}}
				row.Checks[0].Against, row.Checks[0].Bar = sumName, 0.8
			}
			s.Rows = append(s.Rows, row)
		}
	}
	return nil
}

// inTurn is the rate of one who does for each operation first what a does, then
// what b does.
func inTurn(a, b func(context.Context) (contest.Sample, error)) func(context.Context) (contest.Sample, error) {
	return func(ctx context.Context) (contest.Sample, error) {
		first, err := a(ctx)
		if err != nil {
			return nil, err
		}
		second, err := b(ctx)
		if err != nil {
			return nil, err
		}
		return contest.Sample{contest.IOPS: 1 / (1/first[contest.IOPS] + 1/second[contest.IOPS])}, nil
	}
}
