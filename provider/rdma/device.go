package rdma

import (
	"context"
	"fmt"
	"sync"

	"github.com/unio-stack/unio"
)

// A device is the provider of one peer: its first channel is the connection it was opened with.
type device struct {
	info unio.Info // immutable
	// memory is the region "", if the peer has named one. Immutable.
	memory *Key
	// again opens another connection to the same peer; nil where the peer has dialed. Immutable.
	again func(context.Context) (*queuePair, error)

	mu    sync.Mutex
	first *queuePair // until a channel has it; guarded by mu
}

// Info implements unio.Provider.
func (d *device) Info() unio.Info { return d.info }

// Attach implements unio.Provider: a region's name is its Key, or nothing for the memory that the peer has named.
func (d *device) Attach(_ context.Context, name string, _ unio.Rights) (unio.Handle, error) {
	if name == "" {
		if d.memory == nil {
			return nil, fmt.Errorf("%w: the peer has named no memory in its private data; attach it by its Key", unio.ErrInvalid)
		}
		return &region{key: *d.memory, home: true}, nil
	}
	k, err := ParseKey(name)
	if err != nil {
		return nil, err
	}
	return &region{key: k}, nil
}

// NewQueue implements unio.Provider.
func (d *device) NewQueue(unio.QueueConfig) (unio.Queue, error) {
	d.mu.Lock()
	q := d.first
	d.first = nil
	d.mu.Unlock()
	if q != nil && (d.again == nil || !q.failed()) {
		return q, nil
	}
	if q != nil {
		_ = q.Close() // it has ended
	}
	if d.again == nil {
		return nil, fmt.Errorf("%w: a connection that was accepted has one channel", unio.ErrUnsupported)
	}
	return d.again(context.Background())
}

// Close implements unio.Provider.
func (d *device) Close() error {
	d.mu.Lock()
	q := d.first
	d.first = nil
	d.mu.Unlock()
	if q != nil {
		return q.Close()
	}
	return nil
}

// A region is memory that the peer has exposed.
type region struct {
	key  Key
	home bool // each connection has a Key of its own for it, if it was served
}

// Size implements unio.Handle.
func (r *region) Size() int64 { return r.key.Size }

// Close implements unio.Handle.
func (r *region) Close() error { return nil }
