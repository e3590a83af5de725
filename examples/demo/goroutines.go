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
// each slot, which blocks in os.File.ReadAt and WriteAt.
type goroutineRunner struct {
	file  *os.File
	mem   *unio.Buffer // O_DIRECT wants aligned memory
	slots int
	calls atomic.Int64
}

func openGoroutines(path string, size int64, slots int, direct bool) (_ runner, err error) {
	g := &goroutineRunner{slots: slots}
	defer func() {
		if err != nil {
			err = errors.Join(err, g.Close())
		}
	}()
	flags := os.O_RDWR | os.O_CREATE
	if direct {
		flags |= directFlag
	}
	g.file, err = os.OpenFile(path, flags, 0o600)
	if direct && (directFlag == 0 || errors.Is(err, syscall.EINVAL)) {
		return nil, errors.Join(errors.New("no O_DIRECT on this file system"), errors.ErrUnsupported)
	}
	if err != nil {
		return nil, err
	}
	if err = g.file.Truncate(size); err != nil {
		return nil, err
	}
	g.mem, err = unio.NewBuffer(slots * blockSize)
	return g, err
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
	for s := range own {
		if h != nil {
			h.Add(&own[s])
		}
	}
	return errors.Join(errs...)
}

// slot does the jobs of one slot.
func (g *goroutineRunner) slot(ctx context.Context, s int, p plan, l *ledger, h *latency.Histogram) error {
	buf := g.mem.Bytes()[s*blockSize:][:blockSize]
	var calls int64
	defer func() { g.calls.Add(calls) }()
	for j, ok := p(s); ok && ctx.Err() == nil; j, ok = p(s) {
		began := time.Now()
		if err := g.do(j, l, buf); err != nil {
			return err
		}
		calls++
		h.Record(time.Since(began).Nanoseconds())
	}
	return ctx.Err()
}

func (g *goroutineRunner) do(j job, l *ledger, buf []byte) error {
	if j.write {
		l.stamp(j, buf)
		_, err := g.file.WriteAt(buf, j.block*blockSize)
		return err
	}
	if _, err := g.file.ReadAt(buf, j.block*blockSize); err != nil {
		return err
	}
	return l.check(j, buf)
}

func (g *goroutineRunner) flush(context.Context) error { return g.file.Sync() }

// syscalls is exact: each ReadAt and WriteAt of a whole block is one.
func (g *goroutineRunner) syscalls() int64 { return g.calls.Load() }

// Close may be called twice.
func (g *goroutineRunner) Close() (err error) {
	if g.file != nil {
		err = g.file.Close()
		g.file = nil
	}
	if g.mem != nil {
		err = errors.Join(err, g.mem.Free())
	}
	return err
}
