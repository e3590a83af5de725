package workload

import (
	"context"
	"runtime"
	"time"

	"github.com/unio-stack/unio"
)

// A worker keeps one channel busy. Everything in it is owned by its goroutine.
type worker struct {
	cfg *Config
	dev *unio.Device
	reg *unio.Region // nil for messages
	mon *Monitor
	// Its part of the span, in blocks: what it fills and verifies, and where
	// it stays if the access is sequential or verified.
	first, count int64

	ch     *unio.Channel // nil if it makes calls instead
	memory *unio.Buffer
	batch  []unio.Request // its first filled entries are what is posted next
	filled int
	done   []unio.Completion
	// What each slot has in flight. Slots are named by Request.ID.
	slots  [][]byte
	kinds  []kind
	blocks []int64
	posted []time.Duration // since the origin of the run
	echo   echoes

	gen      generator
	ledger   *ledger // nil unless verifying
	inFlight int
	unsynced int // writes since the last flush

	tally    tally         // since the last tick
	tick     time.Duration // when to look at more than requests
	deadline time.Duration // when to post no more
	measured bool          // the ramp is over
	base     unio.Stats    // when it was over
	stats    unio.Stats    // from then to the end
	ended    time.Duration // last completion
	errors   int64         // also those of the ramp
	late     int64         // errors after the run, when verifying
	failures []string      // the first few errors
	gaveUp   bool          // after maxErrors
}

// open makes the channel and its memory.
func (w *worker) open(context.Context) error {
	w.pin()
	depth, cfg := w.cfg.Depth, w.cfg
	requests := depth
	if cfg.Access.Kind == PingPong {
		requests = 2 * depth
	}
	var err error
	if w.ch, err = w.dev.NewChannel(unio.ChannelConfig{Depth: requests, Pinned: cfg.Pinned, Spin: cfg.Spin}); err != nil {
		return err
	}
	w.batch = make([]unio.Request, requests)
	w.done = make([]unio.Completion, cfg.Batch)
	w.kinds = make([]kind, depth)
	w.blocks = make([]int64, depth)
	w.posted = make([]time.Duration, depth)
	return w.openMemory(requests)
}

// pin keeps the goroutine on its thread if that was asked for.
func (w *worker) pin() {
	if w.cfg.Pinned {
		runtime.LockOSThread()
	}
}

// openMemory makes a piece of memory for each of the requests in flight.
func (w *worker) openMemory(requests int) error {
	align := max(w.dev.Info().MemoryAlign, 64)
	stride := max((w.cfg.BlockSize+align-1)/align*align, align)
	var err error
	if w.memory, err = unio.NewBuffer(requests * stride); err != nil {
		return err
	}
	pieces := make([][]byte, requests)
	for i := range pieces {
		at := i * stride
		pieces[i] = w.memory.Bytes()[at : at+w.cfg.BlockSize : at+w.cfg.BlockSize]
		w.scramble(pieces[i])
	}
	w.slots = pieces[:w.cfg.Depth]
	if w.cfg.Access.Kind == PingPong {
		w.echo = echoes{memory: pieces[w.cfg.Depth:], halves: make([]uint8, w.cfg.Depth)}
	}
	return nil
}

// close releases what open made. The channel has nothing in flight, or is
// closed because something went wrong, which waits for it.
func (w *worker) close(context.Context) error {
	var err error
	if w.ch != nil {
		err = w.ch.Close()
	}
	if w.memory != nil {
		_ = w.memory.Free()
	}
	return err
}

// warm reads each slot once, so that the memory is registered and the code is
// warm when the clock starts.
func (w *worker) warm(ctx context.Context) error {
	if w.reg == nil || w.reg.Rights()&unio.Read == 0 || !w.offers(unio.OpRead) {
		return nil
	}
	g := w.gen
	for i, s := range w.slots {
		*w.next() = unio.Request{ID: uint64(i), Op: unio.OpRead, Region: w.reg, Offset: g.block() * int64(w.cfg.BlockSize), Data: s}
	}
	if err := w.post(); err != nil {
		return err
	}
	if err := w.drain(ctx, func(*unio.Completion) {}); err != nil {
		return err
	}
	for _, s := range w.slots {
		w.scramble(s) // what was read may be all zeroes
	}
	return nil
}

// offers reports whether the device has an operation.
func (w *worker) offers(op unio.Opcode) bool {
	i := w.dev.Info()
	return (i.Native | i.Provided).Has(op)
}

// next returns the entry of the batch for one more request. What is in it is
// what was there last time.
func (w *worker) next() *unio.Request {
	r := &w.batch[w.filled]
	w.filled++
	return r
}

// post posts the batch. The channel is as deep as there are entries, so that a
// refusal is an error.
func (w *worker) post() error {
	n, err := w.ch.Post(w.batch[:w.filled]...)
	w.filled = 0
	w.inFlight += n
	return err
}

// drain reaps until nothing is in flight.
func (w *worker) drain(ctx context.Context, settle func(*unio.Completion)) error {
	for w.inFlight > 0 {
		n, err := w.ch.Wait(ctx, w.done)
		w.inFlight -= n
		for i := range w.done[:n] {
			settle(&w.done[i])
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// scramble fills memory with bytes that do not compress.
func (w *worker) scramble(b []byte) {
	for i := 0; i+8 <= len(b); i += 8 {
		x := w.gen.random()
		for j := range 8 {
			b[i+j] = byte(x >> (8 * j))
		}
	}
}
