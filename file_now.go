package unio

import "math/rand/v2"

// doNow carries out r on a lane at rest, without a call of its own: where
// requests end while they are posted, that is all there is to do. ok is false
// if no lane was at rest; then nothing was begun.
func (f *File) doNow(r *Request) (n int, ok bool, err error) {
	l := f.restingLane()
	if l == nil {
		return 0, false, nil
	}
	op, err := l.ch.launch(r, true)
	if err != nil {
		l.rest()
		return 0, true, err
	}
	l.ch.pump()
	if op.state != opEnded {
		n, err = l.finishLater(r, op)
		return n, true, err
	}
	n, err = int(op.n), op.err
	l.ch.release(op)
	l.learn(1, 1)
	l.rest()
	return n, true, err
}

// restingLane takes the token of a lane that has nothing in flight or waiting,
// or returns nil.
func (f *File) restingLane() *lane {
	n := uint32(f.open.Load())
	if n == 0 {
		return nil
	}
	first := uint32(0)
	if n > 1 {
		first = rand.Uint32() % n // keeps callers on several processors apart
	}
	for i := range n {
		l := f.lanes[(first+i)%n]
		if !l.try() {
			continue
		}
		if l.inFlight == 0 && l.backlog.first == nil && l.arrivals.Load() == nil {
			return l
		}
		l.rest()
	}
	return nil
}

// rest gives back the token of a lane whose calls were not touched.
func (l *lane) rest() {
	l.giveBack()
	if l.arrivals.Load() != nil {
		l.tend()
	}
}

// finishLater makes a call of a request that did not end at once, and sees it
// through.
func (l *lane) finishLater(r *Request, op *Op) (int, error) {
	c := l.file.getCall()
	c.plan(*r)
	c.posted = 1
	op.sync = false
	l.holder = c
	l.fly(&c.parts[0], op)
	l.learn(1, 0)
	l.follow(c)
	n, err := c.result()
	l.file.putCall(c)
	return n, err
}
