package target

import "github.com/unio-stack/unio/provider/rdma"

// Stats is what a target has done and has.
type Stats struct {
	Connections int   `json:"connections"` // now
	Admitted    int64 `json:"admitted"`    // connections, since New
	Rejected    int64 `json:"rejected"`    // likewise
	Failed      int64 `json:"failed"`      // peers that came and were no connection, likewise
	// Memory is the limit of I/O memory, MemoryTaken how much of it was taken from the system, and MemoryReserved how much is
	// set aside for connections that have asked for it, in bytes.
	Memory         int64         `json:"memory"`
	MemoryTaken    int64         `json:"memory_taken"`
	MemoryReserved int64         `json:"memory_reserved"`
	Exports        []ExportStats `json:"exports"` // in the order they were given
}

// ExportStats is what an export has done since it is one. What clients do to memory that is exported as such is not counted:
// they reach it without the target's doing.
type ExportStats struct {
	Name        string `json:"name"`
	URL         string `json:"url"`
	ReadOnly    bool   `json:"read_only"`
	Connections int    `json:"connections"` // now
	Random      int    `json:"random"`      // of those, that have said that their pattern is this; see [rdma.Hints]
	Sequential  int    `json:"sequential"`  // likewise
	Lanes       int    `json:"lanes"`       // channels to the device

	Operations   int64 `json:"operations"` // that have ended; of flushes, those that the device was asked for
	Failed       int64 `json:"failed"`     // of those
	BytesRead    int64 `json:"bytes_read"`
	BytesWritten int64 `json:"bytes_written"`
	InFlight     int   `json:"in_flight"` // operations with the device
	Queued       int   `json:"queued"`    // operations that wait for a place with it
	FlushesAsked int64 `json:"flushes_asked"`
	FlushesDone  int64 `json:"flushes_done"` // by the device

	MemoryInUse    int64 `json:"memory_in_use"`   // bytes that connections have borrowed, also of what is reserved
	MemoryHeld     int64 `json:"memory_held"`     // bytes that are set aside for the export, but for what is reserved
	MemoryMost     int64 `json:"memory_most"`     // bytes that it may have, likewise
	MemoryReserved int64 `json:"memory_reserved"` // bytes that are set aside for connections
	MemoryWaits    int64 `json:"memory_waits"`    // how often a connection had to wait for memory
}

// Stats returns what the target has done. What an export that is no more has done is not in it.
func (t *Target) Stats() Stats {
	s := Stats{Memory: t.cfg.Memory, MemoryTaken: t.pool.bytes(), MemoryReserved: t.pool.reserved()}
	s.Connections, s.Admitted, s.Rejected, s.Failed = t.roster.counts()
	for _, e := range t.exports.Load().order {
		s.Exports = append(s.Exports, e.stats(&t.roster))
	}
	return s
}

func (e *export) stats(r *roster) ExportStats {
	x, users, lanes := r.of(e)
	s := ExportStats{
		Name: x.Name, URL: x.URL, ReadOnly: x.ReadOnly, Connections: users.clients, Lanes: len(lanes), MemoryReserved: users.reserved,
		Random: users.patterns[rdma.PatternRandom], Sequential: users.patterns[rdma.PatternSequential],
	}
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

// counts returns how many connections there are, were admitted, were rejected, and came to nothing.
func (r *roster) counts() (now int, admitted, rejected, failed int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.sessions), r.admitted, r.rejected, r.failed
}

// of returns what an export is and has at the moment.
func (r *roster) of(e *export) (x Export, u users, lanes []*lane) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return e.settings, e.users, e.lanes[:len(e.lanes):len(e.lanes)]
}

func (a *arena) stats() (inUse, held, most, waits int64) {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.inUse + a.drawn, int64(a.held) * slabSize, a.most.Load() * slabSize, a.waits
}

// bytes returns how much was taken from the system.
func (p *pool) bytes() int64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	return int64(p.made) * slabSize
}
