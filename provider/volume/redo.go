package volume

import (
	"errors"
	"fmt"

	"github.com/unio-stack/unio"
	"github.com/unio-stack/unio/provider/volume/catalogue"
	"github.com/unio-stack/unio/provider/volume/internal/format"
)

// A redoLog is the log of a pool, on its first member. What is in it has been
// carried out; it is there for the case of a crash, until what it says is
// durable in its place.
type redoLog struct {
	p       *pool
	sb      *format.Superblock // of the first member
	unit    int64              // records begin at multiples of it
	stage   *unio.Buffer       // records are made here; nil until the first
	head    format.LogHead
	at      int64                // where the next record goes, from the log's start
	next    uint64               // its LSN
	seen    uint64               // next when idle was last called
	entries []*entry             // whose pages it has bytes of, and gateLog
	moved   map[*volume]struct{} // whose position is not the catalogue's
	// broken: an attempt to append failed, and what is there now is not known.
	broken bool
}

// maxStage bounds what is committed at a time, in bytes.
const maxStage = 4 << 20

func newRedoLog(p *pool) *redoLog {
	return &redoLog{
		p: p, sb: p.members[0].sb, unit: int64(max(512, p.members[0].dev.Info().BlockSize)), moved: map[*volume]struct{}{},
	}
}

// room is how many bytes of records the log has room for, at a time.
func (l *redoLog) room() int64 {
	if l.broken {
		return 0
	}
	return min(l.capacity(), l.sb.LogSize-l.at)
}

// capacity is how many bytes can be committed at a time.
func (l *redoLog) capacity() int64 { return min(maxStage, l.sb.LogSize) &^ (l.unit - 1) }

func (l *redoLog) empty() bool { return l.at == 0 && len(l.moved) == 0 && !l.broken }

// idle reports whether nothing was logged since the last call.
func (l *redoLog) idle() bool {
	was := l.seen
	l.seen = l.next
	return was == l.next
}

// staging returns the memory that records are made in.
func (l *redoLog) staging() ([]byte, error) {
	if l.stage == nil {
		b, err := unio.NewBuffer(int(l.capacity()))
		if err != nil {
			return nil, fmt.Errorf("%w: %w", unio.ErrBusy, err)
		}
		l.stage = b
	}
	return l.stage.Bytes(), nil
}

func (l *redoLog) close() error {
	if l.stage == nil {
		return nil
	}
	return l.stage.Free()
}

// guard keeps ordinary writes off a page until the log is empty.
func (l *redoLog) guard(e *entry) {
	if e.gates.Load()&gateLog == 0 {
		e.shut(gateLog)
		l.entries = append(l.entries, e)
	}
}

// forget drops an entry that is going out of the table.
func (l *redoLog) forget(e *entry) {
	if e.gates.Load()&gateLog == 0 {
		return
	}
	for i, o := range l.entries {
		if o == e {
			l.entries = append(l.entries[:i], l.entries[i+1:]...)
			return
		}
	}
}

// append writes n bytes of records, all there are, and makes them durable.
func (l *redoLog) append(m *medium, n int64, records uint64) error {
	if err := m.write(0, l.sb.Log+l.at, l.stage.Bytes()[:n], unio.Durable); err != nil {
		l.broken = true
		return err
	}
	l.at += n
	l.next += records
	return nil
}

// retire empties the log: first all that it says is made durable in its place.
func (k *keeper) retire() error {
	l := k.log
	if l.empty() {
		l.openAll()
		return nil
	}
	if err := k.m.flush(); err != nil {
		return err
	}
	if err := k.storePositions(); err != nil {
		return err
	}
	return k.restartLog()
}

// storePositions brings the positions of Appends into the catalogue.
func (k *keeper) storePositions() error {
	l := k.log
	if len(l.moved) == 0 {
		return nil
	}
	err := k.p.cat.Update(func(w catalogue.Writer) error {
		for v := range l.moved {
			if err := storePosition(w, v.id, v.position, false); err != nil {
				return err
			}
		}
		return nil
	})
	if err == nil {
		clear(l.moved)
	}
	return err
}

