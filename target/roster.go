package target

import (
	"errors"
	"fmt"
	"sync"

	"github.com/unio-stack/unio"
)

// A roster knows which connections there are, and guards what exports know of theirs.
type roster struct {
	limit int // connections at a time; immutable

	// mu is taken with no other held. The pool's is taken with it held.
	mu       sync.Mutex
	sessions map[*session]struct{} // guarded by mu
	closed   bool                  // nobody is admitted any more; guarded by mu
	empty    chan struct{}         // closed when there are no sessions; nil unless somebody waits; guarded by mu
	admitted int64                 // guarded by mu
	rejected int64                 // guarded by mu
	failed   int64                 // guarded by mu
}

var errShuttingDown = errors.New("the target is shutting down")

// enter admits a session, if its export is for the client, and gives it its rights, a lane, and the memory that it has asked for.
func (r *roster) enter(s *session, readOnly bool) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	e := s.export
	switch {
	case r.closed:
		return errShuttingDown
	case len(r.sessions) >= r.limit:
		return fmt.Errorf("the target serves %d connections, and no more", r.limit)
	case e.revoked, !e.settings.admits(s.names):
		return errNoExport(e.name)
	}
	if err := s.reserve(); err != nil { // of which only who may attach the export is told
		return err
	}
	if s.rights = e.settings.rights(); readOnly {
		s.rights = unio.ReadOnly
	}
	s.service.Rights = s.rights
	r.sessions[s] = struct{}{}
	r.admitted++
	e.users.count(s, 1)
	s.on = e.lightest()
	s.lane = e.lanes[s.on]
	e.load[s.on]++
	return nil
}

// count notes a connection that has come, or, with -1, gone.
func (u *users) count(s *session, n int) {
	u.clients += n
	u.patterns[s.hints.Pattern] += n
	if s.own != nil {
		u.reserved += int64(n) * s.own.bytes
	}
}

// errNoExport does not tell who may not attach an export from who asks for one that is not there.
func errNoExport(name string) error {
	return fmt.Errorf("no export %q that this client may attach", name)
}

// fits reports whether the session has no more than x gives.
func (s *session) fits(x *Export) bool { return x.admits(s.names) && s.rights&^x.rights() == 0 }

// leave forgets a session, and returns what over does of its export.
func (r *roster) leave(s *session) (last bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	e := s.export
	delete(r.sessions, s)
	e.users.count(s, -1)
	e.load[s.on]--
	if len(r.sessions) == 0 && r.empty != nil {
		close(r.empty)
		r.empty = nil
	}
	return e.end()
}

// over reports whether an export is no more and has no connections any more; once.
func (r *roster) over(e *export) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return e.end()
}

// end is over, with the roster's mu held.
func (e *export) end() bool {
	if !e.revoked || e.clients > 0 || e.over {
		return false
	}
	e.over = true
	return true
}

func (r *roster) reject() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.rejected++
}

func (r *roster) fail() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.failed++
}

// revoke lets nobody attach an export any more, and returns the sessions that have.
func (r *roster) revoke(e *export) (sessions []*session) {
	r.mu.Lock()
	defer r.mu.Unlock()
	e.revoked = true
	for s := range r.sessions {
		if s.export == e {
			sessions = append(sessions, s)
		}
	}
	return sessions
}

// change gives an export other settings, and returns the sessions that have more than it gives from now on.
func (r *roster) change(e *export, x Export) (beyond []*session) {
	r.mu.Lock()
	defer r.mu.Unlock()
	e.settings = x
	for s := range r.sessions {
		if s.export == e && !s.fits(&x) {
			beyond = append(beyond, s)
		}
	}
	return beyond
}

// close admits nobody any more.
func (r *roster) close() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.closed = true
}

// everybody returns all sessions, and what is closed when there are none. No session comes after close.
func (r *roster) everybody() (sessions []*session, empty <-chan struct{}) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for s := range r.sessions {
		sessions = append(sessions, s)
	}
	if r.empty == nil {
		r.empty = make(chan struct{})
	}
	empty = r.empty
	if len(sessions) == 0 {
		close(r.empty)
		r.empty = nil
	}
	return sessions, empty
}
