// Package crc32c computes CRC32C (Castagnoli; RFC 3720 section 12.1, RFC 5044
// section 4.4) of octets while they are copied, so that memory is read once.
//
// A CRC is continued as in hash/crc32: the first call takes 0, each further
// call what the one before returned.
package crc32c

import "hash/crc32"

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// blockSize is how many octets [copyBlocks] copies before it sums them: few
// enough to be in the first-level cache still.
const blockSize = 4 << 10

// Update continues crc over p.
func Update(crc uint32, p []byte) uint32 { return update(crc, p) }

// Copy copies src to the first len(src) octets of dst and continues crc over
// them. It panics when dst is shorter than src. The two must not overlap.
//
// Others may change src meanwhile: the CRC is of the octets that dst has got,
// whichever they are. Nobody else may write those of dst. The race detector
// sees neither access where Copy is assembly.
func Copy(crc uint32, dst, src []byte) uint32 {
	return copyCached(crc, dst[:len(src):len(dst)], src)
}

// CopyOut copies src to the first len(src) octets of dst and continues crc over
// them, where dst is large, not in the cache and not read soon: where the
// processor can, it is written past the cache, which spares reading it first.
// All stores are ordered before any that follow the call. It panics when dst is
// shorter than src. The two must not overlap.
//
// Others may write dst meanwhile: the CRC is of the octets of src, which nobody
// else may write.
func CopyOut(crc uint32, dst, src []byte) uint32 {
	return copyPast(crc, dst[:len(src):len(dst)], src)
}

// copyBlocks is [Copy] in Go. It sums what is in dst, which is the caller's
// alone. Preconditions: dst is not shorter than src.
func copyBlocks(crc uint32, dst, src []byte) uint32 {
	for len(src) > 0 {
		n := copy(dst, src[:min(blockSize, len(src))])
		crc = update(crc, dst[:n])
		dst, src = dst[n:], src[n:]
	}
	return crc
}

// sumBlocks is [CopyOut] in Go. It sums what is in src.
func sumBlocks(crc uint32, dst, src []byte) uint32 {
	for len(src) > 0 {
		n := copy(dst, src[:min(blockSize, len(src))])
		crc = update(crc, src[:n])
		dst, src = dst[n:], src[n:]
	}
	return crc
}
