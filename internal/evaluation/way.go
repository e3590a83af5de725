package evaluation

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime/metrics"
	"time"

	"github.com/unio-stack/unio"
	"github.com/unio-stack/unio/internal/workload"
	"github.com/unio-stack/unio/provider"
)

const blockSize = 4096

// A Way is what one way to bytes costs, with so many requests in flight. What
// is per I/O is of this process, or, beside it, of the server's.
type Way struct {
	Name   string   `json:"name"`
	URL    string   `json:"url"`
	Engine string   `json:"engine,omitempty"`
	Notes  []string `json:"notes,omitempty"`
	Access string   `json:"rw"`
	Block  int      `json:"block_size"`
	Depth  int      `json:"depth"`

	Operations int64   `json:"operations"`
	IOPS       float64 `json:"iops"`
	P50        int64   `json:"p50_ns"`
	P99        int64   `json:"p99_ns"`

	CPU      float64 `json:"cpu_ns_per_io"`
	Switches float64 `json:"context_switches_per_io"`
	// Syscalls are counted in a run of its own, since counting costs time.
	Syscalls float64 `json:"syscalls_per_io"`
	// Own are those that the stack counts of itself, in the same run.
	Own         float64 `json:"own_syscalls_per_io"`
	Batch       float64 `json:"requests_per_doorbell"`
	Allocations float64 `json:"allocations_per_io"`
	Bounced     float64 `json:"bounced_bytes_per_io"`
	Server      *Server `json:"server,omitempty"`
	// Copies says how often each byte is copied on the way. It is known from
	// how the way works, not counted.
	Copies string `json:"copies"`
	// Absent says why it is not measured here, Failure what went wrong.
	Absent  string `json:"absent,omitempty"`
	Failure string `json:"failure,omitempty"`
}

// A Server is what the other end of a Way costs.
type Server struct {
	CPU      float64 `json:"cpu_ns_per_io"`
	Switches float64 `json:"context_switches_per_io"`
	// Syscalls are absent where the kernel's counter cannot be had.
	Syscalls *float64 `json:"syscalls_per_io,omitempty"`
}

// A way is how to get at a Way's figures.
type way struct {
	Way
	open   string  // URL, with the paths of this run
	server *server // nil: none takes part
	spin   time.Duration
	plain  bool  // the way of programs without unio, os.File
	flags  int   // to open the file with then
	absent error // why it cannot be measured, or nil
}

// copiedBy are the ways' copies: what is known of them.
const (
	copiesDirect   = "0: between medium and buffer by DMA"
	copiesBuffered = "1, kernel (page cache to buffer)"
	copiesMapped   = "1, unio: that copy is the I/O"
	copiesRemote   = "kernel 1 into and 1 out of the socket; unio at most 1 at each end, where octets pass its own memory"
)

// ways lists what is measured, each with one request in flight and with many.
func (l *lab) ways() (all []way) {
	file := "file:" + l.disk
	for _, w := range []way{
		{Way: Way{Name: "file, direct", URL: "file:DISK?direct=on", Copies: copiesDirect}, open: file + "?direct=on"},
		{Way: Way{Name: "file, direct, polled", URL: "file:DISK?direct=on", Copies: copiesDirect}, open: file + "?direct=on", spin: time.Second},
		{Way: Way{Name: "file, page cache", URL: "file:DISK?direct=off", Copies: copiesBuffered}, open: file + "?direct=off"},
		{Way: Way{Name: "file, mapped", URL: "dax:DISK", Copies: copiesMapped}, open: "dax:" + l.disk},
		{Way: Way{Name: "memory", URL: "mem:", Copies: copiesMapped}, open: fmt.Sprintf("mem:?size=%d", l.cfg.Size)},
		{Way: Way{Name: "file through a target", URL: "rdma://TARGET/disk", Copies: copiesRemote}, open: l.targetURL + "/disk", server: l.target, absent: l.noTarget},
		{Way: Way{Name: "memory through a target", URL: "rdma://TARGET/memory", Copies: copiesRemote}, open: l.targetURL + "/memory", server: l.target, absent: l.noTarget},
		{Way: Way{Name: "messages between peers, there and back", URL: "rdma://PEER", Access: "pingpong", Copies: copiesRemote}, open: l.peerURL, server: l.peer, absent: l.noPeer},
		{Way: Way{Name: "os.File, direct, without unio", URL: "DISK", Engine: "pread64", Copies: copiesDirect}, open: l.disk, plain: true, flags: directFlag},
		{Way: Way{Name: "os.File, page cache, without unio", URL: "DISK", Engine: "pread64", Copies: copiesBuffered}, open: l.disk, plain: true},
	} {
		for _, depth := range []int{1, 32} {
			w.Depth, w.Block = depth, blockSize
			if w.Access == "" {
				w.Access = "randrw"
			}
			all = append(all, w)
		}
	}
	return all
}

// measure takes the figures of one way.
func (l *lab) measure(ctx context.Context, w way) Way {
	l.cfg.Progress(fmt.Sprintf("%s, depth %d", w.Name, w.Depth))
	err := w.absent
	if err == nil {
		err = l.take(ctx, &w)
	}
	switch {
	case errors.Is(err, unio.ErrUnsupported), errors.Is(err, errCannotTry):
		w.Absent = err.Error()
	case err != nil:
		w.Failure = err.Error()
	}
	return w.Way
}

