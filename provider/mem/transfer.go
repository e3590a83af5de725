package mem

import "github.com/unio-stack/unio"

// piece bounds, in bytes, what is made resident and copied at once: the Go
// scheduler cannot interrupt a copy, and pages fetched for a long one might be
// gone again when their turn comes.
const piece = 256 << 10

// transfer reads or writes all of an operation's memory.
func (q *queue) transfer(op *unio.Op, write bool) error {
	if op.Vec == nil {
		return q.move(op.Data, op.Offset, write)
	}
	off := op.Offset
	for _, p := range op.Vec {
		if err := q.move(p, off, write); err != nil {
			return err
		}
		off += int64(len(p))
	}
	return nil
}

// move copies between data and the region at off.
func (q *queue) move(data []byte, off int64, write bool) error {
	for {
		n := int64(min(len(data), piece))
		if err := q.d.mapping.Touch(off, n, write); err != nil {
			return err
		}
		if write {
			store(q.d.mem[off:off+n], data[:n])
		} else {
			load(data[:n], q.d.mem[off:off+n])
		}
		q.done += n
		if data = data[n:]; len(data) == 0 {
			return nil
		}
		off += n
	}
}

// zeroes is what zeroing copies from. Never written, it takes up no memory.
var zeroes [64 << 10]byte

// zero stores zeroes.
func (q *queue) zero(off, n int64) error {
	for n > 0 {
		part := min(n, int64(len(zeroes)))
		if err := q.move(zeroes[:part], off, true); err != nil {
			return err
		}
		off, n = off+part, n-part
	}
	return nil
}

// discard frees the whole pages of a range and zeroes the rest of it.
func (q *queue) discard(off, n int64) error {
	first := (off + pageSize - 1) &^ (pageSize - 1)
	end := (off + n) &^ (pageSize - 1)
	if !q.d.frees || first >= end {
		return q.zero(off, n)
	}
	if err := q.zero(off, first-off); err != nil {
		return err
	}
	q.counts.Syscalls++
	if err := q.d.release(first, end-first); err != nil {
		return err
	}
	q.d.mapping.Forget(first, end-first)
	q.done += end - first
	q.d.durable.freed()
	return q.zero(end, off+n-end)
}
