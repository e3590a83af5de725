package unio

import "time"

// run carries out a planned call, and returns an error if there is no channel
// for it.
func (f *File) run(c *call) error {
	l, held, err := f.pick(c)
	if err == nil {
		l.run(c, held)
	}
	return err
}

// pick chooses a lane, and takes its token if that is to be had.
//
// Where requests end while they are posted (memory, the page cache), posting
// is the work, and callers spread over the lanes. Where they end later, they
// gather in as few lanes as hold them, for the sake of large batches.
func (f *File) pick(c *call) (l *lane, held bool, err error) {
	n := int(f.open.Load())
	if n == 0 {
		if err := f.openFirst(); err != nil {
			return nil, false, err
		}
		n = 1
	}
	if !f.inline.Load() {
		l := f.gather(c, n)
		return l, l.awake.Load() == 0 && l.try(), nil
	}
	for i := range n {
		at := (int(c.lane) + i) % n
		if l := f.lanes[at]; l.try() {
			c.lane = uint32(at)
			return l, true, nil
		}
	}
	return f.another(c, n), false, nil
}

// gather returns the first lane that has room.
func (f *File) gather(c *call, n int) *lane {
	for _, l := range f.lanes[:n] {
		if int(l.load.Load()) < f.depth {
			return l
		}
	}
	return f.another(c, n)
}

// another opens a lane, or returns one of the n that are open.
func (f *File) another(c *call, n int) *lane {
	if n < len(f.lanes) && !f.full.Load() && f.grow.TryLock() {
		f.full.Store(f.openLane(n) != nil)
		f.grow.Unlock()
		if !f.full.Load() {
			c.lane, n = uint32(n), n+1
		}
	}
	return f.lanes[int(c.lane)%n]
}

func (f *File) openFirst() error {
	if f.badCfg != nil {
		return f.badCfg
	}
	f.grow.Lock()
	defer f.grow.Unlock()
	return f.openLane(0)
}

// openLane opens lane n unless somebody else has. Called with grow held.
func (f *File) openLane(n int) error {
	if f.closed.Load() {
		return f.errClosed("use")
	}
	if int(f.open.Load()) > n {
		return nil
	}
	ch, err := f.reg.dev.NewChannel(ChannelConfig{Depth: f.depth})
	if err != nil {
		return err
	}
	f.lanes[n].ch = ch
	f.lanes[n].parts = make([]*part, f.depth)
	f.open.Store(int32(n + 1))
	return nil
}

// launch admits one request; pump starts it. With sync its completion is not
// delivered: the caller looks at the op's state, and releases it.
func (c *Channel) launch(r *Request, sync bool) (*Op, error) {
	if c.closing.Load() {
		return nil, c.errClosed()
	}
	if c.attention.Load() {
		c.attend()
	}
	if !c.room(r) {
		return nil, ErrFull
	}
	if err := r.check(c.dev, false); err != nil {
		c.dev.log.add(err)
		return nil, err
	}
	return c.admit(r, sync), nil
}

// mayPoll reports whether to poll once more before sleeping.
func (c *Channel) mayPoll(w *waitState) bool {
	if w.budget > 0 && time.Since(w.began) < w.budget {
		return true
	}
	if w.budget > 0 {
		c.spin.miss()
		w.budget = 0
	}
	return false
}
