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
	reg *unio.Region
	mon *Monitor
	// Its part of the span, in blocks: what it fills and verifies, and where
	// it stays if the access is sequential or verified.
	first, count int64

	ch     *unio.Channel
	memory *unio.Buffer
	batch  []unio.Request // its first n entries are what is posted next
	done   []unio.Completion
	// What each slot, named by Request.ID, has in flight.
	slots  [][]byte
	kinds  []kind
	blocks []int64
	posted []time.Duration // since the origin of the run

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

const (
	maxFailures = 5    // errors kept in words
	maxErrors   = 1000 // errors after which a worker gives up
	// tickEvery is how often a worker reports.
	tickEvery = 100 * time.Millisecond
)

// open makes the channel and its memory.
func (w *worker) open(context.Context) error {
	if w.cfg.Pinned {
		runtime.LockOSThread()
	}
	depth := w.cfg.Depth
	ch, err := w.reg.Device().NewChannel(unio.ChannelConfig{Depth: depth, Pinned: w.cfg.Pinned, Spin: w.cfg.Spin})
	if err != nil {
		return err
	}
	w.ch = ch
	align := max(w.reg.Device().Info().MemoryAlign, 64)
	stride := (w.cfg.BlockSize + align - 1) / align * align
	if w.memory, err = unio.NewBuffer(depth * stride); err != nil {
		return err
	}
	w.batch = make([]unio.Request, depth)
	w.done = make([]unio.Completion, w.cfg.Batch)
	w.slots = make([][]byte, depth)
	w.kinds = make([]kind, depth)
	w.blocks = make([]int64, depth)
	w.posted = make([]time.Duration, depth)
	for i := range w.slots {
		at := i * stride
		w.slots[i] = w.memory.Bytes()[at : at+w.cfg.BlockSize : at+w.cfg.BlockSize]
		w.scramble(w.slots[i])
		w.batch[i].Region = w.reg
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
	if w.reg.Rights()&unio.Read == 0 {
		return nil
	}
	g := w.gen
	for i := range w.batch {
		r := &w.batch[i]
		r.ID, r.Op, r.Offset, r.Data = uint64(i), unio.OpRead, g.block()*int64(w.cfg.BlockSize), w.slots[i]
	}
	if err := w.post(len(w.batch)); err != nil {
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

// measure is the run: from origin until the deadline, then until nothing is in
// flight.
func (w *worker) measure(ctx context.Context, origin time.Time) error {
	w.deadline = w.cfg.Ramp + w.cfg.Time
	if w.cfg.Ramp == 0 {
		w.begin()
	}
	w.tick = w.nextTick(0)
	now := time.Since(origin)
	for i := range w.batch {
		w.prepare(i, uint64(i), now)
	}
	err := w.post(len(w.batch))
	for err == nil && w.inFlight > 0 {
		var n int
		n, err = w.ch.Wait(ctx, w.done)
		now = time.Since(origin)
		w.inFlight -= n
		if now >= w.tick {
			w.turn(ctx, now)
		}
		if now >= w.deadline {
			w.settleAll(n, now)
			break
		}
		for i := range w.done[:n] {
			c := &w.done[i]
			w.settle(c, now)
			w.prepare(i, c.ID, now)
		}
		if n > 0 && err == nil {
			err = w.post(n)
		}
	}
	return w.finish(ctx, origin, err)
}

// finish takes back what is in flight and closes the account.
func (w *worker) finish(ctx context.Context, origin time.Time, err error) error {
	if ctx.Err() != nil {
		err = nil // interrupted: what was measured so far counts
	}
	drained := w.drain(context.WithoutCancel(ctx), func(c *unio.Completion) {
		w.settle(c, time.Since(origin))
	})
	w.ended = time.Since(origin)
	if w.measured {
		w.mon.publish(&w.tally, w.window(w.ended))
		w.stats = difference(w.ch.Stats(), w.base)
	}
	w.tally.reset()
	if err == nil {
		err = drained
	}
	return err
}

// prepare makes entry i of the batch the next request of slot id.
func (w *worker) prepare(i int, id uint64, now time.Duration) {
	r := &w.batch[i]
	r.ID = id
	w.posted[id] = now
	if w.cfg.FlushEvery > 0 && w.unsynced >= w.cfg.FlushEvery {
		w.unsynced = 0
		w.kinds[id] = kindFlush
		r.Op, r.Flags, r.Data = unio.OpFlush, 0, nil
		return
	}
	b := w.gen.block()
	read := w.gen.read()
	if w.ledger != nil {
		b = w.ledger.claim(&w.gen, b)
	}
	w.blocks[id] = b
	r.Offset = b * int64(w.cfg.BlockSize)
	r.Data = w.slots[id]
	if read {
		w.kinds[id] = kindRead
		r.Op, r.Flags = unio.OpRead, 0
		return
	}
	w.kinds[id] = kindWrite
	w.unsynced++
	r.Op, r.Flags = unio.OpWrite, 0
	if w.cfg.Durable {
		r.Flags = unio.Durable
	}
	if w.ledger != nil {
		w.ledger.write(b, r.Data, r.Offset)
	}
}

// post posts the first n entries of the batch. The channel is as deep as there
// are slots, so that a refusal is an error.
func (w *worker) post(n int) error {
	n, err := w.ch.Post(w.batch[:n]...)
	w.inFlight += n
	return err
}

func (w *worker) settleAll(n int, now time.Duration) {
	for i := range w.done[:n] {
		w.settle(&w.done[i], now)
	}
}

// settle counts one completion.
func (w *worker) settle(c *unio.Completion, now time.Duration) {
	k := w.kinds[c.ID]
	if w.ledger != nil && k != kindFlush {
		b := w.blocks[c.ID]
		if k == kindRead && c.Err == nil {
			w.ledger.check(b, w.slots[c.ID], b*int64(w.cfg.BlockSize))
		}
		w.ledger.done(b, k == kindWrite && c.Err != nil)
	}
	if c.Err != nil {
		w.fail(c.Err)
		return
	}
	w.tally.latency[k].Record(int64(now - w.posted[c.ID]))
}

// fail counts an error, and gives up after very many.
func (w *worker) fail(err error) {
	w.tally.errors++
	if w.errors++; w.errors == maxErrors {
		w.gaveUp, w.deadline = true, 0
	}
	if len(w.failures) < maxFailures {
		w.failures = append(w.failures, err.Error())
	}
}

// turn does what is due at a tick: it reports what was counted before it.
func (w *worker) turn(ctx context.Context, now time.Duration) {
	switch {
	case w.measured:
		w.mon.publish(&w.tally, w.window(w.tick-1))
		w.tally.reset()
	case now >= w.cfg.Ramp:
		w.begin()
	default:
		w.mon.glance(&w.tally)
		w.tally.reset()
	}
	if ctx.Err() != nil {
		w.deadline = 0
	}
	w.tick = w.nextTick(now)
}

// nextTick keeps to the timeline's windows, which begin when the ramp is over.
func (w *worker) nextTick(now time.Duration) time.Duration {
	if !w.measured {
		return min(now+tickEvery, w.cfg.Ramp)
	}
	since := max(now-w.cfg.Ramp, 0)
	return w.cfg.Ramp + since - since%tickEvery + tickEvery
}

// begin starts the account when the ramp is over.
func (w *worker) begin() {
	w.measured = true
	w.tally.reset()
	w.base = w.ch.Stats()
}

// window returns the timeline's window that a time since the origin lies in.
func (w *worker) window(at time.Duration) int {
	return int(max(at-w.cfg.Ramp, 0) / w.cfg.interval())
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

// difference returns what was counted between two readings, of what a Result
// tells about.
func difference(now, base unio.Stats) unio.Stats {
	return unio.Stats{
		BouncedBytes: now.BouncedBytes - base.BouncedBytes,
		Assisted:     now.Assisted - base.Assisted,
		Doorbells:    now.Doorbells - base.Doorbells,
		Syscalls:     now.Syscalls - base.Syscalls,
		Inline:       now.Inline - base.Inline,
		Sleeps:       now.Sleeps - base.Sleeps,
	}
}
