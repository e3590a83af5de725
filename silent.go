package unio

// A silentList holds the Silent requests in flight, in the order of their
// posting. The zero value is empty.
type silentList struct{ first, last *Op }

func (l *silentList) push(op *Op) {
	op.before, op.after = l.last, nil
	if l.last == nil {
		l.first = op
	} else {
		l.last.after = op
	}
	l.last = op
}

func (l *silentList) remove(op *Op) {
	if op.before == nil {
		l.first = op.after
	} else {
		op.before.after = op.after
	}
	if op.after == nil {
		l.last = op.before
	} else {
		op.after.before = op.before
	}
	op.before, op.after = nil, nil
}

// precede reports whether a Silent request in flight was posted before op.
func (l *silentList) precede(op *Op) bool { return l.first != nil && l.first.seq < op.seq }

// retireSilent retires op when Silent requests are in flight. A Silent one that
// succeeded is forgotten. Any other completion says that the Silent requests
// posted before it have ended, so it is held until they have.
func (c *Channel) retireSilent(op *Op) {
	forget, oldest := false, c.silent.first == op
	if op.Flags&Silent != 0 {
		c.silent.remove(op)
		forget = op.err == nil
	}
	switch {
	case forget:
		c.release(op)
	case c.silent.precede(op):
		op.state = opHeld
		c.held = append(c.held, op)
	default:
		c.deliverable(op)
	}
	if oldest {
		c.releaseHeld()
	}
}

// releaseHeld makes deliverable what no Silent request precedes any more.
func (c *Channel) releaseHeld() {
	kept := c.held[:0]
	for _, op := range c.held {
		if c.silent.precede(op) {
			kept = append(kept, op)
			continue
		}
		c.deliverable(op)
	}
	c.held = kept
}
