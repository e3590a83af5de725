package rdma

import (
	"encoding/binary"

	"github.com/unio-stack/unio"
)

// A trailer at the end of the private data says that this end is one of ours. It is at the end because programs on verbs
// put what they have to say at the start. docs/protocol.md has its picture.
type trailer struct {
	version  uint16
	features uint16 // see below
	control  uint32 // STag of the control page
	message  uint32 // longest Send that is taken, in octets
	word     uint32 // of a Request that asks for a region its hints, of a Reply that rejects the cause; otherwise 0
	// The last field on the wire is the magic number.
}

const (
	trailerSize    = 24
	trailerMagic   = 0x756e696f2f524450 // "unio/RDP"
	trailerVersion = 1

	featureStorage  = 1 << 0 // a region is asked for, or served: statuses, commands and declined Reads
	featureReadOnly = 1 << 1 // the region is asked for to read only
)

// append adds the trailer to b.
func (t *trailer) append(b []byte) []byte {
	b = binary.BigEndian.AppendUint32(b, t.control)
	b = binary.BigEndian.AppendUint32(b, t.message)
	b = binary.BigEndian.AppendUint16(b, t.version)
	b = binary.BigEndian.AppendUint16(b, t.features)
	b = binary.BigEndian.AppendUint32(b, t.word)
	return binary.BigEndian.AppendUint64(b, trailerMagic)
}

// cutTrailer splits private data into the application's and the trailer, which is nil if there is none, or one of a
// version that we do not know: such a peer is treated as any other.
func cutTrailer(b []byte) (data []byte, t *trailer) {
	n := len(b) - trailerSize
	if n < 0 || binary.BigEndian.Uint64(b[n+16:]) != trailerMagic {
		return b, nil
	}
	data, b = b[:n:n], b[n:]
	t = &trailer{
		control:  binary.BigEndian.Uint32(b),
		message:  binary.BigEndian.Uint32(b[4:]),
		version:  binary.BigEndian.Uint16(b[8:]),
		features: binary.BigEndian.Uint16(b[10:]),
		word:     binary.BigEndian.Uint32(b[12:]),
	}
	if t.version != trailerVersion || t.message > largestMessage {
		return data, nil
	}
	return data, t
}

// memoryOf is the region that a peer's private data begins with, if it does.
func memoryOf(data []byte) (k Key, err error) {
	if len(data) < shortKeySize {
		return k, unio.ErrInvalid
	}
	return k, k.UnmarshalBinary(data)
}
