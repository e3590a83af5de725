package transfer

import "hash/crc32"

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// Sum returns the checksum of a chunk: CRC32C.
func Sum(b []byte) uint32 { return crc32.Checksum(b, castagnoli) }

// A ledger knows the checksum of each chunk that is on the target.
type ledger struct {
	sums []uint32
	done []bool
	low  int64 // all chunks before it are done
}

// load takes over the checksums of chunks that were done before.
func (l *ledger) load(sums []uint32) {
	for i, s := range sums {
		l.set(int64(i), s)
	}
}

// set notes that a chunk is done.
func (l *ledger) set(chunk int64, s uint32) {
	for int64(len(l.sums)) <= chunk {
		l.sums, l.done = append(l.sums, 0), append(l.done, false)
	}
	l.sums[chunk], l.done[chunk] = s, true
	for l.low < int64(len(l.done)) && l.done[l.low] {
		l.low++
	}
}

// holds reports whether the chunk is done and was the same.
func (l *ledger) holds(chunk int64, s uint32) bool {
	return chunk < int64(len(l.done)) && l.done[chunk] && l.sums[chunk] == s
}
