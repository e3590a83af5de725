package main

import (
	"context"
	"errors"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/unio-stack/unio"
	"github.com/unio-stack/unio/internal/latency"
)

// A goroutineRunner does what a Go program does without unio: a goroutine for
// each slot, which blocks in the ReadAt and WriteAt of an os.File, or in calls
// of net/rpc.
type goroutineRunner struct {
	mem   *unio.Buffer // O_DIRECT wants aligned memory
	slots int
	do    func(j job, l *ledger, buf []byte) error
	sync  func() error
	calls func() int64
	close func() error
}

func newGoroutines(slots int) (*goroutineRunner, error) {
	mem, err := unio.NewBuffer(slots * blockSize)
	return &goroutineRunner{mem: mem, slots: slots}, err
}

// openFile runs on the file at path.
func openFile(path string, slots int, direct bool) (runner, error) {
	file, err := openMaybeDirect(path, direct)
	if err != nil {
		return nil, err
	}
	g, err := newGoroutines(slots)
	if err != nil {
		return nil, errors.Join(err, file.Close())
	}
	var calls atomic.Int64 // each ReadAt and WriteAt of a whole block is one
	g.do = func(j job, l *ledger, buf []byte) error {
		calls.Add(1)
		if j.write {
			l.stamp(j, buf)
			if _, err := file.WriteAt(buf, j.block*blockSize); err != nil {
				return err
			}
			l.written(j)
			return nil
		}
		if _, err := file.ReadAt(buf, j.block*blockSize); err != nil {
			return err
		}
		return l.check(j, buf)
	}
	g.sync, g.calls, g.close = file.Sync, calls.Load, file.Close
	return g, nil
}

// openMaybeDirect opens a file, past the page cache if direct is set. The error
// is errors.ErrUnsupported where the file system has no way past.
func openMaybeDirect(path string, direct bool) (*os.File, error) {
	if !direct {
		return os.OpenFile(path, os.O_RDWR, 0)
	}
	file, err := os.OpenFile(path, os.O_RDWR|directFlag, 0)
	if directFlag == 0 && err == nil {
		err = errors.Join(errors.ErrUnsupported, file.Close())
	}
	if errors.Is(err, syscall.EINVAL) || errors.Is(err, errors.ErrUnsupported) {
		return nil, errors.Join(errors.New("no O_DIRECT on this file system"), errors.ErrUnsupported)
	}
	return file, err
}

// pass runs one goroutine for each slot, to the end of its plan.
func (g *goroutineRunner) pass(ctx context.Context, p plan, l *ledger, h *latency.Histogram) error {
	errs := make([]error, g.slots)
	own := make([]latency.Histogram, g.slots)
	var wg sync.WaitGroup
	for s := range g.slots {
		wg.Go(func() { errs[s] = g.slot(ctx, s, p, l, &own[s]) })
	}
	wg.Wait()
	addAll(h, own)
	return errors.Join(errs...)
}

// slot does the jobs of one slot.
func (g *goroutineRunner) slot(ctx context.Context, s int, p plan, l *ledger, h *latency.Histogram) error {
	buf := g.mem.Bytes()[s*blockSize:][:blockSize]
	for j, ok := p(s); ok && ctx.Err() == nil; j, ok = p(s) {
		began := time.Now()
		if err := g.do(j, l, buf); err != nil {
			return err
		}
		h.Record(time.Since(began).Nanoseconds())
	}
	return ctx.Err()
}

// addAll adds the histograms of all slots to h, unless it is nil.
func addAll(h *latency.Histogram, own []latency.Histogram) {
	if h == nil {
		return
	}
	for s := range own {
		h.Add(&own[s])
	}
}

func (g *goroutineRunner) flush(context.Context) error { return g.sync() }

func (g *goroutineRunner) syscalls() int64 { return g.calls() }

// Close may be called twice.
func (g *goroutineRunner) Close() (err error) {
	if g.close != nil {
		err = g.close()
		g.close = nil
	}
	return errors.Join(err, g.mem.Free())
}
