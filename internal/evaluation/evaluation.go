package evaluation

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"github.com/unio-stack/unio"
)

// Config says how to evaluate.
type Config struct {
	Dir  string        // where the directory for files is made; "" is the system's for temporary files
	Time time.Duration // of each measurement; default 1 s
	Size int64         // of the file and of the memory, in bytes; default 64 MiB, at least 1 MiB
	// Unio returns the command unio with arguments, ready to be started.
	Unio func(args ...string) *exec.Cmd
	// Progress, if it is not nil, is told what comes next.
	Progress func(what string)
}

const (
	defaultTime = time.Second
	defaultSize = 64 << 20
	leastSize   = 1 << 20
)

func (c Config) withDefaults() (Config, error) {
	if c.Time == 0 {
		c.Time = defaultTime
	}
	if c.Size == 0 {
		c.Size = defaultSize
	}
	if c.Progress == nil {
		c.Progress = func(string) {}
	}
	if c.Time < 0 || c.Size < leastSize || c.Size%blockSize != 0 {
		return c, fmt.Errorf("%w: %v on %d bytes: want a positive time, and a multiple of 4 KiB, at least 1 MiB", unio.ErrInvalid, c.Time, c.Size)
	}
	return c, nil
}

// A Report is what an evaluation has found.
type Report struct {
	Date      time.Time `json:"date"`
	Kernel    string    `json:"kernel"`
	Processor string    `json:"processor"`
	Cores     int       `json:"cores"` // that Go uses
	Go        string    `json:"go"`
	Seconds   float64   `json:"seconds"` // of each measurement
	Size      int64     `json:"size"`    // bytes of the file and of the memory
	// SyscallsFrom says who has counted the system calls.
	SyscallsFrom string  `json:"syscalls_from"`
	Ways         []Way   `json:"ways"`
	Checks       []Check `json:"checks"`
}

// Failed returns the checks whose claim should hold here and does not, and the
// ways that failed.
func (r *Report) Failed() (names []string) {
	for _, w := range r.Ways {
		if w.Failure != "" {
			names = append(names, w.Name)
		}
	}
	for _, c := range r.Checks {
		if c.Broken {
			names = append(names, c.Claim)
		}
	}
	return names
}

// Run evaluates. What does not work is in the Report; the error is about what
// the evaluation itself needs, or that ctx has ended.
func Run(ctx context.Context, cfg Config) (_ *Report, err error) {
	cfg, err = cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	l, err := newLab(cfg)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, l.close()) }()
	r := newReport(cfg)
	r.SyscallsFrom = l.syscallsFrom()
	l.startServers(ctx)
	for _, w := range l.ways() {
		if ctx.Err() == nil {
			m := l.measure(ctx, w)
			m.Absent, m.Failure = l.withoutPath(m.Absent), l.withoutPath(m.Failure)
			r.Ways = append(r.Ways, m)
		}
	}
	for _, c := range checks() {
		if ctx.Err() == nil {
			cfg.Progress(c.claim)
			tried := c.try(ctx, l)
			tried.Reason = l.withoutPath(tried.Reason)
			r.Checks = append(r.Checks, tried)
		}
	}
	return r, context.Cause(ctx)
}

// withoutPath names the file as the report does, not by its path in this run.
func (l *lab) withoutPath(text string) string { return strings.ReplaceAll(text, l.disk, "DISK") }

// A lab is what the parts of an evaluation share.
type lab struct {
	cfg      Config
	dir      string
	disk     string // path of the file
	noCounts error  // why the kernel's counter of system calls cannot be had, or nil
	// A server that did not start has its error beside it.
	target, peer       *server
	noTarget, noPeer   error   // errCannotTry where there are no connections
	killable           *server // the target that is killed; nil until then
	targetURL, peerURL string
}

func newLab(cfg Config) (*lab, error) {
	dir, err := os.MkdirTemp(cfg.Dir, "unio-report-")
	if err != nil {
		return nil, err
	}
	l := &lab{cfg: cfg, dir: dir, noCounts: tryCounting()}
	if l.disk, err = filepath.Abs(filepath.Join(dir, "disk.img")); err == nil {
		err = fill(l.disk, cfg.Size)
	}
	if err != nil {
		return nil, errors.Join(err, l.close())
	}
	return l, nil
}

// close ends the servers and removes the files.
func (l *lab) close() error {
	for _, s := range []*server{l.target, l.peer, l.killable} {
		if s != nil {
			s.stop()
		}
	}
	return os.RemoveAll(l.dir)
}

// startServers starts what the ways need. What does not start is told where it
// is missed.
func (l *lab) startServers(ctx context.Context) {
	if runtime.GOOS != "linux" {
		l.noTarget = fmt.Errorf("%w: connections need Linux", errCannotTry)
		l.noPeer = l.noTarget
		return
	}
	l.target, l.noTarget = startServer(ctx, l.cfg.Unio("serve", "--listen", "127.0.0.1:0", "--json", "--log-level", "error",
		"--export", "disk=file:"+l.disk+"?direct=auto", "--export", fmt.Sprintf("memory=mem:?size=%d", l.cfg.Size)))
	if l.noTarget == nil {
		l.targetURL = "rdma://" + l.target.address
	}
	l.peer, l.noPeer = startServer(ctx, l.cfg.Unio("peer", "--listen", "127.0.0.1:0", "--json", "--size", "1M"))
	if l.noPeer == nil {
		l.peerURL = "rdma://" + l.peer.address
	}
}

func (l *lab) syscallsFrom() string {
	if l.noCounts == nil {
		return "the kernel's tracepoint raw_syscalls:sys_enter, on every thread of the process (perf_event_open)"
	}
	return fmt.Sprintf("unio's own counters, which leave out what the Go runtime does; the kernel's cannot be had here: %v", l.noCounts)
}

// fill makes a file of bytes that do not compress, all of it allocated.
func fill(path string, size int64) (err error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	b := make([]byte, leastSize)
	x := uint64(size) | 1
	for at := int64(0); at < size; at += int64(len(b)) {
		for i := range b {
			x ^= x << 13
			x ^= x >> 7
			x ^= x << 17
			b[i] = byte(x >> 32)
		}
		if _, err := f.WriteAt(b[:min(int64(len(b)), size-at)], at); err != nil {
			return err
		}
	}
	return f.Sync()
}
