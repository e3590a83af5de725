package target

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/unio-stack/unio"
	"github.com/unio-stack/unio/provider/rdma"
)

// A Target serves exports. Its methods may be called from any goroutine.
type Target struct {
	cfg    Config           // complete; immutable
	finish func([]*rdma.IO) // immutable
	pool   *pool
	roster roster
	ended  sync.Pool      // of *batch
	all    sync.WaitGroup // goroutines of exports
	domain *rdma.Domain   // immutable
	began  time.Time      // immutable

	catalogue *export // stands for the catalogue; immutable

	exports atomic.Pointer[exportTable] // never changed in place

	// changing is held while exports change, which takes as long as what is in flight.
	changing sync.Mutex
	closed   bool // guarded by changing

	mu        sync.Mutex
	listeners []*rdma.Listener // guarded by mu
	deaf      bool             // nobody listens any more; guarded by mu
	closing   sync.Once
	closeErr  error // set by closing
}

// disconnectTime is how long Close waits for connections to end by themselves.
const disconnectTime = 2 * time.Second

// An exportTable has the exports by name, and in the order they were given.
type exportTable struct {
	byName map[string]*export
	order  []*export
}

// New returns a target that serves nobody yet; see [Target.Listen]. It fails with [unio.ErrInvalid], or because a device
// does not give its region.
func New(cfg Config) (*Target, error) { return newTarget(cfg, rdma.Finish) }

// newTarget is New with another way to finish operations.
func newTarget(cfg Config, finish func([]*rdma.IO)) (*Target, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, fmt.Errorf("target: %w", err)
	}
	t := &Target{cfg: cfg, finish: finish, pool: newPool(cfg.Memory), domain: cfg.RDMA.Domain, began: time.Now(), catalogue: newCatalogue()}
	t.pool.least = leastFor(cfg.longest())
	t.ended.New = func() any { return new(batch) }
	t.roster.limit, t.roster.sessions = cfg.Connections, map[*session]struct{}{}
	if t.domain == nil {
		t.domain = rdma.NewDomain()
	}
	t.exports.Store(&exportTable{})
	if err := t.SetExports(cfg.Exports); err != nil {
		return nil, errors.Join(fmt.Errorf("target: %w", err), t.Close())
	}
	return t, nil
}

// Listen serves clients at addr, "host:port", from now on; port 0 takes a free one. It may be called several times. The
// address that it returns is the one in use.
func (t *Target) Listen(ctx context.Context, addr string) (net.Addr, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.deaf {
		return nil, fmt.Errorf("listen at %s: %w", addr, unio.ErrClosed)
	}
	cfg := t.cfg.RDMA
	cfg.Domain, cfg.Decide, cfg.Serve, cfg.OnFailure = t.domain, nil, t.serve, t.failed
	l, err := rdma.Listen(ctx, addr, cfg)
	if err != nil {
		return nil, err
	}
	t.listeners = append(t.listeners, l)
	return l.Addr(), nil
}

// serve decides on a client.
func (t *Target) serve(in *rdma.Incoming) (*rdma.Service, error) {
	name := in.Region
	if name == "" {
		name = t.cfg.VerbsDefault
	}
	s, err := t.admit(name, in)
	if err != nil {
		t.roster.reject()
		t.tell(Event{Kind: Rejected, Peer: in.RemoteAddr, Client: first(namesOf(in.TLS)), Export: name, Err: err})
		return nil, err
	}
	t.tell(Event{Kind: Attached, Peer: s.peer, Client: first(s.names), Export: name})
	return s.service, nil
}

// failed is told of a peer that no connection was made with, before it could be decided on.
func (t *Target) failed(peer net.Addr, err error) {
	t.roster.fail()
	t.tell(Event{Kind: Failed, Peer: peer, Err: err})
}

var errNoName = errors.New("name an export: there is none for clients that do not")

func (t *Target) admit(name string, in *rdma.Incoming) (*session, error) {
	if name == "" {
		return nil, errNoName
	}
	if name == CatalogueName {
		return t.show(in)
	}
	e := t.exports.Load().byName[name]
	if e == nil {
		return nil, errNoExport(name)
	}
	e.grow(&t.roster)
	s := newSession(e, int(t.cfg.PerConnection), t.detached)
	s.names, s.peer, s.hints = namesOf(in.TLS), in.RemoteAddr, in.Hints
	return s, t.roster.enter(s, in.ReadOnly)
}

// detached ends a session: its connection has ended.
func (t *Target) detached(s *session) {
	s.leave()
	if t.roster.leave(s) {
		s.export.memory.close()
	}
	close(s.gone)
	t.tell(Event{Kind: Detached, Peer: s.peer, Client: first(s.names), Export: s.export.name})
}

func (t *Target) tell(e Event) {
	if t.cfg.OnEvent != nil {
		t.cfg.OnEvent(e)
	}
}

func first(names []string) string {
	if len(names) == 0 {
		return ""
	}
	return names[0]
}

