package volume

import (
	"github.com/unio-stack/unio"
	"github.com/unio-stack/unio/provider/volume/internal/format"
	"github.com/unio-stack/unio/provider/volume/internal/space"
)

// A dirtyMap is what is on the members: which extents may have checksums that
// are not those of their bytes.
type dirtyMap struct {
	members []*member
	sectors [][][]byte        // by member and number; nil: nothing in it
	changed map[[2]int64]bool // member and number of those to be written
}

func newDirtyMap(members []*member) *dirtyMap {
	d := &dirtyMap{members: members, changed: map[[2]int64]bool{}}
	for _, m := range members {
		d.sectors = append(d.sectors, make([][]byte, m.sb.DirtySectors()))
	}
	return d
}

// set marks an extent, or takes its mark back, in memory.
func (d *dirtyMap) set(p space.Place, dirty bool) {
	n, at, mask := format.DirtyBit(p.Extent())
	m := p.Member()
	sector := d.sectors[m][n]
	if sector == nil {
		sector = make([]byte, format.DirtySectorSize)
		d.sectors[m][n] = sector
	}
	if (sector[at]&mask != 0) == dirty {
		return
	}
	sector[at] ^= mask
	d.changed[[2]int64{int64(m), n}] = true
}

func (d *dirtyMap) has(p space.Place) bool {
	n, at, mask := format.DirtyBit(p.Extent())
	sector := d.sectors[p.Member()][n]
	return sector != nil && sector[at]&mask != 0
}

// write writes the sectors that have changed. They are durable with the next
// flush.
func (d *dirtyMap) write(m *medium) error {
	for c := range d.changed {
		i, n := int(c[0]), c[1]
		sector := d.sectors[i][n]
		format.EncodeDirty(sector, n)
		if err := m.write(i, d.members[i].sb.Dirty+n*format.DirtySectorSize, sector, 0); err != nil {
			return err
		}
		delete(d.changed, c)
	}
	return nil
}

// read reads the map. A sector that is damaged counts as all dirty.
func (d *dirtyMap) read(m *medium) error {
	for i, mb := range d.members {
		n := mb.sb.DirtySectors()
		err := m.each(i, mb.sb.Dirty, n*format.DirtySectorSize, func(off int64, p []byte) error {
			for ; len(p) > 0; p, off = p[format.DirtySectorSize:], off+format.DirtySectorSize {
				d.adopt(i, (off-mb.sb.Dirty)/format.DirtySectorSize, p[:format.DirtySectorSize])
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

func (d *dirtyMap) adopt(member int, n int64, p []byte) {
	err := format.CheckDirty(p, n)
	if err == nil && isZero(p) {
		return
	}
	sector := append([]byte(nil), p...)
	d.sectors[member][n] = sector
	if err != nil {
		for e := n * format.DirtyPerSector; e < (n+1)*format.DirtyPerSector; e++ {
			_, at, mask := format.DirtyBit(e)
			sector[at] |= mask
		}
	}
}

func isZero(p []byte) bool {
	for _, b := range p {
		if b != 0 {
			return false
		}
	}
	return true
}

// zeroExtent makes an extent all zeroes, with the next flush also durably.
func (k *keeper) zeroExtent(p space.Place) error {
	sb := k.p.members[p.Member()].sb
	return k.m.run(p.Member(), unio.Request{Op: unio.OpWriteZeroes, Offset: sb.DataOf(p.Extent()), Length: sb.ExtentSize})
}
