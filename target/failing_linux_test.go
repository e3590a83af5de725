package target

import (
	"bytes"
	"encoding/binary"
	"errors"
	"maps"
	"sync"
	"testing"

	"github.com/unio-stack/unio"
	"github.com/unio-stack/unio/provider/rdma"
)

// A deed is a request of TestEveryHundredthFails, each of which is the only one of its kind at its place.
type deed struct {
	op unio.Opcode
	at int64
}

// The disk fails every hundredth request: just these fail, with what the disk says, at the client that asked for them. No
// connection ends, and all else is done and right.
func TestEveryHundredthFails(t *testing.T) {
	const clients, cells, cell = 4, 500, 4096
	m := &medium{bytes: make([]byte, clients*cells*cell)}
	failed := map[deed]bool{} // at the medium; guarded by m.mu
	asked := 0                // likewise
	m.fails = func(op *unio.Op) error {
		if asked++; asked%100 != 0 {
			return nil
		}
		failed[deed{op.Op, op.Offset}] = true
		return &unio.OpError{BadByte: op.Offset + 5, Layer: "medium", Err: unio.ErrMedia}
	}
	tg, addr := served(t, Config{Exports: []Export{{Name: "disk", Device: m.open(t)}}})
	want := make([]byte, len(m.bytes))
	seen := make([]map[deed]bool, clients)
	var all sync.WaitGroup
	for i := range clients {
		c, lo := dial(t, addr, "disk", rdma.Config{}), i*cells*cell
		seen[i] = map[deed]bool{}
		all.Go(func() { c.walk(int64(lo), want[lo:lo+cells*cell], cell, seen[i]) })
	}
	within(t, "the load", all.Wait)

	m.mu.Lock()
	defer m.mu.Unlock()
	if total := clients * cells * 4; asked != total || len(failed) != total/100 {
		t.Errorf("the disk was asked %d times and failed %d, want %d and %d", asked, len(failed), total, total/100)
	}
	together := map[deed]bool{}
	for _, s := range seen {
		maps.Copy(together, s)
	}
	if !maps.Equal(together, failed) {
		t.Errorf("at the clients %d requests fail, at the disk %d: %v and %v", len(together), len(failed), together, failed)
	}
	if !bytes.Equal(m.bytes, want) {
		t.Error("what is on the disk is not what was done without an error")
	}
	s := tg.Stats()
	if s.Connections != clients || s.Admitted != clients || s.Exports[0].Failed != int64(len(failed)) || s.Exports[0].InFlight != 0 {
		t.Errorf("%+v: want %d connections, none of them a second one, and %d failures", s, clients, len(failed))
	}
}

// walk does one operation of each of four kinds to each cell: a Write, a FetchAdd of its last word, a Read, and, to its first
// bytes, a WriteZeroes. want becomes what is there then, and failed what has failed.
func (r *remote) walk(base int64, want []byte, cell int, failed map[deed]bool) {
	for _, op := range []unio.Opcode{unio.OpWrite, unio.OpFetchAdd, unio.OpRead, unio.OpWriteZeroes} {
		var reqs []unio.Request
		for at := 0; at < len(want); at += cell {
			q := unio.Request{ID: uint64(at), Op: op, Region: r.reg, Offset: base + int64(at)}
			switch op {
			case unio.OpWrite:
				q.Data = bytes.Repeat([]byte{byte(at/cell) | 1}, cell)
			case unio.OpRead:
				q.Data = make([]byte, cell)
			case unio.OpFetchAdd:
				q.Offset, q.Swap = q.Offset+int64(cell)-8, uint64(at)
			case unio.OpWriteZeroes:
				q.Length = 64
			}
			reqs = append(reqs, q)
		}
		r.each(reqs, func(q *unio.Request, c *unio.Completion) {
			p := want[q.ID:][:cell]
			if c.Err != nil {
				r.failure(q, c.Err)
				failed[deed{q.Op, q.Offset}] = true
				return
			}
			r.effect(q, c, p)
		})
	}
}

// effect applies to p, the cell, what a request has done, and checks what came back.
func (r *remote) effect(q *unio.Request, c *unio.Completion, p []byte) {
	word := p[len(p)-8:]
	switch q.Op {
	case unio.OpWrite:
		copy(p, q.Data)
	case unio.OpWriteZeroes:
		clear(p[:q.Length])
	case unio.OpRead:
		if !bytes.Equal(q.Data, p) {
			r.t.Errorf("offset %d: what is read is not what is there", q.Offset)
		}
	case unio.OpFetchAdd:
		old := binary.LittleEndian.Uint64(word)
		if c.Value != old {
			r.t.Errorf("offset %d: the word was %d, want %d", q.Offset, c.Value, old)
		}
		binary.LittleEndian.PutUint64(word, old+q.Swap)
	}
}

// failure checks the error of a request that the medium has failed.
func (r *remote) failure(q *unio.Request, err error) {
	var e *unio.OpError
	if !errors.As(err, &e) || !errors.Is(err, unio.ErrMedia) || e.Op != q.Op || e.Offset != q.Offset || e.BadByte != q.Offset+5 {
		r.t.Errorf("%v at %d: %v, want the medium's error, with byte %d", q.Op, q.Offset, err, q.Offset+5)
	}
}

// each carries out requests, as many at a time as the channel takes, and tells of the end of each.
func (r *remote) each(reqs []unio.Request, ended func(*unio.Request, *unio.Completion)) {
	byID := map[uint64]*unio.Request{}
	for i := range reqs {
		byID[reqs[i].ID] = &reqs[i]
	}
	var done [16]unio.Completion
	for at := 0; len(byID) > 0; {
		posted, _ := r.ch.Post(reqs[at:]...) // as many as there is room for
		at += posted
		n, err := r.ch.Wait(r.t.Context(), done[:])
		if err != nil {
			r.t.Errorf("%d requests never end: %v", len(byID), err)
			return
		}
		for _, c := range done[:n] {
			q := byID[c.ID]
			if q == nil {
				r.t.Errorf("request %d has ended twice", c.ID)
				return
			}
			delete(byID, c.ID)
			ended(q, &c)
		}
	}
}
