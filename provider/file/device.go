package file

import (
	"context"
	"fmt"
	"sync"

	"github.com/unio-stack/unio"
)

// device is the provider behind a file.
type device struct {
	m      *medium
	engine engine
	pool   *pool // workers of the posix engine, started on demand

	mu     sync.RWMutex // read-held while a queue is made: the file stays open
	closed bool         // guarded by mu
}

// engine is how requests reach the kernel, and why that way.
type engine struct {
	name, reason string
	// newQueue is nil for the posix engine.
	newQueue func(d *device, cfg unio.QueueConfig) (unio.Queue, error)
	notes    []string
}

const (
	maxTransfer = 1 << 30 // below MAX_RW_COUNT, and whole blocks
	maxDepth    = 1 << 13
)

// Info implements unio.Provider.
func (d *device) Info() unio.Info {
	m := d.m
	info := unio.Info{
		Provider: "file", Name: m.path, Engine: d.engine.name, Reason: d.engine.reason,
		Notes:         append(m.notes[:len(m.notes):len(m.notes)], d.engine.notes...),
		Native:        unio.Ops(unio.OpRead, unio.OpFlush),
		NativeDurable: nativeDurable,
		BlockSize:     m.blockSize, MemoryAlign: m.memoryAlign, ZeroUnit: m.zeroUnit,
		AtomicUnit: m.sector, MaxTransfer: maxTransfer, MaxDepth: maxDepth,
		Persistence: unio.Power, ReadOnly: m.readOnly,
	}
	if m.inMemory {
		info.Persistence, info.AtomicUnit = unio.Host, 1
	}
	if m.readOnly {
		return info
	}
	info.Native |= unio.Ops(unio.OpWrite)
	if m.canDiscard {
		info.Native |= unio.Ops(unio.OpDiscard)
	}
	if m.canZero {
		info.Native |= unio.Ops(unio.OpWriteZeroes)
	}
	return info
}

// Attach implements unio.Provider.
func (d *device) Attach(_ context.Context, name string, _ unio.Rights) (unio.Handle, error) {
	if name != "" {
		return nil, fmt.Errorf("%w: a file has one region, named %q", unio.ErrInvalid, "")
	}
	if d.m.block {
		return handle{d.m}, nil
	}
	return fileHandle{handle{d.m}}, nil
}

// NewQueue implements unio.Provider.
func (d *device) NewQueue(cfg unio.QueueConfig) (unio.Queue, error) {
	d.mu.RLock()
	defer d.mu.RUnlock()
	if d.closed {
		return nil, unio.ErrClosed
	}
	if d.engine.newQueue == nil {
		return d.pool.newQueue(cfg), nil
	}
	return d.engine.newQueue(d, cfg)
}

// Close implements unio.Provider.
func (d *device) Close() error {
	d.mu.Lock()
	d.closed = true
	d.mu.Unlock()
	d.pool.close()
	return d.m.close()
}
