package crash

import (
	"errors"
	"slices"
	"sync"

	"github.com/unio-stack/unio"
	"github.com/unio-stack/unio/uniotest/faults"
)

// A controller runs all queues of a crash device over one channel of the inner
// device. Its goroutine fetches the completions.
type controller struct {
	inner    *unio.Device
	cfg      Config
	injector *faults.Injector
	stopped  chan struct{} // closed when the goroutine has returned
	points   int           // owned by the goroutine

	mu      sync.Mutex
	ch      *unio.Channel       // Post and Poll are guarded by mu
	regions map[string]*region  // guarded by mu
	tasks   map[uint64]*task    // posted to ch, by ID; guarded by mu
	backlog []*task             // to be posted; guarded by mu
	next    uint64              // ID; guarded by mu
	closed  bool                // guarded by mu
	ended   []*task             // for the goroutine to report; guarded by mu
	done    [64]unio.Completion // guarded by mu
}

func newController(inner *unio.Device, cfg Config, rules faults.Rules) (*controller, error) {
	ch, err := inner.NewChannel(unio.ChannelConfig{Depth: min(256, inner.Info().MaxDepth)})
	if err != nil {
		return nil, err
	}
	c := &controller{
		inner: inner, cfg: cfg, ch: ch, injector: faults.NewInjector(rules, cfg.Seed),
		regions: map[string]*region{}, tasks: map[uint64]*task{}, stopped: make(chan struct{}),
	}
	go c.serve()
	return c, nil
}

func (c *controller) add(name string, rg *region) {
	c.mu.Lock()
	c.regions[name] = rg
	c.mu.Unlock()
}

func (c *controller) remove(name string) {
	c.mu.Lock()
	delete(c.regions, name)
	c.mu.Unlock()
}

// close ends the goroutine and closes the inner device.
func (c *controller) close() error {
	c.mu.Lock()
	c.closed = true
	c.mu.Unlock()
	c.ch.Wake()
	<-c.stopped
	return errors.Join(c.ch.Close(), c.inner.Close())
}

// serve fetches completions and reports them.
func (c *controller) serve() {
	defer close(c.stopped)
	for {
		c.ch.Sleep()
		c.mu.Lock()
		c.poll()
		ended, closed := c.ended, c.closed
		c.ended = nil
		c.mu.Unlock()
		for _, t := range ended {
			c.report(t)
		}
		if closed {
			return
		}
	}
}

// report delivers the end of a task, after the crash point that it is.
func (c *controller) report(t *task) {
	if c.cfg.OnPoint != nil && t.op.Op != unio.OpRead {
		c.cfg.OnPoint(Point{
			Number: c.points, Op: t.op.Op, Region: t.op.Region.Name(),
			Offset: t.op.Offset, Length: t.op.Size(), Err: t.result.Err,
		})
		c.points++
	}
	t.q.deliver(t)
}

// submit takes an operation over. Called with mu held.
func (c *controller) submit(q *queue, op *unio.Op) {
	t := &task{q: q, op: op, rg: op.Handle().(*handle).rg}
	v := c.injector.Decide(faults.Subject{Op: op.Op, Region: op.Region.Name(), Offset: op.Offset, Length: op.Size()})
	t.rule = v.Rule
	c.backlog = append(c.backlog, t)
}

// start posts what can be posted of the backlog, in order except for what has
// to wait for a mutation of the same unit. Called with mu held.
func (c *controller) start() {
	for i := 0; i < len(c.backlog); {
		t := c.backlog[i]
		if c.blocked(t, c.backlog[:i]) {
			i++
			continue
		}
		if !c.post(t) {
			return
		}
		c.backlog = slices.Delete(c.backlog, i, i+1)
	}
}

// blocked reports whether an earlier mutation of the same unit is in flight or
// waiting.
func (c *controller) blocked(t *task, earlier []*task) bool {
	if slices.ContainsFunc(earlier, t.conflicts) {
		return true
	}
	for _, o := range c.tasks {
		if t.conflicts(o) {
			return true
		}
	}
	return false
}

// post hands a task to the inner device; false if that has no room.
func (c *controller) post(t *task) bool {
	if t.rule != nil && t.op.Op == unio.OpFlush {
		c.end(t, unio.Completion{}) // lost
		return true
	}
	q := t.request()
	q.ID = c.next
	t.begin()
	n, err := c.ch.Post(q)
	switch {
	case n == 1:
		c.next++
		c.tasks[q.ID] = t
		return true
	case errors.Is(err, unio.ErrFull):
		t.undo()
		return false
	case t.look != nil:
		c.settle(t, unio.Completion{Err: err})
		return true
	}
	t.undo()
	c.end(t, unio.Completion{Err: err})
	return true
}

// end leaves a task to the goroutine to report.
func (c *controller) end(t *task, done unio.Completion) {
	t.result = done
	c.ended = append(c.ended, t)
}

// poll takes back what the inner device has finished. Called with mu held.
func (c *controller) poll() {
	for {
		n := c.ch.Poll(c.done[:])
		for _, done := range c.done[:n] {
			t := c.tasks[done.ID]
			delete(c.tasks, done.ID)
			c.settle(t, done)
		}
		c.start()
		if n == 0 {
			return
		}
	}
}

// settle notes what a task has done to the region. What a mutation that failed
// has done is not known: it is looked up first.
func (c *controller) settle(t *task, done unio.Completion) {
	switch {
	case t.look != nil:
		t.looked(done)
		c.end(t, t.result)
	case done.Err != nil && t.rec != nil:
		t.result = done
		t.look = make([]byte, t.rec.size)
		c.backlog = slices.Insert(c.backlog, 0, t)
	default:
		t.effect(done)
		c.end(t, done)
	}
}

// cancel ends op early if that can be done. Called with mu held.
func (c *controller) cancel(op *unio.Op) {
	for i, t := range c.backlog {
		if t.op == op && t.look == nil {
			c.backlog = slices.Delete(c.backlog, i, i+1)
			c.end(t, unio.Completion{Err: unio.ErrCanceled})
			return
		}
	}
	for id, t := range c.tasks {
		if t.op == op && t.look == nil {
			c.ch.Cancel(id)
		}
	}
}
