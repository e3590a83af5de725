package target

import (
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/unio-stack/unio"
	"github.com/unio-stack/unio/provider/rdma"
)

// CatalogueName is the region that every target has beside its exports. Its bytes are a [Catalogue] in JSON, as it was when the
// client attached it, and can be read like those of any other region.
const CatalogueName = "unio:catalogue"

// A Catalogue tells a client what it may attach, and how the target is doing.
type Catalogue struct {
	Uptime      float64 `json:"uptime_seconds"`
	Connections int     `json:"connections"` // now; with the one that asks
	Admitted    int64   `json:"admitted"`    // connections, since the target began
	Rejected    int64   `json:"rejected"`    // likewise
	Failed      int64   `json:"failed"`      // see [Stats]
	Memory      int64   `json:"memory"`      // most I/O memory that is used, in bytes
	MemoryTaken int64   `json:"memory_taken"`
	// MemoryReserved bytes are set aside for connections.
	MemoryReserved int64 `json:"memory_reserved"`
	// Regions are what the client may attach, by name.
	Regions []CatalogueRegion `json:"regions"`
}

// A CatalogueRegion is an export as a client sees it.
type CatalogueRegion struct {
	Name       string   `json:"name"`
	Size       int64    `json:"size"` // bytes
	ReadOnly   bool     `json:"read_only"`
	AtomicUnit int      `json:"atomic_unit"` // bytes
	Survives   string   `json:"survives"`    // see [unio.Persistence]
	Operations []string `json:"operations"`  // see [unio.Opcode]
	// Mapped regions are memory that clients reach without the target's doing: their reads and writes are not in Stats.
	Mapped bool        `json:"mapped"`
	Stats  ExportStats `json:"stats"`
}

// maxReaders are how many clients have the catalogue at a time: each has a copy of it.
const maxReaders = 64

// A snapshot is the catalogue as a client has it. It is the [rdma.Store] of a session of the export that stands for the
// catalogue, of which only what the roster needs is there.
type snapshot struct {
	*session
	text   []byte           // immutable
	finish func([]*rdma.IO) // the target's; immutable
}

// newCatalogue returns the export that stands for the catalogue.
func newCatalogue() *export {
	return &export{
		name: CatalogueName, memory: &arena{}, settings: Export{Name: CatalogueName, ReadOnly: true},
		info:  rdma.StoreInfo{Ops: unio.Ops(unio.OpRead), AtomicUnit: 1},
		lanes: []*lane{nil}, load: make([]int, 1),
	}
}

// show admits a client to the catalogue.
func (t *Target) show(in *rdma.Incoming) (*session, error) {
	s := newSession(t.catalogue, 0, t.detached)
	s.names, s.peer = namesOf(in.TLS), in.RemoteAddr
	text, err := json.Marshal(t.describe(s.names))
	if err != nil {
		return nil, err
	}
	s.service.Store = &snapshot{s, text, t.finish}
	if t.roster.clients(t.catalogue) >= maxReaders {
		return nil, fmt.Errorf("%w: %d clients are reading the catalogue", unio.ErrBusy, maxReaders)
	}
	return s, t.roster.enter(s, true)
}

// describe returns the catalogue for a client of these names.
func (t *Target) describe(names []string) *Catalogue {
	c := &Catalogue{
		Uptime: time.Since(t.began).Seconds(), Regions: []CatalogueRegion{},
		Memory: t.cfg.Memory, MemoryTaken: t.pool.bytes(), MemoryReserved: t.pool.reserved(),
	}
	c.Connections, c.Admitted, c.Rejected, c.Failed = t.roster.counts()
	c.Connections, c.Admitted = c.Connections+1, c.Admitted+1
	for _, e := range t.exports.Load().order {
		if x, _, _ := t.roster.of(e); x.admits(names) {
			c.Regions = append(c.Regions, e.describe(&t.roster))
		}
	}
	slices.SortFunc(c.Regions, func(a, b CatalogueRegion) int { return cmp.Compare(a.Name, b.Name) })
	return c
}

func (e *export) describe(r *roster) CatalogueRegion {
	s := e.stats(r)
	s.URL = "" // where the target keeps it is not the client's concern
	d := CatalogueRegion{
		Name: s.Name, Size: e.region.Size(), ReadOnly: s.ReadOnly, AtomicUnit: e.info.AtomicUnit,
		Survives: e.info.Persistence.String(), Mapped: e.region.Memory() != nil, Stats: s,
	}
	for op := unio.OpRead; op < unio.OpSend; op++ {
		if e.info.Ops.Has(op) {
			d.Operations = append(d.Operations, op.String())
		}
	}
	return d
}

// clients returns how many have an export.
func (r *roster) clients(e *export) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return e.clients
}

// Size implements rdma.Store.
func (s *snapshot) Size() int64 { return int64(len(s.text)) }

// Memory implements rdma.Store.
func (s *snapshot) Memory() []byte { return s.text }

// Poll implements rdma.Store. Nothing is ever under way.
func (*snapshot) Poll() bool { return false }

// Start implements rdma.Store. Nothing but to read is possible, and that needs nobody.
func (s *snapshot) Start(batch []*rdma.IO) {
	for _, io := range batch {
		io.Err = fmt.Errorf("%w: the catalogue can be read, and no more", unio.ErrUnsupported)
	}
	s.finish(batch)
}
