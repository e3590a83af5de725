package catalogue

import (
	"fmt"
	"maps"
	"slices"
	"sync"

	"github.com/unio-stack/unio"
)

// A Memory is a catalogue that is gone with the process: for pools that need
// not survive it, and for tests. Its methods may be called from any goroutine.
// The zero value is empty.
type Memory struct {
	mu     sync.Mutex
	open   bool              // guarded by mu
	values map[string][]byte // not changed once it is here; guarded by mu
}

// Open opens the catalogue. It fails with [unio.ErrBusy] while it is open.
func (m *Memory) Open() (Catalogue, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.open {
		return nil, fmt.Errorf("catalogue in memory: %w: the pool is open already", unio.ErrBusy)
	}
	m.open = true
	return &memoryCatalogue{m: m}, nil
}

// Clone returns a catalogue with what this one holds now, not open.
func (m *Memory) Clone() *Memory { return &Memory{values: m.state()} }

func (m *Memory) state() map[string][]byte {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.values
}

// memoryCatalogue is a Memory that is open.
type memoryCatalogue struct {
	m      *Memory
	update sync.Mutex
}

func (c *memoryCatalogue) View(f func(Reader) error) error { return f(&memoryTx{values: c.m.state()}) }

func (c *memoryCatalogue) Update(f func(Writer) error) error {
	c.update.Lock()
	defer c.update.Unlock()
	tx := &memoryTx{values: maps.Clone(c.m.state())}
	if tx.values == nil {
		tx.values = map[string][]byte{}
	}
	if err := f(tx); err != nil {
		return err
	}
	c.m.mu.Lock()
	c.m.values = tx.values
	c.m.mu.Unlock()
	return nil
}

func (c *memoryCatalogue) Close() error {
	c.m.mu.Lock()
	defer c.m.mu.Unlock()
	c.m.open = false
	return nil
}

// memoryTx is a transaction: over a state that nobody changes, or a copy.
type memoryTx struct{ values map[string][]byte }

func (t *memoryTx) Get(key []byte) []byte { return t.values[string(key)] }

func (t *memoryTx) Put(key, value []byte) error {
	t.values[string(key)] = slices.Clone(value)
	return nil
}

func (t *memoryTx) Delete(key []byte) error {
	delete(t.values, string(key))
	return nil
}

func (t *memoryTx) Scan(from []byte, f func(key, value []byte) bool) {
	var keys []string
	for k := range t.values {
		if k >= string(from) {
			keys = append(keys, k)
		}
	}
	slices.Sort(keys)
	for _, k := range keys {
		if !f([]byte(k), t.values[k]) {
			return
		}
	}
}
