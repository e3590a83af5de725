package target

import (
	"container/heap"
	"time"
)

// A place is where a borrower waits.
type place uint8

const (
	nowhere place = iota
	inLine        // for memory
	inHeap        // to hold less, or for others to
)

// queue has b, which waits nowhere, wait: in line if it may have what it needs, as soon as that is there.
func (a *arena) queue(b *borrower, may bool) {
	if may {
		b.place = inLine
		a.line.push(b)
	} else {
		b.place = inHeap
		heap.Push(&a.heap, b)
	}
	a.starving.Store(true)
}

// unqueue has b wait no more.
func (a *arena) unqueue(b *borrower) {
	if b.place == inLine {
		a.line.remove(b)
	} else {
		heap.Remove(&a.heap, b.index)
	}
	b.place, b.since = nowhere, time.Time{}
	a.starving.Store(a.line.first != nil || len(a.heap) > 0)
}

// reconsider is called for a borrower in the heap that holds less than before.
func (a *arena) reconsider(b *borrower) {
	if b.held > 0 || !b.mayHold(b.need) {
		heap.Fix(&a.heap, b.index)
		return
	}
	a.unqueue(b)
	a.queue(b, true)
}

// A line has those who wait for memory, in order of arrival. While there are any, nobody goes first.
type line struct{ first, last *borrower }

func (l *line) push(b *borrower) {
	b.before, b.after = l.last, nil
	if l.last == nil {
		l.first = b
	} else {
		l.last.after = b
	}
	l.last = b
}

func (l *line) remove(b *borrower) {
	if b.before == nil {
		l.first = b.after
	} else {
		b.before.after = b.after
	}
	if b.after == nil {
		l.last = b.before
	} else {
		b.after.before = b.before
	}
	b.before, b.after = nil, nil
}

// A waitingHeap has those who hold too much to have more, the one that needs the least room first.
type waitingHeap []*borrower

// Len implements heap.Interface.
func (h waitingHeap) Len() int { return len(h) }

// Less implements heap.Interface.
func (h waitingHeap) Less(i, j int) bool { return h[i].room() < h[j].room() }

// Swap implements heap.Interface.
func (h waitingHeap) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].index, h[j].index = i, j
}

// Push implements heap.Interface.
func (h *waitingHeap) Push(x any) {
	b := x.(*borrower)
	b.index = len(*h)
	*h = append(*h, b)
}

// Pop implements heap.Interface.
func (h *waitingHeap) Pop() any {
	last := len(*h) - 1
	b := (*h)[last]
	(*h)[last] = nil
	*h = (*h)[:last]
	return b
}