// storePosition changes the position in a volume's record. One that the
// catalogue does not know, or no longer, is passed over.
func storePosition(w catalogue.Writer, id uint64, position int64, onlyForward bool) error {
	if w.Get(idKey(keyVolume, id)) == nil {
		return nil
	}
	rec, err := getVolume(w, id)
	if err != nil {
		return err
	}
	position = min(position, rec.size)
	if onlyForward && position <= rec.position {
		return nil
	}
	rec.position = position
	return w.Put(idKey(keyVolume, id), rec.encode())
}

// restartLog begins a new epoch: no record before it counts.
func (k *keeper) restartLog() error {
	l := k.log
	head := format.LogHead{Pool: k.p.id, Epoch: l.head.Epoch + 1, LSN: l.next}
	if err := k.m.write(0, l.sb.HeadOf(head), head.Encode(), unio.Durable); err != nil {
		return err
	}
	l.head, l.at, l.broken = head, 0, false
	l.openAll()
	return nil
}

func (l *redoLog) openAll() {
	for _, e := range l.entries {
		e.open(gateLog)
	}
	clear(l.entries)
	l.entries = l.entries[:0]
}

// replay carries out what is in the log, and empties it. Nothing else is going
// on. Records end where the next one is none, or of another epoch.
func (k *keeper) replay() error {
	l := k.log
	if err := l.readHead(k.m); err != nil {
		return err
	}
	positions := map[uint64]int64{}
	l.next = l.head.LSN
	for at := int64(0); at < l.sb.LogSize; {
		p, err := l.readRecord(k.m, at)
		if err != nil {
			return err
		}
		rec, size, err := format.DecodeRecord(p)
		if err != nil || rec.Epoch != l.head.Epoch || rec.LSN != l.next {
			break
		}
		if err := k.redo(rec); err != nil {
			return err
		}
		if rec.Volume != 0 {
			positions[rec.Volume] = rec.Position
		}
		at, l.next = at+size, l.next+1
	}
	if l.next == l.head.LSN {
		return nil
	}
	if err := k.m.flush(); err != nil {
		return err
	}
	if err := k.p.cat.Update(func(w catalogue.Writer) error {
		for id, pos := range positions {
			if err := storePosition(w, id, pos, true); err != nil {
				return err
			}
		}
		return nil
	}); err != nil {
		return err
	}
	return k.restartLog()
}

// readHead finds the valid head.
func (l *redoLog) readHead(m *medium) error {
	found := false
	for i := range int64(format.LogHeads) {
		p := make([]byte, format.LogHeadSize)
		if err := m.read(0, l.sb.HeadOf(format.LogHead{Epoch: uint64(i)}), p); err != nil {
			return err
		}
		if h, err := format.DecodeLogHead(p, l.p.id); err == nil && (!found || h.Epoch > l.head.Epoch) {
			l.head, found = h, true
		}
	}
	if !found {
		return fmt.Errorf("%w: both heads of the log are damaged: restore member 0 from a copy", unio.ErrMedia)
	}
	return nil
}

// readRecord reads what may be a record, whole.
func (l *redoLog) readRecord(m *medium, at int64) ([]byte, error) {
	const first = 64 << 10
	p := m.buf.Bytes()[:min(first, l.sb.LogSize-at)]
	if err := m.read(0, l.sb.Log+at, p); err != nil {
		return nil, err
	}
	size := format.RecordLength(p)
	if size <= int64(len(p)) || size > l.sb.LogSize-at || size > l.capacity() {
		return p, nil
	}
	stage, err := l.staging()
	if err != nil {
		return nil, err
	}
	p = stage[:size]
	return p, m.read(0, l.sb.Log+at, p)
}

// errRecord is what a record says that cannot be.
var errRecord = errors.New("a record of the log is for a place that is none")

// redo stores the bytes of a record.
func (k *keeper) redo(rec *format.Record) error {
	payload := rec.Payload
	for _, t := range rec.Targets {
		if t.Member >= len(k.p.members) {
			return fmt.Errorf("%w: %w: restore the pool from a copy", unio.ErrMedia, errRecord)
		}
		sb := k.p.members[t.Member].sb
		if end := sb.DataOf(sb.Extents); t.Offset < sb.Data || t.Offset > end-t.Length {
			return fmt.Errorf("%w: %w: restore the pool from a copy", unio.ErrMedia, errRecord)
		}
		if err := k.m.write(t.Member, t.Offset, payload[:t.Length], 0); err != nil {
			return err
		}
		payload = payload[t.Length:]
	}
	return nil
}
