package format

import (
	"encoding/binary"
	"fmt"
)

// The log has two heads, of which the one with the greater epoch is valid, and
// then records of that epoch, one after the other from the start.
const (
	LogHeads    = 2
	LogHeadSize = 4096 // bytes apart; a head is the first 512 of them
	headSize    = 512
	headMagic   = "unioLOGH"
)

// A LogHead begins an epoch of the log: what was in it before is done.
type LogHead struct {
	Pool  ID
	Epoch uint64
	LSN   uint64 // of the epoch's first record
}

// Slot is which of the two heads this one is.
func (h LogHead) Slot() int64 { return int64(h.Epoch % LogHeads) }

// Encode returns the head's bytes.
func (h LogHead) Encode() []byte {
	p := make([]byte, headSize)
	copy(p, headMagic)
	copy(p[16:], h.Pool[:])
	binary.LittleEndian.PutUint64(p[32:], h.Epoch)
	binary.LittleEndian.PutUint64(p[40:], h.LSN)
	binary.LittleEndian.PutUint32(p[12:], seal(p, 12))
	return p
}

// DecodeLogHead reads a head of a pool's log.
func DecodeLogHead(p []byte, pool ID) (h LogHead, err error) {
	switch {
	case len(p) < headSize:
		return h, fmt.Errorf("%w: %d bytes", ErrDamaged, len(p))
	case string(p[:8]) != headMagic, binary.LittleEndian.Uint32(p[12:]) != seal(p[:headSize], 12), ID(p[16:]) != pool:
		return h, fmt.Errorf("%w: no head of this pool's log", ErrDamaged)
	}
	h.Pool = pool
	h.Epoch = binary.LittleEndian.Uint64(p[32:])
	h.LSN = binary.LittleEndian.Uint64(p[40:])
	return h, nil
}

// Limits of a record.
const (
	MaxTargets   = 256
	recordHead   = 56
	targetSize   = 16
	recordMagic  = 0x676f6c75 // "ulog"
	maxRecord    = 16 << 20
	minLogUnit   = 512
	maxTargetLen = 1 << 30
)

// A Record is what the log keeps of an operation: bytes, and where they go.
type Record struct {
	Epoch, LSN uint64
	// Volume is that of an Append, whose next one is to begin at Position; or 0.
	Volume   uint64
	Position int64
	Targets  []Target
	Payload  []byte // of the targets, in their order
}

// A Target is where some bytes of a record go.
type Target struct {
	Member int
	Offset int64 // in bytes from the start of the member
	Length int64
}

// RecordSize returns how long a record is, and its head, in a log whose
// records begin at multiples of unit.
func RecordSize(targets int, payload, unit int64) (size, head int64) {
	head = roundUp(int64(recordHead+targetSize*targets), max(unit, minLogUnit))
	return roundUp(head+payload, max(unit, minLogUnit)), head
}

// Encode writes the record to p, whose length is its size, except for the
// payload, which is at its place in p already: after the head.
func (r *Record) Encode(p []byte, head int64) {
	le := binary.LittleEndian
	clear(p[:head])
	le.PutUint32(p, recordMagic)
	le.PutUint64(p[8:], r.Epoch)
	le.PutUint64(p[16:], r.LSN)
	le.PutUint32(p[24:], uint32(len(p)))
	le.PutUint32(p[28:], uint32(head))
	le.PutUint32(p[32:], uint32(len(r.Targets)))
	le.PutUint64(p[40:], r.Volume)
	le.PutUint64(p[48:], uint64(r.Position))
	for i, t := range r.Targets {
		at := p[recordHead+targetSize*i:]
		le.PutUint16(at, uint16(t.Member))
		le.PutUint32(at[4:], uint32(t.Length))
		le.PutUint64(at[8:], uint64(t.Offset))
	}
	le.PutUint32(p[4:], seal(p, 4))
}

// DecodeRecord reads the record at the start of p and returns its size too.
// Anything else is the end of the log. The payload is a part of p.
func DecodeRecord(p []byte) (r *Record, size int64, err error) {
	le := binary.LittleEndian
	if len(p) < recordHead || le.Uint32(p) != recordMagic {
		return nil, 0, fmt.Errorf("%w: no record", ErrDamaged)
	}
	size, head, n := int64(le.Uint32(p[24:])), int64(le.Uint32(p[28:])), int64(le.Uint32(p[32:]))
	if size > int64(len(p)) || size > maxRecord || head > size || n > MaxTargets || head < recordHead+targetSize*n {
		return nil, 0, fmt.Errorf("%w: a record of impossible size", ErrDamaged)
	}
	p = p[:size]
	if le.Uint32(p[4:]) != seal(p, 4) {
		return nil, 0, fmt.Errorf("%w: a record whose checksum does not match", ErrDamaged)
	}
	r = &Record{
		Epoch: le.Uint64(p[8:]), LSN: le.Uint64(p[16:]),
		Volume: le.Uint64(p[40:]), Position: int64(le.Uint64(p[48:])), Payload: p[head:],
	}
	left := size - head
	for i := range n {
		at := p[recordHead+targetSize*i:]
		t := Target{Member: int(le.Uint16(at)), Length: int64(le.Uint32(at[4:])), Offset: int64(le.Uint64(at[8:]))}
		if left -= t.Length; left < 0 || t.Length > maxTargetLen || t.Offset < 0 {
			return nil, 0, fmt.Errorf("%w: a record with an impossible target", ErrDamaged)
		}
		r.Targets = append(r.Targets, t)
	}
	return r, size, nil
}

// RecordLength returns how long the record at the start of p says that it is,
// or 0 where there is none.
func RecordLength(p []byte) int64 {
	if len(p) < recordHead || binary.LittleEndian.Uint32(p) != recordMagic {
		return 0
	}
	return int64(binary.LittleEndian.Uint32(p[24:]))
}
