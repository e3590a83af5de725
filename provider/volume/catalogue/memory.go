package catalogue

import (
	"fmt"
	"maps"
	"slices"
	"sync"

	"github.com/unio-stack/unio"
)

// A Memory is a catalogue that is gone with the process: for pools that need
// not survive it, and for tests. An update takes as long as there is in it. Its
// methods may be called from any goroutine. The zero value is empty.
type Memory struct {
	mu    sync.Mutex
	open  bool         // guarded by mu
	state *memoryState // nil: empty; guarded by mu
}

// A memoryState does not change once it is a Memory's.
type memoryState struct {
	values map[string][]byte
	sort   sync.Once
	keys   []string // sorted; set by sort
}

func (s *memoryState) sorted() []string {
	s.sort.Do(func() { s.keys = slices.Sorted(maps.Keys(s.values)) })
	return s.keys
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
func (m *Memory) Clone() *Memory { return &Memory{state: m.now()} }

func (m *Memory) now() *memoryState {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.state == nil {
		m.state = &memoryState{values: map[string][]byte{}}
	}
	return m.state
}

// memoryCatalogue is a Memory that is open.
type memoryCatalogue struct {
	m      *Memory
	update sync.Mutex
}

func (c *memoryCatalogue) View(f func(Reader) error) error { return f(memoryTx{c.m.now()}) }

func (c *memoryCatalogue) Update(f func(Writer) error) error {
	c.update.Lock()
	defer c.update.Unlock()
	tx := &memoryWriter{values: maps.Clone(c.m.now().values)}
	if err := f(tx); err != nil {
		return err
	}
	c.m.mu.Lock()
	c.m.state = &memoryState{values: tx.values}
	c.m.mu.Unlock()
	return nil
}

func (c *memoryCatalogue) Close() error {
	c.m.mu.Lock()
	defer c.m.mu.Unlock()
	c.m.open = false
	return nil
}

// memoryTx reads a state.
type memoryTx struct{ state *memoryState }

func (t memoryTx) Get(key []byte) []byte { return t.state.values[string(key)] }

func (t memoryTx) Scan(from []byte, f func(key, value []byte) bool) {
	keys := t.state.sorted()
	i, _ := slices.BinarySearch(keys, string(from))
	for _, k := range keys[i:] {
		if !f([]byte(k), t.state.values[k]) {
			return
		}
	}
}

// memoryWriter changes a copy of a state.
type memoryWriter struct{ values map[string][]byte }

func (t *memoryWriter) Get(key []byte) []byte { return t.values[string(key)] }

func (t *memoryWriter) Put(key, value []byte) error {
	t.values[string(key)] = slices.Clone(value)
	return nil
}

func (t *memoryWriter) Delete(key []byte) error {
	delete(t.values, string(key))
	return nil
}

func (t *memoryWriter) Scan(from []byte, f func(key, value []byte) bool) {
	memoryTx{&memoryState{values: t.values}}.Scan(from, f)
}
