// Package rows holds what is compared with what, and the bars.
package rows

import (
	"context"
	"fmt"
	"os"
	"slices"
	"time"

	"github.com/unio-stack/unio/bench/internal/contest"
	"github.com/unio-stack/unio/bench/internal/fio"
	"github.com/unio-stack/unio/bench/internal/media"
)

// Config says what to compare and where.
type Config struct {
	Unio string        // path of the unio command
	Dir  string        // on the disk that is measured
	Shm  string        // on a file system in memory
	Size int64         // of each file, bytes
	Time time.Duration // of each run
	CPU  int           // to pin single-core contestants and remote clients to, -1 for none
	// ServerCPU is what remote servers are pinned to, -1 for none.
	ServerCPU int
	// Congestion is the congestion control of remote contestants, on both
	// sides; "" is the machine's.
	Congestion string
	Spin       bool // remote contestants poll, on both sides, and never sleep
	Huge       bool // the bound of remote I/O has its memory in huge pages
	Quick      bool // one depth only
	// Groups are the groups wanted; none means all.
	Groups []string
}

// Groups are the groups of rows, in their order.
var Groups = []string{"disk", "warm", "shm", "goroutines", "mem", "allocs", "remote", "target"}

func (c Config) wants(group string) bool {
	return len(c.Groups) == 0 || slices.Contains(c.Groups, group)
}

func (c Config) wantsAny(groups ...string) bool { return slices.ContainsFunc(groups, c.wants) }

func (c Config) depths() []int {
	if c.Quick {
		return []int{32}
	}
	return []int{1, 32, 128}
}

// A Set is the rows of a run, and the files that they use.
type Set struct {
	Rows []contest.Row
	dirs []string // made for the files, and removed by Close
}

// Prepare makes the files and the rows. Close the set afterwards, also if
// there is an error.
func Prepare(ctx context.Context, c Config) (*Set, error) {
	s := &Set{}
	if c.wantsAny("disk", "warm", "shm") {
		if err := fio.Check(); err != nil {
			return s, err
		}
	}
	for _, add := range []func(context.Context, Config) error{s.addFiles, s.addMemory, s.addAllocations, s.addRemote, s.addTarget} {
		if err := add(ctx, c); err != nil {
			return s, err
		}
	}
	if len(s.Rows) == 0 {
		return s, fmt.Errorf("no rows in groups %q: they are %q", c.Groups, Groups)
	}
	return s, nil
}

// Close removes the files.
func (s *Set) Close() error {
	var first error
	for _, d := range s.dirs {
		if err := os.RemoveAll(d); err != nil && first == nil {
			first = err
		}
	}
	return first
}

// file makes a file in a directory of its own below dir.
func (s *Set) file(dir, name string, size int64) (*media.File, error) {
	own, err := os.MkdirTemp(dir, "unio-bench-")
	if err != nil {
		return nil, err
	}
	s.dirs = append(s.dirs, own)
	return media.Create(own, name, size)
}
