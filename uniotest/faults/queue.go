package faults

import (
	"slices"
	"time"

	"github.com/unio-stack/unio"
)

// A queue posts operations to a channel of the inner device. The ID of an inner
// request is the tag of the operation.
type queue struct {
	inner    *unio.Channel
	injector *Injector

	// what follows is owned by the caller of Submit, Reap and Cancel
	ops   []passage // by tag
	held  []*passage
	batch []unio.Request // to be posted
	done  [64]unio.Completion
	alarm *time.Timer // wakes Sleep when a held operation is due
}

// A passage is one operation on its way through.
type passage struct {
	op   *unio.Op
	rule *Rule
	due  time.Time // while held
	vec  [][]byte  // of a shortened transfer; kept for its memory
}

// Submit implements unio.Queue.
func (q *queue) Submit(ops []*unio.Op) {
	for _, op := range ops {
		v := q.injector.Decide(Subject{Op: op.Op, Region: op.Region.Name(), Offset: op.Offset, Length: op.Size()})
		p := &q.ops[op.Tag()]
		p.op, p.rule = op, v.Rule
		if v.Delay == 0 {
			q.pass(p)
			continue
		}
		p.due = time.Now().Add(v.Delay)
		q.held = append(q.held, p)
		q.setAlarm()
	}
	q.post()
	q.poll()
}

// Reap implements unio.Queue.
func (q *queue) Reap() {
	if len(q.held) > 0 {
		q.passDue()
		q.post()
	}
	q.poll()
}

// passDue lets go of the operations whose delay is over.
func (q *queue) passDue() {
	now := time.Now()
	kept := q.held[:0]
	for _, p := range q.held {
		if p.due.After(now) {
			kept = append(kept, p)
		} else {
			q.pass(p)
		}
	}
	clear(q.held[len(kept):])
	q.held = kept
	q.setAlarm()
}

// setAlarm arranges for Sleep to return when the next held operation is due.
func (q *queue) setAlarm() {
	if len(q.held) == 0 {
		q.alarm.Stop()
		return
	}
	first := slices.MinFunc(q.held, func(a, b *passage) int { return a.due.Compare(b.due) })
	q.alarm.Reset(time.Until(first.due))
}

// pass does to the operation what its rule says: it ends, or is to be posted.
func (q *queue) pass(p *passage) {
	op, r := p.op, p.rule
	if r == nil {
		q.batch = append(q.batch, request(op))
		return
	}
	switch r.Action {
	case Error:
		op.Complete(0, r.failure(op))
	case Lost:
		op.Complete(op.Size(), nil)
	case Short:
		q.batch = append(q.batch, p.shorten(request(op)))
	}
}

// failure is the error of an operation that a rule fails.
func (r *Rule) failure(op *unio.Op) error {
	e := &unio.OpError{BadByte: -1, Layer: Layer, Detail: "rule: " + r.String(), Err: r.Cause}
	if r.To != 0 && op.Op != unio.OpFlush {
		e.BadByte = max(r.From, op.Offset)
	}
	return e
}

// request is the operation as a request to the inner device.
func request(op *unio.Op) unio.Request {
	q := op.Request
	q.ID, q.Region, q.Flags = uint64(op.Tag()), op.Handle().(*handle).reg, op.Flags&unio.Durable
	if q.Op == unio.OpCompareSwap || q.Op == unio.OpFetchAdd {
		q.Data = nil // the word comes back in the completion
	}
	return q
}

// shorten cuts the request off after the rule's number of bytes.
func (p *passage) shorten(q unio.Request) unio.Request {
	n := p.rule.Bytes
	switch {
	case n >= p.op.Size():
	case q.Vec != nil:
		p.vec = p.vec[:0]
		for _, piece := range q.Vec {
			k := min(n, int64(len(piece)))
			p.vec = append(p.vec, piece[:k])
			if n -= k; n == 0 {
				break
			}
		}
		q.Vec = p.vec
	case q.Data != nil:
		q.Data = q.Data[:n]
	default:
		q.Length = n
	}
	return q
}

// post hands the batch to the inner device. What that refuses ends with its
// error.
func (q *queue) post() {
	for left := q.batch; len(left) > 0; {
		n, err := q.inner.Post(left...)
		left = left[n:]
		if err != nil && len(left) > 0 {
			q.ops[left[0].ID].op.Complete(0, err)
			left = left[1:]
		}
	}
	clear(q.batch)
	q.batch = q.batch[:0]
}

// poll ends what the inner device has finished.
func (q *queue) poll() {
	for {
		n := q.inner.Poll(q.done[:])
		for _, c := range q.done[:n] {
			end(q.ops[c.ID].op, c)
		}
		if n < len(q.done) {
			return
		}
	}
}

func end(op *unio.Op, c unio.Completion) {
	if c.Err == nil && (op.Op == unio.OpCompareSwap || op.Op == unio.OpFetchAdd) {
		op.CompleteWord(c.Value)
		return
	}
	if c.Err == nil && op.Op == unio.OpAppend {
		op.CompleteAppend(int64(c.Value))
		return
	}
	op.Complete(c.N, c.Err)
}

// Cancel implements unio.Queue. What is held back ends at the next Reap.
func (q *queue) Cancel(op *unio.Op) {
	p := &q.ops[op.Tag()]
	if !slices.Contains(q.held, p) {
		q.inner.Cancel(uint64(op.Tag()))
		return
	}
	p.rule, p.due = canceled, time.Time{}
	q.inner.Wake()
}

// canceled is the rule for operations that are cancelled while they are held.
var canceled = &Rule{Action: Error, Cause: unio.ErrCanceled}

// Sleep implements unio.Queue.
func (q *queue) Sleep() { q.inner.Sleep() }

// Wake implements unio.Queue.
func (q *queue) Wake() { q.inner.Wake() }

// Counters implements unio.Queue.
func (q *queue) Counters() unio.Counters {
	s := q.inner.Stats()
	return unio.Counters{Syscalls: s.Syscalls, Inline: s.Inline}
}

// Close implements unio.Queue.
func (q *queue) Close() error {
	q.alarm.Stop()
	return q.inner.Close()
}
