package volume

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/unio-stack/unio"
	"github.com/unio-stack/unio/provider/volume/internal/space"
)

// The keeper is the goroutine that changes what a pool knows: the catalogue,
// the active table, the dirty map and the log. Requests that cannot go on as
// they are come to it; what has to have pages to itself is a job, one at a time.
// It waits for no queue: a job that has to is tried again later.
type keeper struct {
	p       *pool
	m       *medium
	space   *space.Map
	dirty   *dirtyMap // nil without checksums
	log     *redoLog
	volumes map[uint64]*volume // those in use

	wake    chan struct{}
	stopped chan struct{} // closed when the goroutine has returned
	err     error         // of the last clean-up; set before stopped is closed

	mu       sync.Mutex
	arrived  []*state        // guarded by mu
	calls    []func(*keeper) // guarded by mu
	newJobs  []job           // guarded by mu
	stopping bool            // guarded by mu

	// What follows is the goroutine's own.

	parked  []*state // reads and writes that wait
	whole   []*state // Appends and WriteAtomics that wait
	jobs    []job    // the first is under way
	resting []*entry // dirty ones, the longest first
	need    need
	queues  []*queue
	pause   time.Duration // until waiting requests are looked at again
	ticked  time.Time     // when the entries at rest were last looked for
}

// A job is something that needs pages to itself. step carries it on and
// reports whether it is done; if not it is called again later. Between calls it
// keeps others out by gates alone.
type job interface {
	step(k *keeper) (done bool, err error)
	// end tells whoever waits for it.
	end(k *keeper, err error)
}

func newKeeper(p *pool, m *medium) *keeper {
	k := &keeper{
		p: p, m: m, space: space.New(extentsOf(p.members)...), volumes: map[uint64]*volume{},
		wake: make(chan struct{}, 1), stopped: make(chan struct{}),
	}
	if p.sums {
		k.dirty = newDirtyMap(p.members)
	}
	k.log = newRedoLog(p)
	return k
}

func (k *keeper) begin() { go k.run() }

// release frees what the keeper has, but for the medium. It does not run.
func (k *keeper) release() error { return k.log.close() }

// poke makes the keeper look at what there is to do.
func (k *keeper) poke() {
	select {
	case k.wake <- struct{}{}:
	default:
	}
}

// park takes an operation over from its queue.
func (k *keeper) park(st *state) {
	st.parked = time.Now()
	k.mu.Lock()
	k.arrived = append(k.arrived, st)
	k.mu.Unlock()
	k.poke()
}

// call runs f in the keeper's goroutine and returns its error.
func (k *keeper) call(ctx context.Context, f func(*keeper) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	reply := make(chan error, 1)
	k.mu.Lock()
	if k.stopping {
		k.mu.Unlock()
		return unio.ErrClosed
	}
	k.calls = append(k.calls, func(k *keeper) { reply <- f(k) })
	k.mu.Unlock()
	k.poke()
	return <-reply
}

// carryOut hands a job over and waits until it is done. A job that has begun
// is carried to its end.
func (k *keeper) carryOut(ctx context.Context, j interface {
	job
	waiter() chan error
},
) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	k.mu.Lock()
	if k.stopping {
		k.mu.Unlock()
		return unio.ErrClosed
	}
	k.newJobs = append(k.newJobs, j)
	done := j.waiter()
	k.mu.Unlock()
	k.poke()
	return <-done
}

// A reply is the part of a job that somebody waits for.
type reply struct{ done chan error }

func (r *reply) waiter() chan error {
	r.done = make(chan error, 1)
	return r.done
}

func (r *reply) end(_ *keeper, err error) { r.done <- err }

// stop ends the goroutine, after it has made everything clean.
func (k *keeper) stop() error {
	k.mu.Lock()
	k.stopping = true
	k.mu.Unlock()
	k.poke()
	<-k.stopped
	return errors.Join(k.err, k.release(), k.m.close())
}

const (
	minPause = 100 * time.Microsecond
	maxPause = 5 * time.Millisecond
)

func (k *keeper) run() {
	defer close(k.stopped)
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for {
		timer.Reset(k.untilNext())
		select {
		case <-k.wake:
		case <-timer.C:
		}
		stopping := k.takeNew()
		k.round()
		if stopping && len(k.parked)+len(k.whole)+len(k.jobs) == 0 {
			k.err = k.cleanUp()
			return
		}
	}
}

// takeNew takes what has arrived, and makes the calls.
func (k *keeper) takeNew() (stopping bool) {
	k.mu.Lock()
	arrived, calls := k.arrived, k.calls
	k.parked = append(k.parked, arrived...)
	k.jobs = append(k.jobs, k.newJobs...)
	clear(k.arrived)
	k.arrived, k.calls, k.newJobs = k.arrived[:0], nil, nil
	stopping = k.stopping
	k.mu.Unlock()
	k.p.faults.Add(int64(len(arrived)))
	if len(arrived) > 0 {
		k.pause = 0
	}
	for _, f := range calls {
		f(k)
	}
	return stopping
}

// round does what can be done now.
func (k *keeper) round() {
	waiting := len(k.parked)+len(k.whole)+len(k.jobs) > 0
	if waiting {
		k.p.watched.Store(true)
		k.helpQueues()
	}
	k.serveFaults()
	k.runJobs()
	k.lookAtResting()
	if len(k.parked)+len(k.whole)+len(k.jobs) == 0 {
		k.p.watched.Store(false)
		k.pause = 0
	}
}

// runJobs carries the jobs on until one has to wait.
func (k *keeper) runJobs() {
	for {
		if len(k.jobs) == 0 {
			if len(k.whole) == 0 {
				return
			}
			k.jobs = append(k.jobs, &commitJob{})
		}
		j := k.jobs[0]
		done, err := j.step(k)
		if !done && err == nil {
			return
		}
		k.jobs[0] = nil
		k.jobs = k.jobs[1:]
		j.end(k, err)
		k.serveFaults() // some may have waited for it
	}
}

// helpQueues settles what the owners of channels have left lying.
func (k *keeper) helpQueues() {
	k.queues = k.p.live(k.queues[:0])
	for _, q := range k.queues {
		q.help()
	}
	clear(k.queues)
}

// untilNext is how long there is nothing to do unless the keeper is poked.
func (k *keeper) untilNext() time.Duration {
	if len(k.parked)+len(k.whole)+len(k.jobs) > 0 {
		k.pause = min(max(2*k.pause, minPause), maxPause)
		return k.pause
	}
	if k.p.cfg.CleanAfter > 0 && (len(k.resting) > 0 || !k.log.empty()) {
		return max(time.Until(k.ticked.Add(k.p.cfg.CleanAfter)), time.Millisecond)
	}
	return time.Hour
}

// giveBack ends an operation, or lets it go on where err is nil and it is not
// done.
func (k *keeper) giveBack(st *state, err error) {
	if err != nil {
		e := (*unio.OpError)(nil)
		if !errors.As(err, &e) && !errors.Is(err, unio.ErrCanceled) {
			err = opError(-1, err)
		}
		st.err = err
	}
	k.p.faultNanos.Add(int64(time.Since(st.parked)))
	st.q.resume(st)
}
