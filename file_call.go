package unio

// A call is one goroutine's call of a File: one request, or the parts of a long one.
type call struct {
	parts []part
	one   [1]part // what parts usually is
	many  []part  // what it is otherwise; kept for the next time
	// posted parts, the first of them, are or were in flight; left have not
	// ended. Both are guarded by the token of the lane the call is on.
	posted, left int
	queued       bool // in lane.backlog; guarded by the token
	done         bool // nothing is left and no queue holds it; guarded by the token

	wake chan signal // holds at most one
	next *call       // in lane.arrivals or lane.backlog
	// nextWoken links the calls to be woken once the token is given back.
	nextWoken *call
	// lane is the index of the lane to try first: the one that this call, which
	// sync.Pool keeps on the processor it last ran on, found free last time.
	lane uint32
}

// A signal is what a waiting call is woken for.
type signal uint8

const (
	signalDone  signal = iota // it has ended; a leader finds that out by itself
	signalLead                // it leads its lane from now on
	signalToken               // it leads its lane and has been handed the token
)

// A part is one request of a call.
type part struct {
	call *call
	req  Request
	n    int64
	err  error
}

const (
	// partSize bytes are the longest part: longer calls are split, so that the
	// device works on several parts at a time.
	partSize = 512 << 10
	// maxParts of a call are in flight at most; the rest lets others go first.
	maxParts = 16
	// keptParts bounds the memory that an idle call keeps.
	keptParts = 64
)

func (f *File) getCall() *call {
	if c, _ := f.calls.Get().(*call); c != nil {
		return c
	}
	return &call{wake: make(chan signal, 1), lane: f.hint.Add(1) - 1}
}

// putCall recycles a call that has ended.
func (f *File) putCall(c *call) {
	c.one[0].err = nil
	if c.many = c.many[:0]; cap(c.many) > keptParts {
		c.many = nil
	}
	c.parts = nil
	f.calls.Put(c)
}

// plan splits r into the call's parts, at multiples of partSize in the region.
func (c *call) plan(r Request) {
	c.posted, c.left, c.done = 0, 1, false
	if len(r.Data) <= partSize {
		c.one[0].call, c.one[0].req = c, r
		c.parts = c.one[:]
		return
	}
	for data := r.Data; len(data) > 0; {
		n := min(int64(len(data)), partSize-r.Offset%partSize)
		r.Data = data[:n:n]
		c.many = append(c.many, part{call: c, req: r})
		data, r.Offset = data[n:], r.Offset+n
	}
	c.parts, c.left = c.many, len(c.many)
}

// result returns the bytes done before the first gap, and why there is one.
func (c *call) result() (n int, err error) {
	for i := range c.parts {
		p := &c.parts[i]
		n += int(p.n)
		if p.err != nil {
			return n, p.err
		}
	}
	return n, nil
}

// inFlight is the number of parts that were posted and have not ended.
func (c *call) inFlight() int { return c.posted - (len(c.parts) - c.left) }

// mayPost reports whether a further part may be posted now.
func (c *call) mayPost() bool { return c.posted < len(c.parts) && c.inFlight() < maxParts }

// ended takes note of how a posted part ended. After a failure the parts
// behind it are not begun: what they would do does not count.
func (p *part) ended(n int64, err error) {
	c := p.call
	p.n, p.err = n, err
	p.req = Request{}
	c.left--
	if err != nil {
		c.left -= len(c.parts) - c.posted
		c.posted = len(c.parts)
	}
}

// A callQueue holds calls in order.
type callQueue struct{ first, last *call }

func (q *callQueue) push(c *call) {
	c.next, c.queued = nil, true
	if q.first == nil {
		q.first = c
	} else {
		q.last.next = c
	}
	q.last = c
}

func (q *callQueue) pop() {
	c := q.first
	q.first, c.next, c.queued = c.next, nil, false
}
