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
	memory []byte     // immutable
	rights unio.Rights
	base   uint64 // tagged offset of the first byte
	stag   uint32 // immutable once entered
	forget func() // withdraws the hook on the buffer; nil without one; immutable after expose

	revoked atomic.Bool
}

// Key returns what a peer needs to reach the memory.
func (e *Exposure) Key() Key { return Key{STag: e.stag, Base: e.base, Size: int64(len(e.memory))} }

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
	if e.forget != nil {
		e.forget()
	}
}

// within returns the n bytes that begin at the tagged offset to, or with what to refuse them. n is not 0.
func (e *Exposure) within(to, n uint64, need unio.Rights, q *queuePair) ([]byte, iwarp.Refusal, bool) {
	switch {
	case e == nil || e.revoked.Load():
		return nil, iwarp.RefuseSTag, false
	case e.only != nil && e.only != q:
		return nil, iwarp.RefuseForeignSTag, false
	case e.rights&need != need:
		return nil, iwarp.RefuseAccess, false
	}
	if why, ok := iwarp.CheckRange(to, n, e.base, uint64(len(e.memory))); !ok {
		return nil, why, false
	}
	at := to - e.base
	return e.memory[at : at+n : at+n], 0, true
}
