//go:build amd64 || arm64

package mem

import "unsafe"

// copyWords copies n bytes, a multiple of 8, between ranges that do not
// overlap, from the first to the last, loading and storing each byte once.
// The first lead bytes, a multiple of 8 and at most n, go word by word, the
// rest in steps of 32 and 64 bytes.
//
// Where the region's side is a multiple of 8 at the start and of [vector]
// after lead, no word of that side is torn: an aligned 8-byte access is atomic,
// 16 aligned bytes are on every amd64 processor with AVX (Intel SDM volume 3,
// section 10.1.1; AMD APM volume 2, section 7.3.2) and as two words on arm64
// (Arm ARM, section B2.2.1), and 32 aligned bytes consist of such on each of them.
//
//go:noescape
func copyWords(dst, src unsafe.Pointer, n, lead uintptr)
