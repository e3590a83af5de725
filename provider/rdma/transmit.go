package rdma

// transmit writes what is due, as far as that goes without waiting.
func (q *queuePair) transmit() {
	for q.failure == nil && (q.fill() || q.relieve() && q.fill()) {
		if !q.flush() {
			return
		}
	}
}

// fill cuts messages until the batch is full or nothing is due, and reports whether there is something to write.
func (q *queuePair) fill() bool {
	if q.out == nil {
		if !q.sender().Active() && !q.begin() {
			return false
		}
		q.out = q.domain.scratch.outbox(q.peer.CRC && q.peer.IRD > 0, q.sender().Left() > shortBatch)
	}
	b := q.out.batch
	for messages := 0; takesMore(b.Size(), messages); messages++ {
		if !q.sender().Active() && !q.begin() {
			break
		}
		if !q.sender().Fill(b) {
			break
		}
		q.cut()
	}
	return !b.Empty()
}

// takesMore says whether one more message is to go with those that are size octets.
func takesMore(size, messages int) bool {
	return size < shortBatch || size < maxBatch && size >= messages*shortBatch
}

// begin begins the next message that may go. What the peer waits for comes first; it is bounded by what it may ask for.
func (q *queuePair) begin() bool {
	if q.sender().OwesRTR() {
		return q.sender().RTR() == nil
	}
	return q.beginStatus() || q.beginAnswer() || q.beginReply() || q.beginCredits() ||
		q.own.askingIsDue() && q.beginAsking() || q.beginOwn() || q.beginAsking()
}

// flush writes the batch, and reports whether all of it has gone.
func (q *queuePair) flush() bool {
	b := q.out.batch
	for !b.Empty() {
		n, err := q.wire.write(q.out)
		q.counts.Syscalls++
		if err != nil {
			for more := true; more; { // the peer may have said why
				_, more = q.receive()
			}
			q.fail(q.lost(err))
			return false
		}
		if n == 0 {
			return false
		}
		b.Advance(n)
	}
	q.domain.scratch.putOutbox(q.out)
	q.out = nil
	q.left()
	gone, err := q.wire.flush()
	if err != nil {
		q.fail(q.lost(err))
	}
	return gone && err == nil
}

// blocked reports whether something is waiting for the socket to take it.
func (q *queuePair) blocked() bool {
	if q.out != nil {
		return true
	}
	gone, _ := q.wire.flush() // an error shows when it is written again
	return !gone
}
