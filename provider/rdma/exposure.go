package rdma

import (
	"sync/atomic"

	"github.com/unio-stack/unio"
	"github.com/unio-stack/unio/internal/iwarp"
)

// An Exposure is memory that peers may reach. Its methods may be called from any goroutine.
type Exposure struct {
	domain *Domain
	only   *queuePair // whose peer alone may reach it; nil: all of the domain
	memory []byte     // nil for a Store that is not memory; immutable
	size   uint64     // bytes; immutable
	rights unio.Rights
	base   uint64                 // tagged offset of the first byte
	stag   uint32                 // immutable once entered
	forget atomic.Pointer[func()] // withdraws the hook on the buffer

	revoked atomic.Bool
}

// Key returns what a peer needs to reach the memory.
func (e *Exposure) Key() Key { return Key{STag: e.stag, Base: e.base, Size: int64(e.size)} }

// Revoke ends the access. When it returns, no peer reads or changes the memory any more, not even with what was under way.
// A peer that uses the key afterwards loses its connection. It may be called again. The error is always nil.
func (e *Exposure) Revoke() error {
	e.withdraw()
	for _, q := range e.domain.concerned(e) {
		q.fence(e)
	}
	return nil
}

// withdraw lets no access begin any more.
func (e *Exposure) withdraw() {
	e.revoked.Store(true)
	e.domain.remove(e)
	if forget := e.forget.Load(); forget != nil {
		(*forget)()
	}
}

// locate returns where in the exposure the n bytes are that begin at the tagged offset to, or with what to refuse them to the
// peer of q. If n is 0 the range is not looked at.
func (e *Exposure) locate(to, n uint64, need unio.Rights, q *queuePair) (at int64, why iwarp.Refusal, ok bool) {
	switch {
	case e == nil || e.revoked.Load():
		return 0, iwarp.RefuseSTag, false
	case e.only != nil && e.only != q:
		return 0, iwarp.RefuseForeignSTag, false
	case e.rights&need != need:
		return 0, iwarp.RefuseAccess, false
	case n == 0:
		return 0, 0, true
	}
	if why, ok := iwarp.CheckRange(to, n, e.base, e.size); !ok {
		return 0, why, false
	}
	return int64(to - e.base), 0, true
}

// within returns the memory that locate has found.
func (e *Exposure) within(to, n uint64, need unio.Rights, q *queuePair) ([]byte, iwarp.Refusal, bool) {
	at, why, ok := e.locate(to, n, need, q)
	if !ok {
		return nil, why, false
	}
	return e.memory[at : at+int64(n) : at+int64(n)], 0, true
}
