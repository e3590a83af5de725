package crc32c

import (
	"hash/crc32"

	"golang.org/x/sys/cpu"
)

const (
	lineSize = 64 // octets of a cache line and of a vector

	// foldLeast is how many octets the vector loop needs to begin.
	foldLeast = 4 * lineSize
)

// canFold reports whether the processor has what the assembly is made of. The
// carry-less multiplication of 512 bits is the youngest of it: Intel since Ice
// Lake, AMD since Zen 4.
var canFold = cpu.X86.HasAVX512VPCLMULQDQ && cpu.X86.HasAVX512F && cpu.X86.HasSSE42

// update leaves what is shorter, and the rest, to hash/crc32.
func update(crc uint32, p []byte) uint32 {
	if n := len(p) &^ (lineSize - 1); canFold && n >= foldLeast {
		crc = ^sumLines(^crc, nil, p[:n])
		p = p[n:]
	}
	return crc32.Update(crc, castagnoli, p)
}

func copyCached(crc uint32, dst, src []byte) uint32 {
	if !canFold {
		return copyBlocks(crc, dst, src)
	}
	crc = ^crc
	if n := len(src) &^ (lineSize - 1); n >= foldLeast {
		crc = copyLines(crc, dst, src[:n])
		dst, src = dst[n:], src[n:]
	}
	return ^copyWords(crc, dst, src)
}

func copyPast(crc uint32, dst, src []byte) uint32 {
	if !canFold {
		return sumBlocks(crc, dst, src)
	}
	crc = ^crc
	if len(src) >= lineSize+foldLeast {
		head := toLine(dst)
		crc = copyWords(crc, dst, src[:head])
		dst, src = dst[head:], src[head:]
		n := len(src) &^ (lineSize - 1)
		crc = copyLinesPast(crc, dst, src[:n])
		dst, src = dst[n:], src[n:]
	}
	return ^copyWords(crc, dst, src)
}

// copyWords copies src to dst, and returns crc continued over src; both CRCs
// are without the inversions before and after. Each octet is loaded once.
//
//go:noescape
func copyWords(crc uint32, dst, src []byte) uint32

// copyLines is copyWords for a multiple of lineSize of at least foldLeast.
//
//go:noescape
func copyLines(crc uint32, dst, src []byte) uint32

// copyLinesPast is copyLines with non-temporal stores, and an SFENCE after
// them. Preconditions: dst begins with a line.
//
//go:noescape
func copyLinesPast(crc uint32, dst, src []byte) uint32

// sumLines is copyLines without the copy.
//
//go:noescape
func sumLines(crc uint32, _, src []byte) uint32

// toLine returns how many octets at the start of p come before a line begins.
//
//go:noescape
func toLine(p []byte) int
