package target

import (
	"net"

	"github.com/unio-stack/unio"
	"github.com/unio-stack/unio/provider/rdma"
)

// A session is a connection's use of an export: the [rdma.Store] that it is given.
type session struct {
	borrower               // Borrow and Return
	export   *export       // immutable
	service  *rdma.Service // immutable
	rights   unio.Rights   // immutable once the roster has it
	names    []string      // the client's; immutable
	hints    rdma.Hints    // likewise
	peer     net.Addr      // immutable
	lane     *lane         // immutable once the roster has it
	on       int           // the lane's index; likewise
	gone     chan struct{} // closed when nothing of the connection uses it any more
}

// newSession returns what a connection is to be given.
func newSession(e *export, memory int, closed func(*session)) *session {
	s := &session{borrower: borrower{arena: e.memory}, export: e, gone: make(chan struct{})}
	s.service = &rdma.Service{Store: s, Info: e.info, Memory: memory}
	s.service.Closed = func() { closed(s) }
	return s
}

// reserve sets the memory aside that the client has asked for. A region that is memory needs none.
func (s *session) reserve() (err error) {
	n := s.hints.InFlight
	if n == 0 || s.Memory() != nil {
		return nil
	}
	if most := int64(s.service.Memory); n > most {
		return overcommitted(n, "a connection may have %s: ask for less", most)
	}
	s.own, err = s.arena.pool.reserveFor(n)
	return err
}

// Size implements rdma.Store.
func (s *session) Size() int64 { return s.export.region.Size() }

// Memory implements rdma.Store.
func (s *session) Memory() []byte { return s.export.region.Memory() }

// Start implements rdma.Store.
func (s *session) Start(batch []*rdma.IO) {
	for _, io := range batch {
		s.use(io.Data)
	}
	s.lane.start(batch)
}

// Poll implements rdma.Store.
func (s *session) Poll() bool { return s.lane.poll() }
