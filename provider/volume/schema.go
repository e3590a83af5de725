package volume

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"time"

	"github.com/unio-stack/unio/provider/volume/catalogue"
	"github.com/unio-stack/unio/provider/volume/internal/format"
	"github.com/unio-stack/unio/provider/volume/internal/space"
)

// The keys of the catalogue; docs/format.md has their values.
const (
	keyPool   = 'p' // the pool's record
	keyName   = 'n' // + name: the volume's ID
	keyVolume = 'v' // + ID: the volume's record
	keyExtent = 'e' // + ID + page: a place
	keyDying  = 'd' // + ID: the volume is deleted, its extents are not yet
	keyScrub  = 's' // how far the scrub has come
)

// A poolRecord binds a catalogue to its members.
type poolRecord struct {
	id         format.ID
	generation uint64 // how often the pool was opened
	next       uint64 // ID of the next volume
}

const poolRecordSize = 1 + 16 + 8 + 8

func (r poolRecord) encode() []byte {
	p := append(make([]byte, 0, poolRecordSize), format.Version)
	p = append(p, r.id[:]...)
	p = binary.LittleEndian.AppendUint64(p, r.generation)
	return binary.LittleEndian.AppendUint64(p, r.next)
}

func decodePool(p []byte) (r poolRecord, err error) {
	switch {
	case len(p) == 0:
		return r, fmt.Errorf("%w: the catalogue is of no pool", format.ErrBlank)
	case p[0] > format.Version:
		return r, fmt.Errorf("%w: the catalogue has version %d, this program knows %d", format.ErrNewer, p[0], format.Version)
	case len(p) != poolRecordSize:
		return r, fmt.Errorf("%w: the record of the pool has %d bytes", format.ErrDamaged, len(p))
	}
	r.id = format.ID(p[1:])
	r.generation = binary.LittleEndian.Uint64(p[17:])
	r.next = binary.LittleEndian.Uint64(p[25:])
	return r, nil
}

// A volumeRecord is what the catalogue knows of a volume.
type volumeRecord struct {
	id       uint64
	size     int64
	position int64 // where the next Append begins, unless the log knows better
	scratch  bool
	created  time.Time
	name     string
}

const volumeRecordSize = 1 + 8 + 8 + 8 + 1

func (r *volumeRecord) encode() []byte {
	p := append(make([]byte, 0, volumeRecordSize+len(r.name)), format.Version)
	p = binary.LittleEndian.AppendUint64(p, uint64(r.size))
	p = binary.LittleEndian.AppendUint64(p, uint64(r.position))
	p = binary.LittleEndian.AppendUint64(p, uint64(r.created.UnixNano()))
	var flags byte
	if r.scratch {
		flags = 1
	}
	return append(append(p, flags), r.name...)
}

func decodeVolume(id uint64, p []byte) (*volumeRecord, error) {
	if len(p) < volumeRecordSize || p[0] != format.Version {
		return nil, fmt.Errorf("%w: the record of volume %d", format.ErrDamaged, id)
	}
	r := &volumeRecord{
		id: id, size: int64(binary.LittleEndian.Uint64(p[1:])), position: int64(binary.LittleEndian.Uint64(p[9:])),
		created: time.Unix(0, int64(binary.LittleEndian.Uint64(p[17:]))), scratch: p[25]&1 != 0,
		name: string(p[volumeRecordSize:]),
	}
	if r.size <= 0 || r.position < 0 || r.position > r.size || checkName(r.name) != nil {
		return nil, fmt.Errorf("%w: the record of volume %d has size %d, position %d, name %q", format.ErrDamaged, id, r.size, r.position, r.name)
	}
	return r, nil
}

func idKey(kind byte, id uint64) []byte { return binary.BigEndian.AppendUint64([]byte{kind}, id) }

func nameKey(name string) []byte { return append([]byte{keyName}, name...) }

func extentKey(id uint64, page int64) []byte {
	return binary.BigEndian.AppendUint64(idKey(keyExtent, id), uint64(page))
}

// decodePlace returns what is no place where v is none.
func decodePlace(v []byte) space.Place {
	if len(v) != 8 {
		return -1
	}
	return space.Place(binary.LittleEndian.Uint64(v))
}

func encodePlace(p space.Place) []byte { return binary.LittleEndian.AppendUint64(nil, uint64(p)) }

// findVolume returns the record of a volume by its name, or nil.
func findVolume(r catalogue.Reader, name string) (*volumeRecord, error) {
	v := r.Get(nameKey(name))
	if v == nil {
		return nil, nil
	}
	if len(v) != 8 {
		return nil, fmt.Errorf("%w: name %q has an ID of %d bytes", format.ErrDamaged, name, len(v))
	}
	return getVolume(r, binary.BigEndian.Uint64(v))
}

// getVolume returns the record of a volume by its ID.
func getVolume(r catalogue.Reader, id uint64) (*volumeRecord, error) {
	return decodeVolume(id, r.Get(idKey(keyVolume, id)))
}

// An extentRecord says where a page of a volume is.
type extentRecord struct {
	volume uint64
	page   int64
	place  space.Place // not valid if it does not decode
}

// scanExtents calls f with the pages of all volumes from the given one on.
func scanExtents(r catalogue.Reader, id uint64, page int64, f func(extentRecord) bool) {
	r.Scan(extentKey(id, page), func(k, v []byte) bool {
		if len(k) == 0 || k[0] != keyExtent {
			return false
		}
		if len(k) != 17 {
			return true // Check names it
		}
		e := extentRecord{volume: binary.BigEndian.Uint64(k[1:]), page: int64(binary.BigEndian.Uint64(k[9:]))}
		e.place = decodePlace(v)
		return f(e)
	})
}

// scanVolumes calls f with the records of all volumes, in the order of their
// IDs; rec is nil where err says why.
func scanVolumes(r catalogue.Reader, f func(id uint64, rec *volumeRecord, err error)) {
	r.Scan([]byte{keyVolume}, func(k, v []byte) bool {
		if k[0] != keyVolume {
			return false
		}
		if len(k) != 9 {
			f(0, nil, fmt.Errorf("%w: the key %q", format.ErrDamaged, k))
			return true
		}
		id := binary.BigEndian.Uint64(k[1:])
		rec, err := decodeVolume(id, v)
		f(id, rec, err)
		return true
	})
}

// hasPrefix reports whether a key is of a kind.
func hasPrefix(k []byte, kind byte) bool { return bytes.HasPrefix(k, []byte{kind}) }
