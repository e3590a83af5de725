package rdma

import (
	"crypto/rand"
	"encoding/binary"
	"fmt"
	"maps"
	"slices"
	"sync"

	"github.com/unio-stack/unio"
)

// A Domain is a protection domain (RFC 5042 section 2.1): memory that is exposed, and the connections whose peers may
// reach it. Its methods may be called from any goroutine. It has nothing to close: what it holds goes with its connections.
type Domain struct {
	watchers watchers
	scratch  scratch
	instance uint64 // tells this domain from one of the same target before or after it; immutable

	mu      sync.RWMutex
	exposed map[uint32]*Exposure    // guarded by mu
	pairs   map[*queuePair]struct{} // open connections; guarded by mu
}

// NewDomain returns a domain with nothing exposed.
func NewDomain() *Domain {
	return &Domain{instance: randomWord(), exposed: map[uint32]*Exposure{}, pairs: map[*queuePair]struct{}{}}
}

// Expose lets all peers of the domain's connections, present and future, that have the key reach the memory of buf. Freeing
// the buffer revokes it. It fails with [unio.ErrInvalid] for rights or memory that make no sense.
func (d *Domain) Expose(buf *unio.Buffer, rights unio.Rights) (*Exposure, error) {
	return d.expose(buf, 0, len(buf.Bytes()), rights, nil)
}

// ExposeRange is Expose for the n bytes from off on.
func (d *Domain) ExposeRange(buf *unio.Buffer, off, n int, rights unio.Rights) (*Exposure, error) {
	return d.expose(buf, off, n, rights, nil)
}

func (d *Domain) expose(buf *unio.Buffer, off, n int, rights unio.Rights, only *queuePair) (*Exposure, error) {
	all := buf.Bytes()
	switch {
	case rights == 0 || rights&^unio.ReadWrite != 0:
		return nil, fmt.Errorf("expose: %w: %v", unio.ErrInvalid, rights)
	case off < 0 || n <= 0 || off > len(all) || n > len(all)-off:
		return nil, fmt.Errorf("expose: %w: %d bytes from %d on are not within a buffer of %d", unio.ErrInvalid, n, off, len(all))
	}
	e := &Exposure{
		domain: d, only: only, memory: all[off : off+n : off+n], size: uint64(n), rights: rights,
		base: randomBase() + uint64(off)%pageSize,
	}
	d.mu.Lock()
	if only != nil {
		if _, open := d.pairs[only]; !open {
			d.mu.Unlock()
			return nil, fmt.Errorf("expose: %w", unio.ErrDisconnected)
		}
		if only.exposures == nil {
			only.exposures = map[*Exposure]struct{}{}
		}
		only.exposures[e] = struct{}{}
	}
	d.enter(e)
	d.mu.Unlock()
	forget, ok := onFree(e.memory, func() { _ = e.Revoke() }) // which is called at once if the buffer is being freed
	if !ok {
		_ = e.Revoke() // never fails
		return nil, fmt.Errorf("expose: %w: the buffer has been freed", unio.ErrInvalid)
	}
	e.forget.Store(&forget)
	return e, nil
}

// exposeStore exposes what a Service serves to the peer of q, which is not a connection yet.
func (d *Domain) exposeStore(s *Service, q *queuePair) *Exposure {
	size := uint64(s.Store.Size())
	e := &Exposure{domain: d, only: q, memory: s.Store.Memory(), size: size, rights: s.Rights, base: randomBase()}
	if e.memory != nil {
		e.memory = e.memory[:size:size]
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	q.exposures = map[*Exposure]struct{}{e: {}}
	d.enter(e)
	return e
}

// enter gives e an STag that nobody can guess. d.mu is held.
func (d *Domain) enter(e *Exposure) {
	for {
		e.stag = randomSTag()
		if _, taken := d.exposed[e.stag]; !taken {
			d.exposed[e.stag] = e
			return
		}
	}
}

// find returns what an STag names, or nil.
func (d *Domain) find(stag uint32) *Exposure {
	d.mu.RLock()
	defer d.mu.RUnlock()
	return d.exposed[stag]
}

// admit makes q one of the domain's connections.
func (d *Domain) admit(q *queuePair) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.pairs[q] = struct{}{}
}

// remove forgets what was exposed.
func (d *Domain) remove(e *Exposure) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.exposed[e.stag] == e {
		delete(d.exposed, e.stag)
	}
	if e.only != nil {
		delete(e.only.exposures, e)
	}
}

// dismiss ends q's membership, and what was exposed to its peer alone. Nothing is read or written for it any more.
func (d *Domain) dismiss(q *queuePair) {
	d.mu.Lock()
	delete(d.pairs, q)
	alone := slices.Collect(maps.Keys(q.exposures))
	d.mu.Unlock()
	for _, e := range alone {
		e.withdraw()
	}
}

// concerned returns the connections that may be using e.
func (d *Domain) concerned(e *Exposure) (all []*queuePair) {
	if e.only != nil {
		return []*queuePair{e.only}
	}
	d.mu.RLock()
	defer d.mu.RUnlock()
	for q := range d.pairs {
		all = append(all, q)
	}
	return all
}

const pageSize = 4096

// firstSTag is above what is reserved (0) and what others use where an STag is not looked at (1).
const firstSTag = 2

func randomSTag() uint32 {
	for {
		if stag := uint32(randomWord()); stag >= firstSTag {
			return stag
		}
	}
}

// randomBase is a multiple of the page size that leaves room above it for any memory there is.
func randomBase() uint64 { return (randomWord()>>20 | 1<<43) * pageSize }

func randomWord() uint64 {
	var b [8]byte
	_, _ = rand.Read(b[:]) // never fails
	return binary.BigEndian.Uint64(b[:])
}