func (l *lab) take(ctx context.Context, w *way) error {
	if w.plain {
		f, err := openPlain(w)
		if err != nil {
			return err
		}
		defer f.close()
		return l.takeBoth(ctx, w, f.run)
	}
	dev, err := provider.Open(ctx, w.open)
	if err != nil {
		return err
	}
	defer func() { _ = dev.Close() }() // what was written is of no use to anybody
	info := dev.Info()
	w.Engine, w.Notes = info.Engine, info.Notes
	return l.takeBoth(ctx, w, func(ctx context.Context, long time.Duration, watch func()) (*workload.Result, error) {
		return w.run(ctx, dev, long, watch)
	})
}

// A program does I/O for so long. It calls watch when what is measured begins,
// and when it has ended. There is no ramp, so that this is exact.
type program func(ctx context.Context, long time.Duration, watch func()) (*workload.Result, error)

func (l *lab) takeBoth(ctx context.Context, w *way, p program) error {
	if err := l.takeSpeed(ctx, w, p); err != nil {
		return err
	}
	return l.takeCalls(ctx, w, p)
}

// takeSpeed measures while nothing else is going on.
func (l *lab) takeSpeed(ctx context.Context, w *way, p program) error {
	var allocs, cpu, switches span
	res, err := p.run(ctx, l.cfg.Time, func() {
		allocs.note(allocations())
		if w.server != nil {
			cpu.note(int64(processCPU(w.server.pid())))
			switches.note(processSwitches(w.server.pid()))
		}
	})
	if err != nil {
		return err
	}
	w.Operations, w.IOPS, w.P50, w.P99 = res.Operations, res.IOPS, res.Latency.P50, res.Latency.P99
	w.CPU, w.Switches, w.Batch = res.CPUPerIO, res.SwitchesPerIO, res.BatchSize
	w.Bounced = float64(res.BouncedBytes) / float64(res.Operations)
	w.Allocations = allocs.per(res.Operations)
	w.Syscalls, w.Own = res.SyscallsPerIO, res.SyscallsPerIO
	if w.server != nil {
		w.Server = &Server{CPU: cpu.per(res.Operations), Switches: switches.per(res.Operations)}
	}
	return nil
}

// takeCalls measures again, half as long, with the kernel's counters.
func (l *lab) takeCalls(ctx context.Context, w *way, p program) error {
	if l.noCounts != nil {
		return nil
	}
	pids := []int{os.Getpid()}
	if w.server != nil {
		pids = append(pids, w.server.pid())
	}
	spans := make([]span, len(pids))
	var counters []*calls
	defer func() {
		for _, c := range counters {
			c.close()
		}
	}()
	for _, pid := range pids { // before the run: it takes a while
		c, err := countProcess(pid)
		if err != nil {
			return err
		}
		counters = append(counters, c)
	}
	res, err := p.run(ctx, l.cfg.Time/2, func() {
		for i, c := range counters {
			spans[i].note(c.sum())
		}
	})
	if err != nil {
		return err
	}
	w.Syscalls, w.Own = spans[0].per(res.Operations), res.SyscallsPerIO
	if w.server != nil {
		n := spans[1].per(res.Operations)
		w.Server.Syscalls = &n
	}
	return nil
}

// run lets the program run, and sees that it did something.
func (p program) run(ctx context.Context, long time.Duration, watch func()) (*workload.Result, error) {
	res, err := p(ctx, long, watch)
	switch {
	case err != nil:
		return nil, err
	case ctx.Err() != nil:
		return nil, context.Cause(ctx)
	case res.Errors > 0:
		return nil, fmt.Errorf("%d requests failed, first: %s", res.Errors, res.Failure[0])
	case res.Operations == 0:
		return nil, fmt.Errorf("%w: no request ended within %v", unio.ErrTimeout, long)
	}
	return res, nil
}

// run is the program on a device: the same for all of them.
func (w *way) run(ctx context.Context, dev *unio.Device, long time.Duration, watch func()) (*workload.Result, error) {
	access, err := workload.ParseAccess(w.Access, readPercent)
	if err != nil {
		return nil, err
	}
	cfg := workload.Config{Access: access, BlockSize: w.Block, Depth: w.Depth, Time: long, Spin: w.spin, Seed: 1, Watch: watch}
	if w.server != nil {
		cfg.Batch = w.Depth // as unio bench does with peers
	}
	if access.Messages() {
		return workload.Exchange(ctx, dev, cfg, nil)
	}
	reg, err := dev.Attach(ctx, "", unio.ReadWrite)
	if err != nil {
		return nil, err
	}
	return workload.Run(ctx, reg, cfg, nil)
}

// readPercent is the share of reads in randrw.
const readPercent = 70

// A span is a counter's value when something began and when it ended.
type span struct {
	values [2]int64
	noted  int
}

func (s *span) note(v int64) {
	s.values[min(s.noted, 1)] = v
	s.noted++
}

func (s *span) per(n int64) float64 { return float64(s.values[1]-s.values[0]) / float64(n) }

// allocations returns how many objects were ever allocated on the Go heap.
func allocations() int64 {
	s := []metrics.Sample{{Name: "/gc/heap/allocs:objects"}}
	metrics.Read(s)
	return int64(s[0].Value.Uint64())
}
