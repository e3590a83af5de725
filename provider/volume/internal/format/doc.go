// Package format is the layout of a pool on its members, version 1, as
// docs/format.md has it: superblocks, the dirty map, checksums and the log. It
// encodes and decodes; it does no I/O. Numbers are little-endian. What it
// decodes comes from a medium: every decoder takes any bytes whatever.
package format

import (
	"errors"

	"github.com/unio-stack/unio/internal/crc32c"
)

// Version is that of the layout that this package writes, and the only one
// that it reads.
const Version = 1

// SumBlock is how many bytes of data a checksum covers.
const SumBlock = 4096

// What is wrong with bytes that do not decode.
var (
	ErrBlank   = errors.New("nothing but zeroes")
	ErrForeign = errors.New("something that is no pool")
	ErrNewer   = errors.New("a newer version of the format")
	ErrDamaged = errors.New("damaged")
)

// An ID names a pool or a member: random, as an UUID of version 4.
type ID [16]byte

// Sum returns the checksum of a block of data: its CRC32C, or 1 where that is
// [SumUnknown].
func Sum(block []byte) uint32 {
	if s := crc32c.Update(0, block); s != SumUnknown {
		return s
	}
	return 1
}

// SumUnknown is in the place of a checksum when the last write of the block
// failed, so that what it holds is not known.
const SumUnknown = 0

// seal returns the CRC32C of p with the four bytes at off taken as zeroes.
func seal(p []byte, off int) uint32 {
	var zero [4]byte
	crc := crc32c.Update(0, p[:off])
	crc = crc32c.Update(crc, zero[:])
	return crc32c.Update(crc, p[off+4:])
}

// blank reports whether p has nothing but zeroes.
func blank(p []byte) bool {
	for _, b := range p {
		if b != 0 {
			return false
		}
	}
	return true
}
