package target

import (
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// A queuer borrows as a test tells it.
type queuer struct {
	borrower
	resume func()
}

func (q *queuer) Resume() { q.resume() }

// usher runs an arena's usher until the arena is closed.
func usher(t *testing.T, a *arena) {
	t.Helper()
	go a.usher()
}

func newQueuer(a *arena) *queuer { return &queuer{borrower: borrower{arena: a}, resume: func() {}} }

// Those who wait get memory in the order in which they came, and nobody goes before them.
func TestLineKeepsOrder(t *testing.T) {
	_, all := arenas(t, 2, 1)
	a := all[0]
	usher(t, a)
	holder := newQueuer(a)
	held := gorge(a, 64<<10) // outside of what a borrower may hold
	var mu sync.Mutex
	var order []int
	var got [][]byte
	each := func(i int, q *queuer) {
		q.resume = func() {
			if p := q.Borrow(64<<10, q); p != nil {
				mu.Lock()
				order, got = append(order, i), append(got, p)
				mu.Unlock()
			}
		}
	}
	waiters := make([]*queuer, 8)
	for i := range waiters {
		waiters[i] = newQueuer(a)
		each(i, waiters[i])
		if waiters[i].Borrow(64<<10, waiters[i]) != nil {
			t.Fatal("memory although there is none")
		}
	}
	for i, p := range held {
		holder.held += int64(len(p)) // so that it may return them
		holder.Return(p)
		want := min(i+1, len(waiters))
		wait(t, func() bool { mu.Lock(); defer mu.Unlock(); return len(order) == want })
	}
	if !slices.IsSorted(order) {
		t.Errorf("served in the order %v", order)
	}
	for i, p := range got {
		waiters[order[i]].Return(p)
	}
}

// wait returns when f holds.
func wait(t testing.TB, f func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !f(); time.Sleep(50 * time.Microsecond) {
		if time.Now().After(end) {
			t.Fatal("it never comes")
		}
	}
}

// One that keeps all it gets leaves as much as it has, and others who keep everything still leave some.
func TestHogsLeaveSome(t *testing.T) {
	_, all := arenas(t, 32, 1)
	a := all[0]
	usher(t, a)
	total := a.capacity()
	var hogs []*queuer
	var out [][][]byte
	free := total
	for range 5 {
		h := newQueuer(a)
		var got [][]byte
		for p := h.Borrow(64<<10, h); p != nil; p = h.Borrow(64<<10, h) {
			got = append(got, p)
		}
		if h.held > free/2 || h.held < free/2-128<<10 {
			t.Errorf("a hog gets %d of %d bytes, want about half", h.held, free)
		}
		free -= h.held
		hogs, out = append(hogs, h), append(out, got)
	}
	modest := newQueuer(a)
	for range 100 { // although all hogs are in line
		p := modest.Borrow(64<<10, modest)
		if p == nil {
			t.Fatal("nothing for one that has nothing")
		}
		modest.Return(p)
	}
	for i, h := range hogs {
		for _, p := range out[i] {
			h.Return(p)
		}
		h.leave()
	}
}

// Who needs much at a time gets it, although others come all the time and need little.
func TestLargeNeedIsServed(t *testing.T) {
	_, all := arenas(t, 32, 1)
	a := all[0]
	usher(t, a)
	stop := make(chan struct{})
	var busy sync.WaitGroup
	for range 300 {
		busy.Go(func() { // one operation of 64 KiB after another: more than there is memory for
			q := newQueuer(a)
			resumed := make(chan struct{}, 1)
			var mine atomic.Pointer[[]byte]
			q.resume = func() {
				if p := q.Borrow(64<<10, q); p != nil {
					mine.Store(&p)
					resumed <- struct{}{}
				}
			}
			for {
				select {
				case <-stop:
					q.leave()
					return
				default:
				}
				p := q.Borrow(64<<10, q)
				if p == nil {
					<-resumed
					p = *mine.Swap(nil)
				}
				time.Sleep(100 * time.Microsecond)
				q.Return(p)
			}
		})
	}
	large := newQueuer(a)
	served := make(chan struct{})
	try := func() {
		var got [][]byte
		for range 128 { // 8 MiB
			p := large.Borrow(64<<10, large)
			if p == nil {
				for _, p := range got {
					large.Return(p)
				}
				return
			}
			got = append(got, p)
		}
		for _, p := range got {
			large.Return(p)
		}
		close(served)
	}
	large.resume = try
	try()
	within(t, "the large operation", func() { <-served })
	close(stop)
	busy.Wait()
}

// Who needs more than there will be for a long time keeps others waiting for a little while only, and gets it in the end.
func TestLargeNeedStepsAside(t *testing.T) {
	_, all := arenas(t, 32, 1)
	a := all[0]
	usher(t, a)
	slow := newQueuer(a) // which gives nothing back, and leaves less than the other needs
	var kept [][]byte
	for slow.held < a.capacity()/2-1<<20 {
		kept = append(kept, slow.Borrow(64<<10, slow))
	}
	rest := gorge(a, 4096) // what is in use by others
	large := newQueuer(a)
	served := make(chan struct{})
	try := func() {
		var got [][]byte
		for range 160 { // 10 MiB
			p := large.Borrow(64<<10, large)
			if p == nil {
				break
			}
			got = append(got, p)
		}
		for _, p := range got {
			large.Return(p)
		}
		if len(got) == 160 {
			close(served)
		}
	}
	large.resume = try
	try()
	putAll(a, rest)
	a.ring()
	for range 50 {
		modest := newQueuer(a)
		got := make(chan []byte, 1)
		modest.resume = func() {
			if p := modest.Borrow(4096, modest); p != nil {
				got <- p
			}
		}
		modest.resume()
		within(t, "one that needs little", func() { modest.Return(<-got) })
		modest.leave()
	}
	for _, p := range kept {
		slow.Return(p)
	}
	within(t, "the one that needs much", func() { <-served })
	wait(t, func() bool { return !a.starving.Load() })
}

// Nobody waits for ever, whatever they hold and give back.
func TestNoWaitIsLost(t *testing.T) {
	p, all := arenas(t, 48, 2)
	for _, a := range all {
		usher(t, a)
	}
	var busy sync.WaitGroup
	for i := range 60 {
		a := all[i%2]
		busy.Go(func() {
			q := newQueuer(a)
			var mu sync.Mutex // the connection's
			var held [][]byte
			want := 0
			progress := make(chan struct{}, 1)
			fill := func() {
				var got [][]byte
				for len(got) < want {
					m := q.Borrow(4096<<(2*(i%3)), q)
					if m == nil {
						for _, m := range got {
							q.Return(m)
						}
						return
					}
					got = append(got, m)
				}
				if want > 0 {
					q.use(got)
					held, want = append(held, got...), 0
					progress <- struct{}{}
				}
			}
			q.resume = func() {
				mu.Lock()
				defer mu.Unlock()
				fill()
			}
			for round := range 100 {
				mu.Lock()
				want = 1 + (round*7+i)%40
				fill()
				mu.Unlock()
				<-progress
				mu.Lock()
				keep := (round + i) % 20
				for len(held) > keep {
					q.Return(held[0])
					held = held[1:]
				}
				mu.Unlock()
			}
			mu.Lock()
			for _, m := range held {
				q.Return(m)
			}
			mu.Unlock()
			if q.held != 0 {
				t.Errorf("%d bytes held by one that has given everything back", q.held)
			}
			q.leave()
		})
	}
	within(t, "somebody who waits for memory", busy.Wait)
	checkPool(t, p, all)
}

// One that leaves does not keep those behind it waiting.
func TestLeavingTheLine(t *testing.T) {
	_, all := arenas(t, 1, 1)
	a := all[0]
	usher(t, a)
	held := gorge(a, 64<<10)
	first, second := newQueuer(a), newQueuer(a)
	got := make(chan []byte, 1)
	second.resume = func() {
		if p := second.Borrow(4096, second); p != nil {
			got <- p
		}
	}
	if first.Borrow(64<<10, first) != nil || second.Borrow(4096, second) != nil {
		t.Fatal("memory although there is none")
	}
	first.leave()
	first.held = 64 << 10
	first.Return(held[0])
	within(t, "the second", func() { second.Return(<-got) })
	wait(t, func() bool { return !a.starving.Load() })
	putAll(a, held[1:])
}
