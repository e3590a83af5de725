package target

// Stats is what a target has done and has.
type Stats struct {
	Connections int   `json:"connections"` // now
	Admitted    int64 `json:"admitted"`    // connections, since New
	Rejected    int64 `json:"rejected"`    // likewise
	// Memory is the limit of I/O memory, and MemoryTaken how much of it was taken from the system, in bytes.
	Memory      int64         `json:"memory"`
	MemoryTaken int64         `json:"memory_taken"`
	Exports     []ExportStats `json:"exports"` // in the order they were given
}

// ExportStats is what an export has done since it is one. What clients do to memory that is exported as such is not counted:
// they reach it without the target's doing.
type ExportStats struct {
	Name        string `json:"name"`
	URL         string `json:"url"`
	ReadOnly    bool   `json:"read_only"`
	Connections int    `json:"connections"` // now
	Lanes       int    `json:"lanes"`       // channels to the device

	Operations   int64 `json:"operations"` // that have ended; of flushes, those that the device was asked for
	Failed       int64 `json:"failed"`     // of those
	BytesRead    int64 `json:"bytes_read"`
	BytesWritten int64 `json:"bytes_written"`
	InFlight     int   `json:"in_flight"` // operations with the device
	Queued       int   `json:"queued"`    // operations that wait for a place with it
	FlushesAsked int64 `json:"flushes_asked"`
	FlushesDone  int64 `json:"flushes_done"` // by the device

	MemoryInUse int64 `json:"memory_in_use"` // bytes that connections have borrowed
	MemoryHeld  int64 `json:"memory_held"`   // bytes that are set aside for the export
	MemoryMost  int64 `json:"memory_most"`   // bytes that it may have
	MemoryWaits int64 `json:"memory_waits"`  // how often a connection had to wait for memory
}

// Stats returns what the target has done. What an export that is no more has done is not in it.
func (t *Target) Stats() Stats {
	s := Stats{Memory: t.cfg.Memory, MemoryTaken: t.pool.bytes()}
	s.Connections, s.Admitted, s.Rejected = t.roster.counts()
	for _, e := range t.exports.Load().order {
		s.Exports = append(s.Exports, e.stats(&t.roster))
	}
	return s
}

func (e *export) stats(r *roster) ExportStats {
	x, clients, lanes := r.of(e)
	s := ExportStats{Name: x.Name, URL: x.URL, ReadOnly: x.ReadOnly, Connections: clients, Lanes: len(lanes)}
	for _, l := range lanes {
		n, queued := l.stats()
		s.Operations += n.Operations
		s.Failed += n.Failed
		s.BytesRead += n.BytesRead
		s.BytesWritten += n.BytesWritten
		s.InFlight += n.inFlight
		s.Queued += queued
	}
	s.FlushesAsked, s.FlushesDone = e.flushes.counts()
	s.MemoryInUse, s.MemoryHeld, s.MemoryMost, s.MemoryWaits = e.memory.stats()
	return s
}

// counts returns how many connections there are, were admitted, and were rejected.
func (r *roster) counts() (now int, admitted, rejected int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.sessions), r.admitted, r.rejected
}

// of returns what an export is and has at the moment.
func (r *roster) of(e *export) (x Export, clients int, lanes []*lane) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return e.settings, e.clients, e.lanes[:len(e.lanes):len(e.lanes)]
}

func (a *arena) stats() (inUse, held, most, waits int64) {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.inUse, int64(a.held) * slabSize, a.most.Load() * slabSize, a.waits
}

// bytes returns how much was taken from the system.
func (p *pool) bytes() int64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	return int64(p.made) * slabSize
}
