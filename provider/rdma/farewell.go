package rdma

import (
	"errors"
	"time"

	"github.com/unio-stack/unio"
)

// A farewell is the end of a connection on the wire: what was cut goes, with the Terminate behind it, then a FIN, and the
// socket is closed when the peer has closed its side, so that nothing of ours is lost in a reset; or after farewellTime.
type farewell struct {
	word     bool // a Terminate has been begun
	finished bool // the FIN is out
	over     bool
	timer    *time.Timer
}

const farewellTime = time.Second

// fail ends the connection: every operation in flight completes, and its memory is not used any more. What came first counts.
func (q *queuePair) fail(f *failure) {
	if q.failure != nil {
		return
	}
	q.failure = f
	q.detachBatch()
	q.endAll(f)
	f.blamed = nil // its place may be another request's soon
	q.releaseAnswers()
	q.answers, q.lookup, q.unwanted = ring[answer]{}, nil, nil
	if q.report != nil && !f.clean {
		q.report(f.err(q))
	}
	q.goodbye.timer = time.AfterFunc(farewellTime, q.partNow)
	q.part()
	q.attend()
	q.rouse()
}

// endAll completes what is in flight.
func (q *queuePair) endAll(f *failure) {
	o := &q.own
	give := func(op *unio.Op) {
		if op != nil {
			q.end(op, 0, f.of(op, q))
		}
	}
	for o.unplaced.len() > 0 {
		give(o.unplaced.pop().op)
	}
	for o.awaited.len() > 0 {
		give(o.awaited.pop().op)
	}
	for _, op := range o.leaving {
		give(op)
	}
	give(o.current)
	for o.work.len() > 0 {
		give(o.work.pop())
	}
	for _, c := range o.commands {
		give(c.op)
	}
	for q.in.posted.len() > 0 {
		give(q.in.posted.pop())
	}
	o.leaving, o.current, o.commands, q.in = nil, nil, nil, receives{}
}

// part goes on with the farewell, as far as that goes without waiting.
func (q *queuePair) part() {
	g := &q.goodbye
	if g.over {
		return
	}
	if !g.finished && q.partingWords() {
		q.wire.finish()
		g.finished = true
	}
	if q.gone() {
		q.bury()
	}
}

// partingWords writes what is left and reports whether that was all.
func (q *queuePair) partingWords() bool {
	for {
		if q.goodbye.word {
			if q.out == nil {
				q.out = q.domain.scratch.outbox(false, false)
			}
			q.goodbye.word = !q.sender().Fill(q.out.batch)
		}
		if q.out == nil {
			gone, err := q.wire.flush()
			return gone || err != nil
		}
		for !q.out.batch.Empty() {
			n, err := q.wire.write(q.out)
			if err != nil {
				return true
			}
			if n == 0 {
				return false
			}
			q.out.batch.Advance(n)
		}
		q.dropOutbox()
	}
}

// dropOutbox gives the outbox back, whatever is in it.
func (q *queuePair) dropOutbox() {
	if q.out != nil {
		q.out.batch.Reset()
		q.domain.scratch.putOutbox(q.out)
		q.out = nil
	}
}

// gone reports whether the peer has closed its side. What it still sends is dropped.
func (q *queuePair) gone() bool {
	in := q.domain.scratch.inbox()
	defer q.domain.scratch.inboxes.Put(in)
	for range turns {
		if _, err := q.wire.read(nil, in[:]); err != nil {
			return !errors.Is(err, errAgain)
		}
	}
	return false
}

// bury closes the socket. Nothing of the connection runs afterwards, but for calls of its channel.
func (q *queuePair) bury() {
	g := &q.goodbye
	if g.over {
		return
	}
	g.over = true
	g.timer.Stop()
	q.silence.stop()
	q.dropOutbox()
	q.unwatch()
	_ = q.wire.close() // of a socket that both sides have done with
	q.domain.dismiss(q)
	close(q.ended)
	if q.onEnd != nil {
		q.onEnd()
	}
}

// partNow ends the farewell when its time is over.
func (q *queuePair) partNow() {
	q.mu.Lock()
	q.bury()
	q.release()
}
