package uniotest

import (
	"context"
	"fmt"
	"math/rand/v2"

	"github.com/unio-stack/unio"
)

// A pairEnd is one side of a Pair: the unio.Provider of its device.
type pairEnd struct {
	pair *Pair
	peer *pairEnd // the other side; immutable once both exist
	name string
	info unio.Info
	dev  *unio.Device // immutable once it is open

	// What follows is guarded by pair.mu.

	rng     *rand.Rand
	queue   *pairQueue // nil before there is a channel, and after it
	left    bool       // the channel, or the device, was closed
	inbox   []parcel   // what has arrived and no Recv has taken, oldest first
	spare   [][]byte   // memory of parcels that were taken
	exposed map[string]*exposure
}

// An exposure is memory that the peer may reach.
type exposure struct {
	end     *pairEnd // whose memory it is
	name    string
	bytes   []byte // touched by the peer with pair.mu held
	rights  unio.Rights
	revoked bool // guarded by pair.mu
}

// A parcel is a message under way.
type parcel struct {
	data       []byte
	flags      unio.Flags
	value      uint64
	invalidate *exposure // nil unless flags has Invalidate
}

// expose makes size bytes, zeroes, reachable for the peer.
func (e *pairEnd) expose(size int, rights unio.Rights) *Exposed {
	e.pair.mu.Lock()
	defer e.pair.mu.Unlock()
	x := &exposure{
		end: e, name: fmt.Sprintf("%s/%d", e.name, len(e.exposed)),
		bytes: make([]byte, size), rights: rights,
	}
	e.exposed[x.name] = x
	return &Exposed{
		Bytes: x.bytes,
		Attach: func(rights unio.Rights) (*unio.Region, error) {
			return e.peer.dev.Attach(context.Background(), x.name, rights)
		},
		Revoke: func() error {
			e.pair.mu.Lock()
			defer e.pair.mu.Unlock()
			x.revoke()
			return nil
		},
	}
}

// revoke ends the peer's access. Called with pair.mu held, as every access is
// made, so that none is under way.
func (x *exposure) revoke() {
	if h := x.end.pair.hooks.revoke; h != nil {
		h(x)
		return
	}
	x.revoked = true
}

// Info implements unio.Provider.
func (e *pairEnd) Info() unio.Info { return e.info }

// Attach implements unio.Provider: the regions are what the peer has exposed.
func (e *pairEnd) Attach(_ context.Context, name string, rights unio.Rights) (unio.Handle, error) {
	e.pair.mu.Lock()
	defer e.pair.mu.Unlock()
	x := e.peer.exposed[name]
	switch {
	case x == nil:
		return nil, fmt.Errorf("%w: peer %s exposes nothing of that name", unio.ErrInvalid, e.peer.name)
	case e.pair.cfg.Fatal: // as with a key of RDMA, which says nothing of rights
	case x.revoked:
		return nil, unio.ErrRevoked
	case rights&^x.rights != 0:
		return nil, fmt.Errorf("%w: the memory is exposed %v", unio.ErrAccess, x.rights)
	}
	return pairHandle{x}, nil
}

// NewQueue implements unio.Provider. There is one, that of the connection.
func (e *pairEnd) NewQueue(cfg unio.QueueConfig) (unio.Queue, error) {
	e.pair.mu.Lock()
	defer e.pair.mu.Unlock()
	if e.queue != nil || e.left {
		return nil, fmt.Errorf("%w: a peer has one channel", unio.ErrBusy)
	}
	e.queue = newPairQueue(e, cfg.Depth)
	go e.queue.serve()
	return e.queue, nil
}

// Close implements unio.Provider.
func (e *pairEnd) Close() error { return nil }

// sever fails everything in flight on this side and loses what has arrived.
func (e *pairEnd) sever() {
	e.inbox = e.inbox[:0]
	if e.queue != nil {
		e.queue.failAll()
	}
}

// leave says that this side's channel is closed. What has left it still arrives.
func (e *pairEnd) leave() {
	e.left, e.queue = true, nil
	e.inbox = e.inbox[:0]
	if h := e.pair.hooks.leave; h != nil && h(e) {
		return
	}
	if q := e.peer.queue; q != nil {
		q.failSends()
		q.failUnservable()
	}
}

// hopeful reports whether a Recv posted now may get a message.
func (e *pairEnd) hopeful() bool {
	return !e.pair.broken && (!e.peer.left || len(e.inbox) > 0)
}

// connected reports whether what is sent may arrive.
func (e *pairEnd) connected() bool { return !e.pair.broken && !e.peer.left }

// take removes the oldest message that has arrived. The caller gives its memory
// back with reuse.
func (e *pairEnd) take() parcel {
	p := e.inbox[0]
	e.inbox = append(e.inbox[:0], e.inbox[1:]...)
	return p
}

func (e *pairEnd) reuse(p parcel) {
	if cap(p.data) > 0 && len(e.spare) <= e.pair.cfg.Window {
		e.spare = append(e.spare, p.data[:0])
	}
}

// memory returns what a parcel's bytes can be appended to.
func (e *pairEnd) memory() []byte {
	n := len(e.spare)
	if n == 0 {
		return nil
	}
	p := e.spare[n-1]
	e.spare = e.spare[:n-1]
	return p
}

// pairHandle is the peer's exposed memory.
type pairHandle struct{ exposure *exposure }

// Size implements unio.Handle.
func (h pairHandle) Size() int64 { return int64(len(h.exposure.bytes)) }

// Close implements unio.Handle.
func (h pairHandle) Close() error { return nil }
