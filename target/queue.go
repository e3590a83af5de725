package target

import "github.com/unio-stack/unio/provider/rdma"

// A queue has operations that wait for a place in a channel. It grows as it needs to and then stays: what connections may
// have under way bounds it. The zero value is empty.
type queue struct {
	items      []*rdma.IO // length a power of two, or 0
	head, tail uint32
}

func (q *queue) len() int { return int(q.tail - q.head) }

func (q *queue) push(io *rdma.IO) {
	if q.len() == len(q.items) {
		q.grow()
	}
	q.items[q.tail&uint32(len(q.items)-1)] = io
	q.tail++
}

// pop returns the oldest. There must be one.
func (q *queue) pop() *rdma.IO {
	p := &q.items[q.head&uint32(len(q.items)-1)]
	io := *p
	*p = nil
	q.head++
	return io
}

func (q *queue) grow() {
	items := make([]*rdma.IO, max(64, 2*len(q.items)))
	n := q.len()
	for i := range n {
		items[i] = q.items[(q.head+uint32(i))&uint32(len(q.items)-1)]
	}
	q.items, q.head, q.tail = items, 0, uint32(n)
}
