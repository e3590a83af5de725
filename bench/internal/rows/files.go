package rows

import (
	"context"
	"fmt"
	"time"

	"github.com/unio-stack/unio/bench/internal/contest"
	"github.com/unio-stack/unio/bench/internal/fio"
	"github.com/unio-stack/unio/bench/internal/media"
	"github.com/unio-stack/unio/bench/internal/readat"
	"github.com/unio-stack/unio/bench/internal/uniocmd"
)

// addFiles adds what runs on files: on the disk past the page cache, on the
// disk in the page cache, and in memory.
func (s *Set) addFiles(ctx context.Context, c Config) error {
	if c.wantsAny("disk", "goroutines") {
		f, err := s.file(c.Dir, "direct.dat", c.Size)
		if err != nil {
			return err
		}
		if err := f.Drop(); err != nil {
			return err
		}
		if err := s.addDisk(ctx, c, f); err != nil {
			return err
		}
		if err := s.addGoroutines(ctx, c, f, true); err != nil {
			return err
		}
	}
	if c.wantsAny("warm", "goroutines") {
		f, err := s.file(c.Dir, "warm.dat", c.Size)
		if err != nil {
			return err
		}
		if err := f.Warm(); err != nil {
			return err
		}
		if err := s.addCached(ctx, c, "warm", f, "?direct=off"); err != nil {
			return err
		}
		if err := s.addGoroutines(ctx, c, f, false); err != nil {
			return err
		}
	}
	if !c.wants("shm") {
		return nil
	}
	f, err := s.file(c.Shm, "shm.dat", c.Size)
	if err != nil {
		return err
	}
	return s.addCached(ctx, c, "shm", f, "")
}

var randomly = []string{"randread", "randwrite"}

// addDisk compares with fio's io_uring engine, both with O_DIRECT.
func (s *Set) addDisk(ctx context.Context, c Config, f *media.File) error {
	if !c.wants("disk") {
		return nil
	}
	for _, rw := range randomly {
		for _, depth := range c.depths() {
			job := fio.Job{File: f.Path, RW: rw, Engine: "io_uring", Depth: depth, Direct: true, Time: c.Time, CPU: c.CPU}
			row := contest.Row{
				Name: fmt.Sprintf("disk 4k %s depth %d", rw, depth), Group: "disk", Better: contest.IOPS,
				Checks: []contest.Check{
					{Metric: contest.IOPS, Kind: contest.Ratio, AtLeast: true, Bar: 1},
					{Metric: contest.CPU, Kind: contest.Ratio, Bar: 1},
				},
			}
			if err := s.addAgainstFio(ctx, c, row, uniocmd.Job{URL: "file://" + f.Path + "?direct=on", RW: rw, Depth: depth, Pin: rw == "randread"}, job); err != nil {
				return err
			}
		}
	}
	return nil
}

// addCached compares with the better of fio's io_uring and psync engines.
func (s *Set) addCached(ctx context.Context, c Config, group string, f *media.File, query string) error {
	if !c.wants(group) {
		return nil
	}
	for _, rw := range randomly {
		for _, depth := range c.depths() {
			job := fio.Job{File: f.Path, RW: rw, Engine: "io_uring", Depth: depth, Time: c.Time, CPU: c.CPU}
			plain := job
			plain.Engine = "psync"
			row := contest.Row{
				Name: fmt.Sprintf("%s 4k %s depth %d", group, rw, depth), Group: group, Better: contest.IOPS,
				Checks: []contest.Check{{Metric: contest.IOPS, Kind: contest.Ratio, AtLeast: true, Bar: 1}},
			}
			if err := s.addAgainstFio(ctx, c, row, uniocmd.Job{URL: "file://" + f.Path + query, RW: rw, Depth: depth}, job, plain); err != nil {
				return err
			}
		}
	}
	return nil
}

// addAgainstFio completes a row of unio bench against fio jobs.
func (s *Set) addAgainstFio(ctx context.Context, c Config, row contest.Row, u uniocmd.Job, jobs ...fio.Job) (err error) {
	u.Binary, u.Time, u.CPU = c.Unio, c.Time, c.CPU
	if u.Startup, err = u.MeasureStartup(ctx); err != nil {
		return err
	}
	row.Unio.Run = u.Run
	for _, j := range jobs {
		if j.Startup, err = j.MeasureStartup(ctx); err != nil {
			return err
		}
		row.Baselines = append(row.Baselines, contest.Contestant{Name: "fio " + j.Engine, Run: j.Run})
	}
	s.Rows = append(s.Rows, row)
	return nil
}

// addGoroutines compares File.ReadAt with os.File.ReadAt.
func (s *Set) addGoroutines(ctx context.Context, c Config, f *media.File, direct bool) error {
	if !c.wants("goroutines") {
		return nil
	}
	for _, n := range []int{64, 1} {
		medium, checks := "cached", []contest.Check{{Metric: contest.IOPS, Kind: contest.Ratio, AtLeast: true, Bar: 0.9}}
		if direct {
			medium = "O_DIRECT"
		}
		if direct && n > 1 {
			checks = []contest.Check{
				{Metric: contest.IOPS, Kind: contest.Ratio, AtLeast: true, Bar: 1.3},
				{Metric: contest.CPU, Kind: contest.Ratio, Bar: 0.5},
				{Metric: contest.Threads, Kind: contest.Value, Bar: 8},
			}
		}
		row := contest.Row{
			Name: fmt.Sprintf("File.ReadAt %s, goroutines: %d", medium, n), Group: "goroutines", Better: contest.IOPS, Checks: checks,
		}
		subject, err := readers(ctx, "unio", f.Path, direct, n, c.Time)
		if err != nil {
			return err
		}
		baseline, err := readers(ctx, "os", f.Path, direct, n, c.Time)
		if err != nil {
			return err
		}
		row.Unio, row.Baselines = subject, []contest.Contestant{baseline}
		s.Rows = append(s.Rows, row)
	}
	return nil
}

func readers(ctx context.Context, api, path string, direct bool, n int, d time.Duration) (contest.Contestant, error) {
	j := readat.Job{API: api, Path: path, Direct: direct, Goroutines: n, Time: d}
	startup, err := j.MeasureStartup(ctx)
	j.Startup = startup
	return contest.Contestant{Name: api + ".File", Run: j.Run}, err
}
