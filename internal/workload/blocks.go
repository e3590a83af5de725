package workload

import (
	"time"

	"github.com/unio-stack/unio"
)

// prepareBlock makes slot id read or write a block, or flush.
func (w *worker) prepareBlock(id uint64) {
	r := w.next()
	r.ID, r.Region = id, w.reg
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

// settleBlock counts, and checks what was read.
func (w *worker) settleBlock(c *unio.Completion, now time.Duration) {
	k := w.kinds[c.ID]
	if w.ledger != nil && k != kindFlush {
		b := w.blocks[c.ID]
		if k == kindRead && c.Err == nil {
			w.ledger.check(b, w.slots[c.ID], b*int64(w.cfg.BlockSize))
		}
		w.ledger.done(b, k == kindWrite && c.Err != nil)
	}
	w.record(k, c.Err, now-w.posted[c.ID])
}

// prepareAtomic makes slot id change a word. A swap stores what it expects to
// find, so that all of them succeed on zeroes, and none on anything else.
func (w *worker) prepareAtomic(id uint64) {
	r := w.next()
	r.ID, r.Region, r.Offset, r.Data = id, w.reg, w.gen.block()*wordSize, nil
	if w.cfg.Access.Kind == FetchAdd {
		r.Op, r.Swap = unio.OpFetchAdd, 1
		return
	}
	r.Op, r.Compare, r.Swap = unio.OpCompareSwap, 0, 0
}