// SetExports replaces what is served. It fails before anything has changed, or, if the end of an export that is gone was not
// smooth, after all has. When it returns:
//
//   - no operation on an export that is gone is in flight, and its device is no longer used. Its clients stay connected, and
//     get [unio.ErrRevoked].
//   - clients that may no longer attach an export, or had rights to it that it does not give any more, are disconnected, with
//     nothing of theirs in flight. They may attach it anew.
//   - all others have noticed nothing.
//
// An export is the same as before if name, device and region are. SetExports takes as long as what is in flight, which is
// cancelled where the device can do that; meanwhile exports that stay are served as ever.
func (t *Target) SetExports(exports []Export) error {
	t.changing.Lock()
	defer t.changing.Unlock()
	if t.closed {
		return fmt.Errorf("exports: %w", unio.ErrClosed)
	}
	exports = slices.Clone(exports)
	for i := range exports {
		exports[i].Clients = slices.Clone(exports[i].Clients)
	}
	if err := errors.Join(t.cfg.check(exports), t.pool.check(len(exports), t.cfg.longest())); err != nil {
		return err
	}
	next, err := t.plan(exports)
	if err != nil {
		return err
	}
	return t.replace(next, exports)
}

// plan opens the exports that are new.
func (t *Target) plan(exports []Export) (*exportTable, error) {
	now := t.exports.Load()
	next := &exportTable{byName: map[string]*export{}}
	for i := range exports {
		x := &exports[i]
		e := now.byName[x.Name]
		if e == nil || !x.same(&e.settings) {
			var err error
			if e, err = openExport(*x, t); err != nil {
				return nil, errors.Join(fmt.Errorf("export %q: %w", x.Name, err), t.end(next.without(now)))
			}
		}
		next.byName[x.Name] = e
		next.order = append(next.order, e)
	}
	return next, nil
}

// without returns the exports that o does not have.
func (t *exportTable) without(o *exportTable) (only []*export) {
	for _, e := range t.order {
		if !slices.Contains(o.order, e) {
			only = append(only, e)
		}
	}
	return only
}

// replace serves the exports of next from now on, and ends what they do not give.
func (t *Target) replace(next *exportTable, exports []Export) error {
	now := t.exports.Load()
	arenas := make([]*arena, len(next.order))
	var beyond []*session
	for i, e := range next.order {
		arenas[i] = e.memory
		beyond = append(beyond, t.roster.change(e, exports[i])...)
	}
	t.exports.Store(next)
	t.pool.share(arenas)
	for _, a := range arenas {
		a.trim()
	}
	var all sync.WaitGroup
	for _, s := range beyond {
		all.Go(s.disconnect)
	}
	err := t.end(now.without(next))
	all.Wait()
	return err
}

// end ends exports, all at a time.
func (t *Target) end(exports []*export) error {
	errs := make([]error, len(exports))
	var all sync.WaitGroup
	for i, e := range exports {
		all.Go(func() {
			errs[i] = e.revoke(&t.roster)
			if t.roster.over(e) {
				e.memory.close()
			}
		})
	}
	all.Wait()
	return errors.Join(errs...)
}

// disconnect ends a session's connection, and returns when nothing of it is in flight any more.
func (s *session) disconnect() {
	s.service.Disconnect() // at once, or as soon as the connection is set up
	<-s.gone
}

// Drain admits nobody any more, and waits until all clients have gone, or ctx ends, whose error it then returns.
func (t *Target) Drain(ctx context.Context) error {
	t.roster.close()
	err := t.stopListening()
	_, empty := t.roster.everybody()
	select {
	case <-empty:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (t *Target) stopListening() (first error) {
	t.mu.Lock()
	listeners := t.listeners
	t.listeners, t.deaf = nil, true
	t.mu.Unlock()
	for _, l := range listeners {
		if err := l.Close(); first == nil {
			first = err
		}
	}
	return first
}

// Close disconnects all clients and returns when nothing of the target runs any more, and nothing is in flight: a device that
// does not answer is waited for. Devices stay open. It is idempotent.
func (t *Target) Close() error {
	t.closing.Do(func() { t.closeErr = t.close() })
	return t.closeErr
}

func (t *Target) close() error {
	t.roster.close()
	errs := []error{t.stopListening()}
	t.changing.Lock()
	defer t.changing.Unlock()
	t.closed = true
	now := t.exports.Swap(&exportTable{})
	sessions, empty := t.roster.everybody()
	var all sync.WaitGroup
	for _, s := range sessions {
		all.Go(s.disconnect)
	}
	// Clients are to find the connection gone, not their access; but what a device holds up ends with its export.
	select {
	case <-empty:
	case <-time.After(disconnectTime):
	}
	errs = append(errs, t.end(now.order))
	all.Wait()
	<-empty
	t.all.Wait()
	errs = append(errs, t.pool.close())
	return errors.Join(errs...)
}
