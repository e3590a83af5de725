package format

import (
	"encoding/binary"
	"fmt"
)

// The dirty map has a bit for each extent of a member, set while the
// checksums on the medium may not be those of the data.
const (
	DirtySectorSize = 512
	DirtyPerSector  = (DirtySectorSize - dirtyHead) * 8
	dirtyHead       = 8
)

// EncodeDirty completes a sector of the dirty map whose bits are set: its
// number and its checksum.
func EncodeDirty(sector []byte, number int64) {
	binary.LittleEndian.PutUint32(sector[4:], uint32(number))
	binary.LittleEndian.PutUint32(sector, seal(sector[:DirtySectorSize], 0))
}

// CheckDirty says what is wrong with a sector of the dirty map. One that was
// never written is in order: nothing is dirty.
func CheckDirty(sector []byte, number int64) error {
	switch {
	case len(sector) != DirtySectorSize:
		return fmt.Errorf("%w: %d bytes", ErrDamaged, len(sector))
	case blank(sector):
		return nil
	case binary.LittleEndian.Uint32(sector) != seal(sector, 0):
		return fmt.Errorf("%w: sector %d of the dirty map has a checksum that does not match", ErrDamaged, number)
	case binary.LittleEndian.Uint32(sector[4:]) != uint32(number):
		return fmt.Errorf("%w: sector %d of the dirty map says that it is another", ErrDamaged, number)
	}
	return nil
}

// DirtyBit returns which sector has the bit of an extent, and where in it.
func DirtyBit(extent int64) (sector int64, at int, mask byte) {
	bit := extent % DirtyPerSector
	return extent / DirtyPerSector, dirtyHead + int(bit/8), 1 << (bit % 8)
}
