//go:build !amd64

package crc32c

import "hash/crc32"

func update(crc uint32, p []byte) uint32 { return crc32.Update(crc, castagnoli, p) }

func copyCached(crc uint32, dst, src []byte) uint32 { return copyBlocks(crc, dst, src) }

func copyPast(crc uint32, dst, src []byte) uint32 { return sumBlocks(crc, dst, src) }
