package workload

import (
	"context"

	"github.com/unio-stack/unio"
)

// sweepChunk is about how many bytes a sweep moves in one request.
const sweepChunk = 1 << 20

// A sweep moves over all blocks of a worker's part in order, in long requests.
type sweep struct {
	op unio.Opcode
	// wanted reports whether blocks [first, first+n) are to be moved; nil: all.
	wanted func(first, n int64) bool
	// fill prepares what is written, inspect looks at what was read; nil: not.
	fill, inspect func(first, n int64, data []byte)
	// failed takes an error; what it returns ends the sweep.
	failed func(error) error
}

// run carries out the sweep.
func (s *sweep) run(ctx context.Context, w *worker) error {
	block := int64(w.cfg.BlockSize)
	per := max(sweepChunk/block, 1)
	slots := min(w.cfg.Depth, 8)
	memory, err := unio.NewBuffer(slots * int(per*block))
	if err != nil {
		return err
	}
	defer func() { _ = memory.Free() }()
	at := make([]int64, slots) // first block in flight, by slot
	end, next := w.first+w.count, w.first
	post := func(slot uint64) error {
		for next < end && s.wanted != nil && !s.wanted(next, min(per, end-next)) {
			next += per
		}
		if next >= end {
			return nil
		}
		n := min(per, end-next)
		data := memory.Bytes()[int64(slot)*per*block:][:n*block]
		if s.fill != nil {
			s.fill(next, n, data)
		}
		at[slot] = next
		next += n
		*w.next() = unio.Request{ID: slot, Op: s.op, Region: w.reg, Offset: at[slot] * block, Data: data}
		return w.post()
	}
	for slot := range slots {
		if err = post(uint64(slot)); err != nil {
			break
		}
	}
	settle := func(c *unio.Completion) {
		switch n := min(per, end-at[c.ID]); {
		case c.Err != nil && err == nil:
			err = s.failed(c.Err)
		case s.inspect != nil && c.Err == nil:
			s.inspect(at[c.ID], n, memory.Bytes()[int64(c.ID)*per*block:][:n*block])
		}
		w.mon.advance(min(per, end-at[c.ID]) * block)
		if err == nil && ctx.Err() == nil {
			err = post(c.ID)
		}
	}
	drained := w.drain(context.WithoutCancel(ctx), settle)
	switch {
	case drained != nil:
		return drained
	case err != nil:
		return err
	}
	return ctx.Err()
}

// fillPart writes every block of the part, stamped if verifying.
func (w *worker) fillPart(ctx context.Context) error {
	block := int64(w.cfg.BlockSize)
	s := sweep{op: unio.OpWrite, failed: func(err error) error { return err }}
	s.fill = func(first, n int64, data []byte) {
		switch {
		case w.cfg.Access.Atomic():
			clear(data)
			return
		case w.ledger == nil:
			w.scramble(data)
			return
		}
		for i := range n {
			w.ledger.write(first+i, data[i*block:(i+1)*block], (first+i)*block)
		}
	}
	if err := s.run(ctx, w); err != nil {
		return err
	}
	if !w.offers(unio.OpFlush) {
		return nil
	}
	return w.ch.Do(ctx, unio.Request{Op: unio.OpFlush, Region: w.reg})
}

// verifyPart reads back every block that is known to have been written.
func (w *worker) verifyPart(ctx context.Context) error {
	block := int64(w.cfg.BlockSize)
	known := func(b int64) bool { return w.ledger.generations[b-w.first] != 0 }
	s := sweep{op: unio.OpRead, failed: func(err error) error { w.fail(err); w.late++; return nil }}
	s.wanted = func(first, n int64) bool {
		for b := first; b < first+n; b++ {
			if known(b) {
				return true
			}
		}
		return false
	}
	s.inspect = func(first, n int64, data []byte) {
		for i := range n {
			if known(first + i) {
				w.ledger.check(first+i, data[i*block:(i+1)*block], (first+i)*block)
			}
		}
	}
	return s.run(ctx, w)
}
