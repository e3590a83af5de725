package rows

import (
	"context"
	"fmt"
	"os"
	"slices"

	"github.com/unio-stack/unio/bench/internal/bound"
	"github.com/unio-stack/unio/bench/internal/contest"
	"github.com/unio-stack/unio/bench/internal/pair"
	"github.com/unio-stack/unio/bench/internal/ucx"
	"github.com/unio-stack/unio/bench/internal/uniocmd"
)

// The names of the baselines of remote I/O.
const (
	boundName = "bound"
	ucxName   = "ucx"
	readsName = "4k reads" // unio's own
)

// A remoteCase is one kind of remote I/O, and what it is held against.
type remoteCase struct {
	name  string
	op    string // unio bench's and the bound's
	block int
	depth int
	spin  bool // both sides poll, whatever is asked for
	// check is against the bound, and with the bar 1 against UCX.
	check contest.Check
	ucx   *ucx.Job // nil where UCX has nothing to compare
	// shown: UCX's figure is shown and not judged.
	shown bool
}

// remoteCases lists what has the bound for a baseline. Checksums may cost
// something where the processor is the limit, so that there the bar is lower.
func remoteCases(crc, quick bool) []remoteCase {
	rate := 0.9
	if crc {
		rate = 0.8
	}
	iops := contest.Check{Metric: contest.IOPS, Kind: contest.Ratio, AtLeast: true, Bar: rate}
	bandwidth := contest.Check{Metric: contest.Bandwidth, Kind: contest.Ratio, AtLeast: true, Bar: 0.9}
	single := contest.Check{Metric: contest.Time, Kind: contest.Ratio, Bar: 1.15}
	message := contest.Check{Metric: contest.Time, Kind: contest.Ratio, Bar: 1.1}
	all := []remoteCase{
		{name: "4k read depth 64", op: "read", block: 4096, depth: 64, check: iops, ucx: &ucx.Job{Test: "ucp_get"}},
		{name: "4k write depth 64", op: "write", block: 4096, depth: 64, check: iops, ucx: &ucx.Job{Test: "ucp_put_bw"}},
		{name: "4k read depth 1", op: "read", block: 4096, depth: 1, check: single},
		{name: "4k write depth 1", op: "write", block: 4096, depth: 1, check: single, ucx: &ucx.Job{Test: "ucp_put_lat"}, shown: true},
		{name: "256k read depth 16", op: "read", block: 256 << 10, depth: 16, check: bandwidth, ucx: &ucx.Job{Test: "ucp_get"}},
		{name: "256k write depth 16", op: "write", block: 256 << 10, depth: 16, check: bandwidth, ucx: &ucx.Job{Test: "ucp_put_bw"}},
		{name: "64 B ping-pong, polling", op: "pingpong", block: 64, depth: 1, spin: true, check: message, ucx: &ucx.Job{Test: "tag_lat"}},
	}
	if quick {
		return slices.DeleteFunc(all, func(r remoteCase) bool { return r.depth == 1 && !r.spin })
	}
	return all
}

// addRemote adds remote memory and messages over loopback TCP.
func (s *Set) addRemote(ctx context.Context, c Config) error {
	if !c.wants("remote") {
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
			s.Rows = append(s.Rows, r.row(c, limit, crc))
		}
		s.Rows = append(s.Rows, fetchAddRow(c, crc))
	}
	s.addConnections(c)
	return nil
}

func (c Config) place() pair.Place { return pair.Place{Client: c.CPU, Server: c.ServerCPU} }

// unio is the unio side of any remote case.
func (c Config) unio(crc bool) uniocmd.Remote {
	return uniocmd.Remote{
		Binary: c.Unio, Memory: c.Size, CRC: crc, Spin: c.Spin, Congestion: c.Congestion, Time: c.Time, Place: c.place(),
	}
}

func (r remoteCase) row(c Config, limit *bound.Program, crc bool) contest.Row {
	spin := r.spin || c.Spin
	u := c.unio(crc)
	u.Op, u.Block, u.Depth, u.Spin = r.op, r.block, r.depth, spin
	b := limit.Pair(bound.Job{
		Op: r.op, Block: r.block, Depth: r.depth, Memory: c.Size, Huge: c.Huge, Spin: spin,
		Congestion: c.Congestion, Time: c.Time, Place: c.place(),
	})
	row := remoteRow(r.name, crc)
	row.Unio.Run = u.Pair().Run
	row.Baselines = []contest.Contestant{{Name: boundName, Run: b.Run}}
	check := r.check
	check.Against = boundName
	row.Checks = []contest.Check{check}
	if !spin { // or else all CPU time is used, whatever is done in it
		row.Checks = append(row.Checks, contest.Check{Metric: contest.TargetCPU, Kind: contest.Ratio, NoBar: true, Against: boundName})
	}
	if r.ucx != nil && !crc {
		addUCX(&row, c, *r.ucx, r.block, r.depth)
		check.Against, check.Bar, check.NoBar = ucxName, 1, r.shown
		row.Checks = append(row.Checks, check)
	}
	return row
}

func remoteRow(name string, crc bool) contest.Row {
	return contest.Row{
		Name: fmt.Sprintf("remote %s%s", name, map[bool]string{true: ", crc"}[crc]), Group: "remote",
	}
}

// addUCX adds a test of UCX, which has no checksums, as a baseline.
func addUCX(row *contest.Row, c Config, j ucx.Job, block, depth int) {
	j.Block, j.Time, j.Place = block, c.Time, c.place()
	if depth > 1 {
		j.Depth = depth
	}
	row.Baselines = append(row.Baselines, j.Contestant(ucxName))
}

// fetchAddRow compares atomics with unio's own reads.
func fetchAddRow(c Config, crc bool) contest.Row {
	const depth = 64
	add, read := c.unio(crc), c.unio(crc)
	add.Op, add.Block, add.Depth = "fetch-add", 8, depth
	read.Op, read.Block, read.Depth = "read", 4096, depth
	row := remoteRow(fmt.Sprintf("8 B fetch-add depth %d", depth), crc)
	row.Unio.Run = add.Pair().Run
	row.Baselines = []contest.Contestant{{Name: readsName, Run: read.Pair().Run}}
	check := contest.Check{Metric: contest.IOPS, Kind: contest.Ratio, AtLeast: true, Bar: 1, Against: readsName}
	row.Checks = []contest.Check{check}
	if !crc {
		addUCX(&row, c, ucx.Job{Test: "ucp_fadd"}, add.Block, depth)
		check.Against = ucxName
		row.Checks = append(row.Checks, check)
	}
	return row
}
